"""Red cells of sampled fields of the monolayer: how many, how large, how round, how pale in the
middle.

Limits without a source beside them were chosen by hand; together they are measured by `python -m
tests.tools.bench.red_cells DATA` and, on patients with a known diagnosis, by `python -m
tests.tools.bench.red_slides DATA --work DIR`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ingest import Tile, seams_of

from .crops import crops_at
from .grid import Grid, work_grid
from .platelets import find_platelets
from .red_cells import numbered, red_owners
from .region import Blob, region_shapes
from .stain import Stain
from .white_cells import find_whites

TOUCH = 0.3  # of an outline: touching round cells share less, overlapping ones more
LARGE_PLATELET_UM2 = 12.6  # a disc of 4 um, where ICSH 2015 calls a platelet large
CLUMP = 3
CLUMP_REACH_UM = 3.5


@dataclass(frozen=True, slots=True)
class RedCell:
    """One red cell: middle in level-0 px, area in um2; `roundness` is 4 area / (pi major axis^2), 1
    for a disc; `pallor` by how much the stain of its middle falls short of that of its rim, 0 for
    none, 1 for glass. `whole` unless the edge of the slide or a seam cuts it; `separate` where no
    more of its outline than a touch is another cell's: others are counted, and not judged.
    """

    x_px0: int
    y_px0: int
    area_um2: float
    roundness: float
    pallor: float
    whole: bool = True
    separate: bool = True
    box_px0: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def diameter_um(self) -> float:
        """Of the disc of the same area."""
        return float(2 * np.sqrt(self.area_um2 / np.pi))


@dataclass(frozen=True, slots=True)
class RedField:
    """One field: its box in level-0 px, area, cells, and `labels` (h, w) uint16 on the work
    lattice of `mpp` um/px from its upper left corner, where red cell number i of `reds`
    is i + 1. `judged` are the numbers of those that were cut out, as `crops` (n, px, px,
    3) uint8.
    """

    box_px0: tuple[int, int, int, int]
    mm2: float
    reds: tuple[RedCell, ...]
    whites: int
    platelets: int
    labels: np.ndarray
    mpp: float
    large_platelets: int = 0
    platelet_clumps: int = 0
    judged: tuple[int, ...] = ()
    crops: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class RedCrops:
    """Which red cells of a field are cut out, to be judged: at most `most`, `side_um` wide."""

    side_um: float
    px: int
    most: int


@dataclass(frozen=True, slots=True)
class RedSmear:
    """The fields together: medians, and mean and coefficient of variation of the diameter, of the
    whole separate cells; `cells` are all, and shares are of the same fields.
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
    diameter_mean_um: float


def measure_field(
    tile: Tile,
    stain: Stain,
    size_px0: tuple[int, int] | None = None,
    cut: RedCrops | None = None,
) -> RedField:
    """The cells whose middles a field owns; `size_px0` is the slide's, whose edge may cut a cell,
    `cut` says which cells to cut out.
    """
    grid = work_grid(tile)
    white = stain.white(grid.sums, grid.share)
    stained = stain.stained(grid.sums, grid.share)
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
    touched = touched_share(owner, count)
    seams = seams_of(tile)
    reds = tuple(
        replace(
            cell,
            whole=_inside(cell.box_px0, size_px0, grid.step_px0)
            and not seams.cut(cell.box_px0, grid.step_px0),
            separate=bool(touched[i] <= TOUCH),
        )
        for (i, _), cell in zip(own, red_cells_of(own, owner, red, grid), strict=True)
    )
    judged = _evenly([i for i, r in enumerate(reds) if r.whole and r.separate], cut)
    here = [b for b in platelets if tile.spec.owns(*b.centre_px0(grid))]
    return RedField(
        (x0, y0, x1, y1),
        (x1 - x0) * (y1 - y0) * (grid.mpp / grid.step_px0 / 1000) ** 2,
        reds,
        sum(tile.spec.owns(*blob.centre_px0(grid)) for blob in whites),
        sum(tile.spec.owns(*blob.centre_px0(grid)) for blob in platelets),
        labels_of(owner, [i for i, _ in own], grid, tile.spec.box_px0),
        grid.mpp,
        sum(b.area_um2(grid) >= LARGE_PLATELET_UM2 for b in here),
        clumps_of(here, grid),
        judged,
        crops_at(tile, [(reds[i].x_px0, reds[i].y_px0) for i in judged], cut.side_um, cut.px)
        if cut and judged
        else None,
    )


def _evenly(numbers: list[int], cut: RedCrops | None) -> tuple[int, ...]:
    """At most `cut.most` of them, spread over all."""
    if cut is None or not numbers:
        return ()
    chosen = np.linspace(0, len(numbers) - 1, min(cut.most, len(numbers))).astype(int)
    return tuple(numbers[i] for i in chosen)


def _inside(
    box_px0: tuple[int, int, int, int], size_px0: tuple[int, int] | None, edge_px0: int
) -> bool:
    """Whether a box keeps clear of the slide's edge."""
    if size_px0 is None:
        return True
    high = all(b <= n - edge_px0 for b, n in zip(box_px0[2:], size_px0, strict=True))
    return min(box_px0[:2]) >= edge_px0 and high


def touched_share(owner: np.ndarray, count: int) -> np.ndarray:
    """Of each red cell (count,) the share of its outline that is another red cell's."""
    edge, shared = (np.zeros(count, int) for _ in range(2))
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        beside = np.roll(owner, step, axis)
        outline = (owner >= 0) & (beside != owner)
        edge += np.bincount(owner[outline], minlength=count)
        shared += np.bincount(owner[outline & (beside >= 0)], minlength=count)
    return shared / np.maximum(edge, 1)


def clumps_of(platelets: Sequence[Blob], grid: Grid) -> int:
    """How many heaps of three platelets or more lie there, each within reach of the next."""
    if len(platelets) < CLUMP:
        return 0
    pairs = cKDTree([b.centre_px0(grid) for b in platelets]).query_pairs(
        CLUMP_REACH_UM / grid.mpp * grid.step_px0, output_type="ndarray"
    )
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(platelets),) * 2)
    _, heap = connected_components(links, directed=False)
    return int((np.bincount(heap) >= CLUMP).sum())


def red_cells_of(
    own: Sequence[tuple[int, Blob]], owner: np.ndarray, stained: np.ndarray, grid: Grid
) -> list[RedCell]:
    """The cells `own`, each with its number in the map of owners, measured."""
    numbers = np.array([number for number, _ in own], int)
    shapes = region_shapes(owner, numbers, stained, grid)
    columns = (shapes.area_um2.tolist(), shapes.roundness.tolist(), shapes.pallor.tolist())
    return [
        RedCell(
            *blob.centre_px0(grid),
            round(area_um2, 3),
            round(roundness, 4),
            round(pallor, 4),
            box_px0=blob.box_px0(grid),
        )
        for (_, blob), area_um2, roundness, pallor in zip(own, *columns, strict=True)
    ]


def labels_of(
    owner: np.ndarray, numbers: Sequence[int], grid: Grid, box_px0: tuple[int, int, int, int]
) -> np.ndarray:
    """The field's window of a map of owners, its own cells numbered from 1."""
    renamed = np.zeros(owner.max() + 2, np.uint16)
    renamed[np.asarray(numbers, int) + 1] = np.arange(1, len(numbers) + 1)
    x0, y0, x1, y1 = (v // grid.step_px0 for v in box_px0)
    result: np.ndarray = renamed[owner + 1][y0 - grid.y : y1 - grid.y, x0 - grid.x : x1 - grid.x]
    return result


def summary_of(fields: Sequence[RedField]) -> RedSmear | None:
    """The figures of all fields; None where they hold no red cell."""
    reds = [cell for field in fields for cell in field.reds]
    if not reds:
        return None
    mm2 = float(sum(f.mm2 for f in fields))
    sound = [cell for cell in reds if cell.whole and cell.separate] or reds
    diameters = np.array([cell.diameter_um for cell in sound])
    return RedSmear(
        len(fields),
        mm2,
        len(reds),
        len(reds) / mm2,
        float(np.median(diameters)),
        float(diameters.std() / diameters.mean()),
        float(np.median([cell.roundness for cell in sound])),
        float(np.median([cell.pallor for cell in sound])),
        1000 * sum(f.whites for f in fields) / len(reds),
        float(sum(f.platelets for f in fields) / len(fields)),
        float(diameters.mean()),
    )
