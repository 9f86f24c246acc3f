"""The table of cell sizes on a model's card: areas and kinds of labelled crops as the finder of the
slides sees them.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from classify.model_card import CellSize
from segment import fit_crop_stain, measure_middle

LEAST_CELLS = 10  # of a class and laboratory
LEAST_SIZE_SPREAD = 0.3  # of the log area: laboratories differ in stain and focus
MOST_MEASURED = 60  # of a label and laboratory; more changes little


@dataclass(frozen=True, slots=True)
class MeasuredCell:
    """A labelled cell as found: classes that its label allows, laboratory, kind, area in um2."""

    classes: tuple[str, ...]
    laboratory: int
    kind: str
    area_um2: float


def measure_crops(
    images: np.ndarray, allowed: Iterable[tuple[str, ...]], laboratories: np.ndarray
) -> list[MeasuredCell]:
    """Measures crops (n, 128, 128, 3) uint8, 36 um wide, of known classes and laboratories (n,);
    each laboratory has a stain of its own. Crops with no cell in their middle are left out.
    """
    labels = list(allowed)
    found = []
    for laboratory in np.unique(laboratories):
        here = np.flatnonzero(laboratories == laboratory)
        stain = fit_crop_stain([images[i] for i in here])
        taken: dict[tuple[str, ...], int] = defaultdict(int)
        for i in here:
            taken[labels[i]] += 1
            if taken[labels[i]] > MOST_MEASURED:
                continue
            if seen := measure_middle(images[i], stain):
                found.append(MeasuredCell(labels[i], int(laboratory), *seen))
    return found


def fit_sizes(cells: Iterable[MeasuredCell]) -> dict[str, CellSize]:
    """The log-normal area of each class and its share of white cells. Each laboratory counts alike;
    a class with few cells has no entry.
    """
    groups: dict[str, dict[int, list[MeasuredCell]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        for name in cell.classes:
            groups[name][cell.laboratory].append(cell)
    return {
        name: size
        for name, by_laboratory in sorted(groups.items())
        if (size := class_size([g for g in by_laboratory.values() if len(g) >= LEAST_CELLS]))
    }


def class_size(laboratories: list[list[MeasuredCell]]) -> CellSize | None:
    """The size of a class from its cells by laboratory; None without any."""
    if not laboratories:
        return None
    logs = [np.log([cell.area_um2 for cell in group]) for group in laboratories]
    mean = float(np.mean([values.mean() for values in logs]))
    spread = float(np.sqrt(np.mean([((values - mean) ** 2).mean() for values in logs])))
    shares = [
        (sum(cell.kind == "wbc" for cell in group) + 0.5) / (len(group) + 1)
        for group in laboratories
    ]
    return CellSize(
        log_mean=round(mean, 3),
        log_spread=round(max(spread, LEAST_SIZE_SPREAD), 3),
        white=round(float(np.mean(shares)), 4),
        cells=sum(map(len, laboratories)),
    )
