"""Which tests to run for a module: those that import it, and those of the folder that mirrors its
own.
"""

import ast
from collections import defaultdict
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

FOLDERS = ("ingest", "segment", "classify", "stream")
SLOW = ("browser", "test_readme.py", "tools/bench", "tools/chaos", "training", "kafka")


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def foreign_packages(root: Path) -> list[str]:
    """What the product and its tests import of others' packages; nothing that only a browser or a
    special device needs, and none that starts threads, which a fork would lack.
    """
    found: set[str] = set()
    for folder in (*FOLDERS, "tests"):
        for path in (root / folder).rglob("*.py"):
            if not any(part in ("browser", "tools") for part in path.parts):
                for node in ast.walk(ast.parse(path.read_bytes())):
                    if isinstance(node, ast.Import):
                        found |= {alias.name for alias in node.names}
                    elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                        found.add(node.module)
    left = {*FOLDERS, "tests", "tensorrt", "tensorrt_rtx", "cuda", "playwright"}
    left |= {"anndata", "openvino"}
    plugins = {plugin.module for plugin in entry_points(group="pytest11")}
    return sorted(name for name in found | plugins if name.partition(".")[0] not in left)


class TestMap:
    """The tests of each module of a tree."""

    __test__ = False

    def __init__(self, root: Path):
        self.root = root
        self.paths = {
            module_of(path.relative_to(root)): path
            for folder in FOLDERS
            for path in (root / folder).rglob("*.py")
        }
        self.users: dict[str, set[Path]] = defaultdict(set)
        for test in sorted((root / "tests").rglob("test_*.py")):
            for name in self.imported(test, "tests"):
                self.users[name].add(test.relative_to(root))

    def of(self, module: str, most: int) -> list[str]:
        """Paths of at most so many test files, the nearest first: in the folder that mirrors the
        module's, of its own name, then those that import it.
        """
        mirror = Path("tests", *module.split(".")[:-1])
        near = {path.relative_to(self.root) for path in (self.root / mirror).glob("test_*.py")}
        own = module.rpartition(".")[2]

        def distance(path: Path) -> tuple[bool, bool, bool, str]:
            users = self.users[module]
            return own not in path.stem, path not in users, path.parent != mirror, str(path)

        found = [p for p in near | self.users[module] if not any(s in str(p) for s in SLOW)]
        return [str(path) for path in sorted(found, key=distance)[:most]]

    def imported(self, path: Path, package: str) -> set[str]:
        """The modules that a file imports; a name of a front door counts as its module."""
        found = set()
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = self.absolute(node, package)
                for alias in node.names:
                    whole = f"{base}.{alias.name}"
                    found.add(whole if whole in self.paths else self.source(base, alias.name))
        return found & self.paths.keys()

    @cache  # noqa: B019  one map a run
    def source(self, package: str, name: str) -> str:
        """The module that a name of a package comes from."""
        path = self.paths.get(package)
        if path is None or path.name != "__init__.py":
            return package
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
                return self.source(self.absolute(node, package), name)
        return package

    @staticmethod
    def absolute(node: ast.ImportFrom, package: str) -> str:
        if not node.level:
            return node.module or ""
        parts = package.split(".")
        above = parts[: len(parts) - node.level + 1]
        return ".".join([*above, *([node.module] if node.module else [])])
