"""The numbers and switches that stand outside of functions' bodies, as a text to be approved:
constants, defaults of parameters, fields of classes with their defaults and bounds.

They are measured or chosen elsewhere; a test of what they do seldom notices a small change of one.
`approved` holds the text against that which a person has read.
"""

import ast
import inspect
import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tests.golden_figures import summed


def fixed_values(*modules: ModuleType) -> str:
    """A line for each value of these modules that is, or holds, a number or a switch."""
    return "".join(
        f"{module.__name__}\n" + "".join(f"  {line}\n" for line in lines)
        for module in modules
        if (lines := list(lines_of(module)))
    )


def lines_of(module: ModuleType) -> Iterator[str]:
    for name in own_names(ast.parse(inspect.getsource(module))):
        value = vars(module)[name]
        if isinstance(value, FunctionType):
            yield from default_lines(name, value)
        elif isinstance(value, type):
            yield from class_lines(name, value)
        elif has_figures(shown := plain(value)):
            yield f"{name} = {text_of(shown)}"


def own_names(tree: ast.Module) -> Iterator[str]:
    """What a module gives a value itself, not what it imports; nothing of a loop or a condition."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))


def default_lines(name: str, function: Any) -> Iterator[str]:
    for parameter in inspect.signature(inspect.unwrap(function)).parameters.values():
        shown = plain(parameter.default)
        if has_figures(shown):
            yield f"{name}({parameter.name}={text_of(shown)})"


def class_lines(name: str, owner: type) -> Iterator[str]:
    if issubclass(owner, Enum):
        yield f"{name}: {text_of({one.name: plain(one.value) for one in owner})}"
        return
    if issubclass(owner, BaseModel):
        if "model_config" in vars(owner) and has_figures(plain(owner.model_config)):
            yield f"{name} has {text_of(plain(owner.model_config))}"
        for key, field in owner.model_fields.items():
            yield from field_line(name, key, field)
    elif is_dataclass(owner):
        for one in fields(owner):
            switches = [key for key in ("init", "repr", "compare") if not getattr(one, key)]
            default = "" if one.default is MISSING else plain(one.default)
            if switches or has_figures(default):
                yield f"{name}.{one.name} = {text_of(default)} {' '.join(switches)}".rstrip()
    for key, value in vars(owner).items():
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if isinstance(function, FunctionType):
            if not (is_dataclass(owner) and key.startswith("__")):
                yield from default_lines(f"{name}.{key}", function)
        elif not (key.startswith(("_", "model_")) or is_dataclass(owner)) and has_figures(
            shown := plain(value)
        ):
            yield f"{name}.{key} = {text_of(shown)}"


def field_line(name: str, key: str, field: FieldInfo) -> Iterator[str]:
    """Default and bounds of a model's field."""
    about = [repr(one) for one in field.metadata]
    default = plain(field.default)
    if about or has_figures(default):
        yield f"{name}.{key} = {text_of(default)} {' '.join(about)}".rstrip()


def plain(value: Any) -> Any:
    """What JSON can have of a value; nothing of what it cannot."""
    if isinstance(value, bool | float | str) or value is None:
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, int):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist() if value.size <= 64 else summed(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, BaseModel):
        return plain(value.model_dump())
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(one) for key, one in value.items()}
    if isinstance(value, Set):
        return sorted((plain(one) for one in value), key=repr)
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return value.name if isinstance(value, Path) else None


def has_figures(value: Any) -> bool:
    """Whether a number or a switch is in it."""
    if isinstance(value, dict):
        return any(map(has_figures, value.values()))
    if isinstance(value, list):
        return any(map(has_figures, value))
    return isinstance(value, bool | int | float)


def text_of(value: Any) -> str:
    """As JSON; large whole numbers in groups, which no id has."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1000:
        return f"{value:_}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {text_of(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
