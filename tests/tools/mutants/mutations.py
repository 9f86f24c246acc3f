"""Single faults that could stand in a source file, each as a piece of text in the place of
another.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
SQL = re.compile(r"\b(SELECT|UPDATE|DELETE|INSERT)\b")
SQL_FAULTS = (
    (re.compile(r"\bAND\b"), "OR"),
    (re.compile(r"\bOR\b(?! (REPLACE|IGNORE))"), "AND"),
    (re.compile(r"\bOR REPLACE\b"), "OR IGNORE"),
    (re.compile(r"\bNOT IN\b"), "IN"),
    (re.compile(r"(?<![<>!])=(?!=)"), "!="),
    (re.compile(r"<=|<(?!=|>)"), ">"),
    (re.compile(r">=|(?<!<)>(?!=)"), "<"),
    (re.compile(r" DESC\b"), ""),
    (re.compile(r"\bmax\("), "min("),
)


@dataclass(frozen=True, slots=True)
class Mutation:
    """Bytes [start, end) of a file become `text`; `kind` and `line` say what and where."""

    path: str
    line: int
    kind: str
    start: int
    end: int
    text: str

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]


def mutations_of(root: Path, path: Path) -> list[Mutation]:
    """All faults of a file below the root, in order; none in annotations, docstrings and texts."""
    source = path.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: list[Mutation] = []
    for node in code_nodes(ast.parse(source)):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        text = source[start:end].decode()
        for kind, changed in faults(node, text):
            if changed != text:
                name = str(path.relative_to(root))
                found.append(Mutation(name, node.lineno, kind, start, end, changed))
    return found


def code_nodes(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Expressions and statements that run: no annotation, docstring, f-string or type-only block;
    the places of what stands in an f-string are not known.
    """
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr):
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.expr | ast.stmt):
                yield child
            yield from code_nodes(child)


def faults(node: ast.expr | ast.stmt, text: str) -> Iterator[tuple[str, str]]:
    """(kind, text in its place) of each fault that this very node could have."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        ops = [COMPARISONS[type(node.ops[0])](), *node.ops[1:]]
        yield "comparison", f"({ast.unparse(ast.Compare(node.left, ops, node.comparators))})"
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        other = ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
        yield "arithmetic", f"({ast.unparse(other)})"
    elif isinstance(node, ast.BoolOp):
        turned = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "boolean", f"({ast.unparse(ast.BoolOp(turned, node.values))})"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "boolean", f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Constant):
        yield from constant_faults(node, text)
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield "return", "return None"
    elif isinstance(node, ast.Raise | ast.AugAssign | ast.Delete) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield "statement", "pass"


def constant_faults(node: ast.Constant, text: str) -> Iterator[tuple[str, str]]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", str(not value)
    elif isinstance(value, int):
        yield "constant", str(value + 1)
    elif isinstance(value, float):
        yield "constant", repr(value * 2 if value else 1.0)
    elif isinstance(value, str) and SQL.search(value):
        for pattern, other in SQL_FAULTS:
            for match in pattern.finditer(text):
                yield "sql", text[: match.start()] + other + text[match.end() :]
