"""Which tests are run for a fault, in which order: those that run its line, the nearest and fastest
first; for a constant, a table or a default, those that run the lines that use its name.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from tests.tools.mutants.line_map import LineMap
from tests.tools.mutants.mutations import Mutation
from tests.tools.mutants.relevant import FOLDERS, TestMap, module_of

HEAVY_S = 10.0
UNKNOWN_S = 2.0  # of a file of tests that is not measured
LISTING = "test_the_values_are_those_that_were_chosen"
WORD = re.compile(r"[A-Za-z_]\w*")
RARE = 8  # files of tests that have a word, at most
STEPS = 3  # names that stand for a name, at most
LIST = "tests/test_fixed_values.py"  # of chosen numbers: what it alone notices, no behaviour shows


class Chosen:
    """The tests of each fault of a tree."""

    def __init__(self, root: Path, line_map: LineMap):
        self.root = root
        self.map = line_map
        self.importers = TestMap(root)
        self.trees: dict[str, ast.Module] = {}

    def of(self, mutation: Mutation) -> list[list[str]]:
        """Batches of tests: near and fast ones, the others that run the line, those that import
        the module; for a value outside of functions at last the list of chosen numbers.
        """
        path, line = mutation.path, mutation.line
        bound = self.bound_at(path, line)
        found = self.map.tests_of(path, self.span(path, line)) if bound is None else set()
        found |= self.using(path, bound or set())
        whole = bound is not None  # such a value is seen by who looks at all of them, too
        imports = set(self.importers.of(module_of(Path(path)), 24 if whole else 12))
        fresh = {file for file in imports if self.map.is_changed(file)}
        words = self.having_words_of(path, line)
        ordered = sorted(found | fresh, key=lambda test: self.rank(path, words, test))
        fast = [test for test in ordered if self.seconds(test) < HEAVY_S]
        first, cost = 0, 0.0
        while first < len(fast) and cost < HEAVY_S:
            cost += self.seconds(fast[first])
            first += 1
        heavy = [test for test in ordered if self.seconds(test) >= HEAVY_S]
        wider = sorted(imports - found - fresh) if whole or len(found) < 20 else []
        batches = [
            [test for test in batch if LIST not in test]
            for batch in (fast[:first], fast[first:], wider, heavy)
        ]
        listed = [f"{LIST}::{LISTING}[{module_of(Path(path).parent)}]"] if whole else []
        return [batch for batch in (*batches, listed) if batch]

    def seconds(self, test: str) -> float:
        return self.map.seconds.get(test, UNKNOWN_S)

    def rank(self, path: str, words: set[str], test: str) -> tuple[int, float]:
        """Near ones first: the file of the module's name, its folder, those that import the module
        or have its rare words; then by seconds.
        """
        file = Path(test.partition("::")[0])
        mirror = Path("tests", path).parent
        signs = [
            file.parent == mirror,
            file.stem == f"test_{Path(path).stem}",
            file in self.importers.users[module_of(Path(path))],
            str(file) in words,
        ]
        return -sum(signs), self.seconds(test)

    def having_words_of(self, path: str, line: int) -> set[str]:
        """Files of tests with a word of the statement that few of them have."""
        lines = (self.root / path).read_text().splitlines()
        words = {w for number in self.span(path, line) for w in WORD.findall(lines[number - 1])}
        found = [self.test_words[word] for word in words if len(self.test_words[word]) <= RARE]
        return set().union(*found)

    @cached_property
    def test_words(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for file in sorted((self.root / "tests").rglob("test_*.py")):
            for word in set(WORD.findall(file.read_text())):
                found[word].add(str(file.relative_to(self.root)))
        return found

    def tree(self, path: str) -> ast.Module:
        if path not in self.trees:
            self.trees[path] = ast.parse((self.root / path).read_bytes())
        return self.trees[path]

    def span(self, path: str, line: int) -> range:
        """The lines of the innermost statement at a line, without the statements inside it."""
        best = range(line, line + 1)
        for node in ast.walk(self.tree(path)):
            if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
                body = getattr(node, "body", None)
                end = body[0].lineno if body else (node.end_lineno or line) + 1
                if line < max(end, node.lineno + 1):
                    best = range(node.lineno, max(end, node.lineno + 1))
        return best

    def bound_at(self, path: str, line: int) -> set[str] | None:
        """The names that a line outside of functions' bodies gives a value; None inside one."""
        names: set[str] = set()
        node: ast.AST = self.tree(path)
        while True:
            inner = None
            for child in statements(node):
                if child.lineno <= line <= (child.end_lineno or 0):
                    inner = child
            if inner is None:
                return names
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                return None if line >= inner.body[0].lineno else {inner.name}
            if isinstance(inner, ast.ClassDef):
                names = {inner.name}
            elif not hasattr(inner, "body"):
                fields = {n.id for n in ast.walk(inner) if isinstance(n, ast.Name)}
                targets = {
                    n.id
                    for n in ast.walk(inner)
                    if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
                }
                return targets or fields or names
            node = inner

    @cached_property
    def uses(self) -> dict[str, list[tuple[str, int]]]:
        """The lines of the product that have a word."""
        found: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for folder in FOLDERS:
            for file in sorted((self.root / folder).rglob("*.py")):
                path = str(file.relative_to(self.root))
                for number, text in enumerate(file.read_text().splitlines(), 1):
                    for word in set(WORD.findall(text)):
                        found[word].append((path, number))
        return found

    def using(self, path: str, names: set[str]) -> set[str]:
        """The tests that run a line that uses one of the names, or a name made of it."""
        found: set[str] = set()
        seen, todo = set(names), set(names)
        for _ in range(STEPS):
            further: set[str] = set()
            for name in todo:
                for file, line in self.uses[name][:200]:
                    bound = self.bound_at(file, line)
                    if bound is None:
                        found |= self.map.tests_of(file, self.span(file, line))
                    else:
                        further |= bound
            todo = further - seen
            seen |= todo
            if len(todo) > 20:
                break
        return found


def statements(node: ast.AST) -> Iterator[ast.stmt]:
    for _, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.stmt):
                yield child
