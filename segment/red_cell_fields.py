"""Red cells of sampled fields of the monolayer: how many, how large, how round, how pale in the
middle.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ingest import Tile

from .grid import Grid, work_grid
from .platelets import find_platelets
from .red_cells import numbered, red_owners
from .region import Blob
from .stain import Stain
from .white_cells import find_whites

MIDDLE = 1 / 3  # of the radius, where the pallor is looked for
RIM_PERCENT = 90


@dataclass(frozen=True, slots=True)
class RedCell:
    """One red cell: middle in level-0 px, area in um2; `roundness` is 4 area / (pi major axis^2), 1
    for a disc; `pallor` by how much the stain of its middle falls short of that of its rim, 0 for
    none, 1 for glass.
    """

    x_px0: int
    y_px0: int
    area_um2: float
    roundness: float
    pallor: float

    @property
    def diameter_um(self) -> float:
        """Of the disc of the same area."""
        return float(2 * np.sqrt(self.area_um2 / np.pi))


@dataclass(frozen=True, slots=True)
class RedField:
    """One field: its box in level-0 px, area, cells, and `labels` (h, w) uint16 on the work lattice
    of `mpp` um/px from its upper left corner, where red cell number i of `reds` is i + 1."""

    box_px0: tuple[int, int, int, int]
    mm2: float
    reds: tuple[RedCell, ...]
    whites: int
    platelets: int
    labels: np.ndarray
    mpp: float


@dataclass(frozen=True, slots=True)
class RedSmear:
    """The fields together: medians, and the coefficient of variation of the diameter; shares are of
    the same fields.
    """

    fields: int
    mm2: float
    cells: int
    per_mm2: float
    diameter_um: float
    diameter_cv: float
    roundness: float
    pallor: float
    whites_per_1000: float
    platelets_per_field: float


def measure_field(tile: Tile, stain: Stain) -> RedField:
    """The cells whose middles a field owns."""
    grid = work_grid(tile)
    white, stained = stain.white(grid.sums, grid.share), stain.stained(grid.sums, grid.share)
    whites, taken = find_whites(white, grid, stain)
    platelets = find_platelets(white, stained, taken, grid, stain)
    red = stain.red(grid.sums, grid.share)
    owner, count = red_owners(red, taken, grid, stain)
    own = [
        (i, blob)
        for i, blob in numbered(owner, count, grid)
        if tile.spec.owns(*blob.centre_px0(grid))
    ]
    x0, y0, x1, y1 = tile.spec.box_px0
    return RedField(
        (x0, y0, x1, y1),
        (x1 - x0) * (y1 - y0) * (grid.mpp / grid.step_px0 / 1000) ** 2,
        tuple(red_cell(i, blob, owner, red, grid) for i, blob in own),
        *(sum(tile.spec.owns(*b.centre_px0(grid)) for b in blobs) for blobs in (whites, platelets)),
        labels_of(owner, [i for i, _ in own], grid, tile.spec.box_px0),
        grid.mpp,
    )


def red_cell(
    number: int, blob: Blob, owner: np.ndarray, stained: np.ndarray, grid: Grid
) -> RedCell:
    x0, y0, x1, y1 = blob.box
    where = slice(y0 - grid.y, y1 - grid.y), slice(x0 - grid.x, x1 - grid.x)
    rows, cols = np.nonzero(owner[where] == number)
    area = len(rows) * grid.mpp**2
    major = (
        4 * np.sqrt(np.linalg.eigvalsh(np.cov(rows, cols, ddof=0) + np.eye(2) / 12)[1]) * grid.mpp
    )
    values = stained[where][rows, cols].astype(float)
    middle = np.hypot(rows - rows.mean(), cols - cols.mean()) * grid.mpp <= MIDDLE * np.sqrt(
        area / np.pi
    )
    rim = max(1.0, float(np.percentile(values, RIM_PERCENT)))
    pallor = 1 - values[middle].mean() / rim if middle.any() else 0.0
    round_ = min(1.0, float(4 * area / (np.pi * major**2)))
    return RedCell(
        *blob.centre_px0(grid), round(area, 3), round(round_, 4), round(max(0.0, float(pallor)), 4)
    )


def labels_of(
    owner: np.ndarray, numbers: Sequence[int], grid: Grid, box_px0: tuple[int, int, int, int]
) -> np.ndarray:
    """The field's window of a map of owners, its own cells numbered from 1."""
    renamed = np.zeros(owner.max() + 2, np.uint16)
    renamed[np.asarray(numbers, int) + 1] = np.arange(1, len(numbers) + 1)
    x0, y0, x1, y1 = (v // grid.step_px0 for v in box_px0)
    return renamed[owner + 1][y0 - grid.y : y1 - grid.y, x0 - grid.x : x1 - grid.x]


def summary_of(fields: Sequence[RedField]) -> RedSmear | None:
    """The figures of all fields; None where they hold no red cell."""
    reds = [cell for field in fields for cell in field.reds]
    if not reds:
        return None
    mm2, diameters = (
        float(sum(f.mm2 for f in fields)),
        np.array([cell.diameter_um for cell in reds]),
    )
    medians = (
        float(np.median([getattr(cell, name) for cell in reds])) for name in ("roundness", "pallor")
    )
    return RedSmear(
        len(fields),
        mm2,
        len(reds),
        len(reds) / mm2,
        float(np.median(diameters)),
        float(diameters.std() / diameters.mean()),
        *medians,
        1000 * sum(f.whites for f in fields) / len(reds),
        float(sum(f.platelets for f in fields) / len(fields)),
    )
