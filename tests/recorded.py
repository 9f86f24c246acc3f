"""Functions in the place of others that write down what they are given: whole calls, in order, for
a test to hold against a text that was approved.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FunctionType, MethodType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

LONG = 500


def shown(value: Any) -> str:
    """A value in a line: an array by its shape, an object of many values by its type."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {shown(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(shown, value)) + "]"
    if value is None or isinstance(value, str | bytes | int | float):
        return repr(value)
    own = value if isinstance(value, type | FunctionType | MethodType) else type(value)
    name = own.__qualname__
    if callable(value) or isinstance(value, Console):
        return f"a {name}"
    if is_dataclass(value):
        inner = (f"{one.name}={shown(getattr(value, one.name))}" for one in fields(value))
        text = f"{name}({', '.join(inner)})"
    else:
        text = repr(value)
    return text if len(text) <= LONG and " at 0x" not in text else f"a {name}"


class Named(SimpleNamespace):
    """Anything that is written down by its name alone."""

    def __init__(self, name: str, **members: Any):
        super().__init__(name=name, **members)

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Recorded:
    """What was called so far, a line a call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.monkeypatch = monkeypatch
        self.lines: list[str] = []

    def function(self, name: str, answer: Any = None) -> Callable[..., Any]:
        """A function that writes down its calls; `answer` is what it gives, or makes it of what it
        is given.
        """

        def called(*given: Any, **named: Any) -> Any:
            words = [*map(shown, given), *(f"{key}={shown(one)}" for key, one in named.items())]
            self.lines.append(f"{name}({', '.join(words)})")
            return answer(*given, **named) if callable(answer) else answer

        return called

    def put(self, place: Any, name: str, answer: Any = None) -> None:
        """Such a function in the place of one of a module or an object."""
        self.monkeypatch.setattr(place, name, self.function(name, answer))

    def context(self, place: Any, name: str, value: Any = None) -> None:
        """A context manager in the place of one; its end is written down, too."""

        @contextmanager
        def entered(*given: Any, **named: Any) -> Iterator[Any]:
            self.function(name)(*given, **named)
            try:
                yield value
            finally:
                self.lines.append(f"{name} ends")

        self.monkeypatch.setattr(place, name, entered)

    def module(self, name: str, **members: Any) -> None:
        """A module of such members in the place of one that need not be installed."""
        self.monkeypatch.setitem(sys.modules, name, SimpleNamespace(**members))
