"""Figures of the product that are written down, so that a fault that moves any of them is seen.

A test gives `golden` (a fixture of tests/conftest.py) all that a function makes of a small input;
the figures lie in `golden/NAME.json` beside the test. `make golden` writes them anew: the
difference is for a person to read. They notice a change and say nothing of what is right: other
tests do.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 96  # of a value that stays on one line
DIGITS = 9


def plain(value: Any) -> Any:
    """A value as JSON has it: an array of more than 64 numbers as its shape, type and some sums."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist()) if value.size <= 64 else summed(value)
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return rounded(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Sequence):
        return [plain(one) for one in value]
    raise TypeError(f"no figures of {type(value)}")


def rounded(value: float) -> float:
    """To so many digits that count."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else value


def summed(array: np.ndarray) -> dict[str, Any]:
    """Shape, type, mean and spread of an array, and along each axis where its weight lies: -1 to
    1; numbers that are not finite are counted and left out.
    """
    values = array.astype(np.float64)
    finite = np.isfinite(values)
    values = np.where(finite, values, 0)
    weight = np.abs(values) + 1e-3 * np.abs(values).max(initial=0)
    total = weight.sum() or 1.0
    ramps = [np.linspace(-1, 1, n) ** 3 + np.linspace(-1, 1, n) for n in array.shape]
    moments = [
        float((weight.sum(tuple(a for a in range(array.ndim) if a != axis)) * ramp).sum() / total)
        for axis, ramp in enumerate(ramps)
    ]
    return {
        "shape": list(array.shape),
        "type": str(array.dtype),
        "mean": rounded(float(values.mean())) if array.size else 0.0,
        "spread": rounded(float(values.std())) if array.size else 0.0,
        "along": [round(one, 7) for one in moments],
        **({} if finite.all() else {"not_finite": int((~finite).sum())}),
    }


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that stands alone, with the way to it."""
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in pairs:
            yield from leaves(one, f"{path}/{key}")
    else:
        yield path, value


def is_same(now: Any, before: Any, rel: float, least: float) -> bool:
    if isinstance(now, float) and isinstance(before, float | int) and not isinstance(before, bool):
        if math.isnan(now) or math.isnan(before):
            return math.isnan(now) and math.isnan(before)
        return math.isclose(now, before, rel_tol=rel, abs_tol=least)
    return type(now) is type(before) and bool(now == before)


def differences(now: Any, before: Any, rel: float, least: float) -> list[str]:
    """What is not as it was written down, a line each."""
    new, old = dict(leaves(now)), dict(leaves(before))
    return [
        f"{path}: {old.get(path, 'nothing')} was written down, now {new.get(path, 'nothing')}"
        for path in {**old, **new}
        if path not in new
        or path not in old
        or not is_same(new[path], old[path], rel=rel, least=least)
    ]


def written(value: Any, indent: int = 0) -> str:
    """JSON in which what is short stays on one line."""
    line = json.dumps(value)
    if len(line) + indent <= WIDTH or not isinstance(value, dict | list):
        return line
    inner = " " * (indent + 1)
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(key)}: {written(v, indent + 1)}" for key, v in value.items()]
    else:
        parts = [f"{inner}{written(one, indent + 1)}" for one in value]
    start, end = "{}" if isinstance(value, dict) else "[]"
    return start + "\n" + ",\n".join(parts) + "\n" + " " * indent + end


class GoldenFile:
    """The figures that a test holds its own against."""

    def __init__(self, folder: Path, is_remade: bool):
        self.folder, self.is_remade = folder, is_remade

    def __call__(self, name: str, figures: Any, rel: float = 1e-6, least: float = 1e-9) -> None:
        """Holds figures against those of `NAME.json`; numbers may differ by `rel` of themselves or
        by `least`.
        """
        path = self.folder / f"{name}.json"
        now = plain(figures)
        if self.is_remade:
            path.parent.mkdir(exist_ok=True)
            path.write_text(written(now) + "\n")
        assert path.exists(), f"{path}: not there, `make golden` writes it"
        found = differences(json.loads(written(now)), json.loads(path.read_text()), rel, least)
        assert not found, "\n".join([f"{len(found)} figures of {path.name}:", *found[:20]])
