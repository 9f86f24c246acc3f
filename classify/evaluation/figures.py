"""The figures of an evaluation: a value, its interval, and which arm, axis and set it is of."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import isnan
from typing import Any

import numpy as np

from .metrics import interval

DIFFERENCE = "ours - baseline"


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` with the 95 % bootstrap interval [low, high]; `of` is the row of the table, `metric`
    what was measured.
    """

    axis: str
    of: str
    metric: str
    arm: str
    value: float
    low: float
    high: float
    cells: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which has no NaN: None is no interval."""
        numbers = {
            k: None if isnan(v) else round(v, 5)
            for k, v in asdict(self).items()
            if isinstance(v, float)
        }
        return asdict(self) | numbers


@dataclass(slots=True)
class Findings:
    """Figures of an axis, PNG pictures by title, and what a reader must know of them."""

    figures: list[Figure] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ResampledRow:
    """What the figures of one row share: axis, row, metric, resamples of the bootstrap, strata (n,)
    of its cells.
    """

    axis: str
    of: str
    metric: str
    strata: np.ndarray
    resamples: int

    def figure(self, arm: str, statistic: Callable[[np.ndarray], float]) -> Figure:
        value, low, high = interval(statistic, self.strata, self.resamples)
        return Figure(self.axis, self.of, self.metric, arm, value, low, high, len(self.strata))

    def compare(
        self, arms: Mapping[str, Callable[[np.ndarray], float]], pair: tuple[str, str] | None = None
    ) -> list[Figure]:
        """A figure an arm, given its statistic of chosen rows; and the difference of the first to
        the second of `pair`.
        """
        figures = [self.figure(arm, statistic) for arm, statistic in arms.items()]
        if pair is None:
            return figures
        first, second = (arms[name] for name in pair)
        return [*figures, self.figure(DIFFERENCE, lambda i: first(i) - second(i))]


def plain(axis: str, of: str, metric: str, arm: str, value: float, cells: int) -> Figure:
    """A figure without an interval."""
    return Figure(axis, of, metric, arm, value, float("nan"), float("nan"), cells)


def best_figure(figures: Iterable[Figure], prefix: str) -> str:
    """The arm of greatest value among those whose name begins so."""
    return max((f for f in figures if f.arm.startswith(prefix)), key=lambda f: f.value).arm
