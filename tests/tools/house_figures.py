"""Figures of the product code's order: `python -m tests.tools.house_figures [ROOT]`.

Modules a folder, public names that two modules define, the share of names of two words, lines over
100 columns, tuple assignments and code lines.
"""

import argparse
import ast
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("ingest", "segment", "classify", "stream")


def public_names(tree: ast.Module) -> Iterator[str]:
    """What a module defines at its top: classes, functions, constants."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            targets = [x for target in node.targets for x in ast.walk(target)]
            yield from (x.id for x in targets if isinstance(x, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def local_names(tree: ast.Module) -> Iterator[str]:
    """Parameters and assigned names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.arg not in ("self", "cls"):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def tuple_assignments(tree: ast.Module) -> int:
    """Statements `a, b = x, y`."""
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    return sum(
        isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)
        for node in assigned
    )


def code_lines(path: Path) -> int:
    """Lines that are neither empty nor a comment alone; texts over several lines count."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    return sum(bool(line) and not line.startswith("#") for line in lines)


def names_in_two_modules(trees: dict[Path, ast.Module]) -> dict[str, list[str]]:
    """Public names that several modules define, and those modules."""
    places = defaultdict(list)
    for path, tree in trees.items():
        for name in {name for name in public_names(tree) if not name.startswith("_")}:
            places[name].append(str(path))
    return {name: paths for name, paths in places.items() if len(paths) > 1}


def figures(root: Path) -> dict[str, float | int]:
    """The figures of the product code under `root`."""
    paths = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]
    trees = {path: ast.parse(path.read_text()) for path in paths}
    modules = [path for path in paths if path.stem != "__init__"]
    folders = Counter(path.parent for path in modules)

    names = {(path, name) for path in modules for name in local_names(trees[path])}
    lines = sum(code_lines(path) for path in paths)
    long = sum(len(line) > 100 for path in paths for line in path.read_text().splitlines())
    pairs = sum(tuple_assignments(tree) for tree in trees.values())
    two_words = sum("_" in name.strip("_") for _, name in names)
    return {
        "modules a folder, median": statistics.median(folders.values()),
        "modules a folder, most": max(folders.values()),
        "public names in two modules or more": len(
            names_in_two_modules({path: trees[path] for path in modules})
        ),
        "share of two-word names, %": round(100 * two_words / len(names), 1),
        "lines over 100 columns": long,
        "tuple assignments a 1,000 code lines": round(1000 * pairs / lines, 1),
        "code lines": lines,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, nargs="?", default=Path(__file__).parents[2])
    for name, figure in figures(parser.parse_args().root).items():
        print(f"{name:40}{figure:>10}")
