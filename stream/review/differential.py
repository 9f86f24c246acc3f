"""The differential count: cells a class, per cent of white cells, per 100 white cells, with the
error of counting.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .cell_classes import CellClass, Scheme

Z = 1.959963984540054  # of 95 %


@dataclass(frozen=True, slots=True)
class DifferentialLine:
    """One class: `percent` of white cells with its 95 % interval (Wilson) where it is white;
    `per_100` white cells for all.

    `flag` is low or high against the reference range, or empty.
    """

    name: str
    title: str
    white: bool
    count: int
    percent: float | None
    interval: tuple[float, float] | None
    per_100: float | None
    low: float | None
    high: float | None
    flag: str


def differential(scheme: Scheme, counts: Mapping[str, int]) -> list[DifferentialLine]:
    """One line a class of the scheme, in its order."""
    white = _white(scheme, counts)
    return [_line(c, counts.get(c.name, 0), white) for c in scheme.classes]


def total_lines(scheme: Scheme, counts: Mapping[str, int]) -> list[DifferentialLine]:
    """One line a class of the classical differential that the scheme has in finer classes."""
    white = _white(scheme, counts)
    return [
        _line(total.of, sum(counts.get(name, 0) for name in total.members), white)
        for total in scheme.totals
    ]


def _white(scheme: Scheme, counts: Mapping[str, int]) -> int:
    return sum(counts.get(c.name, 0) for c in scheme.classes if c.white)


def white_cells(lines: list[DifferentialLine]) -> int:
    return sum(line.count for line in lines if line.white)


def _line(of: CellClass, count: int, white: int) -> DifferentialLine:
    share = 100 * count / white if white else None
    percent, interval = (share, _wilson(count, white)) if of.white and white else (None, None)
    return DifferentialLine(
        of.name,
        of.title,
        of.white,
        count,
        percent,
        interval,
        share,
        of.low,
        of.high,
        _flag(of, share),
    )


def _flag(of: CellClass, share: float | None) -> str:
    if share is None or of.low is None or of.high is None:
        return ""
    return "low" if share < of.low else "high" if share > of.high else ""


def _wilson(count: int, white: int) -> tuple[float, float]:
    """Wilson's score interval (J. Am. Stat. Assoc. 22:209, 1927), in per cent.

    (p + z^2/2n -+ z sqrt(pq/n + z^2/4n^2)) / (1 + z^2/n)
    """
    p = count / white
    z2n = Z**2 / white
    middle = p + z2n / 2
    half = (z2n * (p * (1 - p) + z2n / 4)) ** 0.5
    return 100 * max(0.0, (middle - half) / (1 + z2n)), 100 * min(1.0, (middle + half) / (1 + z2n))
