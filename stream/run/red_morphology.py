"""What a report says of the red cells and platelets of a slide: shares of kinds with intervals,
grades, estimates. Pure functions of measured cells and their labels.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from classify import UNIDENTIFIED
from segment import RedCell
from stream.config import RedCells

NORMAL = "normal"
OTHER_KIND = "other"
NOT_SHARED = (OTHER_KIND, UNIDENTIFIED)
SIZES = ("macrocyte", "microcyte")
_PALE = "hypochromic"
SCHISTOCYTE = "schistocyte"
# Per cent of red cells from which a kind is graded 1 (few), 2 (moderate), 3 (many): Palmer et al.,
# ICSH recommendations for the standardization of nomenclature and grading of peripheral blood cell
# morphological features, Int J Lab Hematol 37:287-303 (2015), which grades 1 for schistocytes
# alone; for the others 1 begins here at half of 2. Of schistocytes up to 1 % is the reference range
# of adults, more is suspicious of a thrombotic microangiopathy (Zini et al., ICSH, Int J Lab
# Hematol 43:1264-1271, 2021).
GRADES: dict[str, tuple[float, float, float]] = {
    "macrocyte": (5.5, 11, 20),
    "microcyte": (5.5, 11, 20),
    "hypochromic": (5.5, 11, 20),
    "anisocytosis": (5.5, 11, 20),
    "elliptocyte": (2.5, 5, 20),
    "ovalocyte": (2.5, 5, 20),
    "spherocyte": (2.5, 5, 20),
    "stomatocyte": (2.5, 5, 20),
    "target-cell": (2.5, 5, 20),
    "teardrop": (2.5, 5, 20),
    "burr-cell": (2.5, 5, 20),
    "poikilocytosis": (2.5, 5, 20),
    SCHISTOCYTE: (0.2, 1, 2),
}
# Area against the slide's own normal cells: a fifth of the diameter. By hand, as the next two are.
# `python -m tests.tools.bench.red_slides DATA --work DIR` shows what comes of them.
LARGER = 1.45
SMALLER = 0.69
PALER = 0.25  # pallor beyond theirs
REFERENCE_CELLS = 20
FIELD_MM2 = 0.038  # of a 100x objective under a 22 mm eyepiece


@dataclass(frozen=True, slots=True)
class JudgedRed:
    """A red cell and what it is called, with its probability and anomaly score."""

    cell: RedCell
    label: str
    probability: float
    anomaly: float


@dataclass(frozen=True, slots=True)
class Share:
    """Cells of one kind among those that were judged: per cent with a 95 % interval (Wilson), and
    the grade, 0 to 3.
    """

    count: int
    percent: float
    low: float
    high: float
    grade: int


def wilson_interval(count: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """Between which shares that of a population lies, given `count` in a sample (Wilson 1927)."""
    z = float(ndtri((1 + level) / 2))
    middle = (count + z**2 / 2) / (of + z**2)
    half = z / (of + z**2) * math.sqrt(count * (of - count) / of + z**2 / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def share_of(name: str, count: int, of: int) -> Share:
    """The share of `count` cells in `of`, graded as `name`."""
    low, high = wilson_interval(count, of)
    percent = round(100 * count / of, 4)  # what is shown is rounded once
    return Share(
        count,
        percent,
        round(100 * low, 4),
        round(100 * high, 4),
        grade_of(name, percent),
    )


def grade_of(name: str, percent: float) -> int:
    """0 to 3 by `GRADES`; 0 for what is not graded."""
    return sum(percent >= line for line in GRADES.get(name, ()))


def relative_to_normal(judged: Sequence[JudgedRed]) -> list[JudgedRed]:
    """The cells, those called normal that are far larger, smaller or paler than the slide's own
    normal cells renamed; as they are where the slide has too few normal cells.
    """
    normal = [one.cell for one in judged if one.label == NORMAL]
    if len(normal) < REFERENCE_CELLS:
        return list(judged)
    area = float(np.median([cell.area_um2 for cell in normal]))
    pallor = float(np.median([cell.pallor for cell in normal]))
    return [
        replace(one, label=relative_label(one.cell, area, pallor)) if one.label == NORMAL else one
        for one in judged
    ]


def relative_label(cell: RedCell, area_um2: float, pallor: float) -> str:
    """What a cell is called that is normal but for its size and pallor."""
    if cell.area_um2 > LARGER * area_um2:
        return SIZES[0]
    if cell.area_um2 < SMALLER * area_um2:
        return SIZES[1]
    return _PALE if cell.pallor > pallor + PALER else NORMAL


def shares_of(judged: Sequence[JudgedRed]) -> dict[str, Share]:
    """The share of each kind among the red cells that were judged."""
    return shares_of_counts(Counter(one.label for one in judged))


def shares_of_counts(cells: Mapping[str, int]) -> dict[str, Share]:
    """The share of each kind, given how many cells there are of it; what is no red cell aside, most
    first; with `anisocytosis` (cells of unusual size) and `poikilocytosis` (of unusual shape).
    """
    counts = Counter({name: n for name, n in cells.items() if n and name not in NOT_SHARED})
    total = counts.total()
    if not total:
        return {}
    unusual_size = sum(counts[name] for name in SIZES)
    usual_shape = sum(counts[name] for name in (NORMAL, _PALE, *SIZES))
    groups = {"anisocytosis": unusual_size, "poikilocytosis": total - usual_shape}
    named = [*counts.most_common(), *groups.items()]
    return {name: share_of(name, count, total) for name, count in named}


def leading_finding(shares: dict[str, Share]) -> str | None:
    """The most frequent graded kind, of equals the one graded later; None where none is graded."""
    kinds = [
        name
        for name, share in shares.items()
        if share.grade and name not in ("anisocytosis", "poikilocytosis")
    ]
    return max(kinds, key=lambda name: (shares[name].percent, GRADES[name]), default=None)


def estimates_of(
    platelets: int, whites: int, mm2: float, settings: RedCells
) -> dict[str, float | None]:
    """Platelets and white cells per litre, from those of the fields."""
    if not mm2:
        return {"platelets_per_litre": None, "whites_per_litre": None}
    fields = mm2 / FIELD_MM2
    return {
        "platelets_per_litre": float(f"{platelets / fields * settings.platelet_factor:.3g}"),
        "whites_per_litre": float(f"{whites / fields * settings.white_factor:.3g}"),
    }
