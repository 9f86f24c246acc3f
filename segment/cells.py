"""Cells of a tile: found, split, measured, cropped."""

import hashlib
from dataclasses import dataclass

import numpy as np

from ingest import Tile

from .crops import crop_at
from .grid import WORK_MPP, Grid, work_grid
from .platelets import find_platelets
from .red_cells import find_reds
from .region import Blob
from .stain import Stain
from .white_cells import find_whites


@dataclass(frozen=True, slots=True)
class Cell:
    """One stained object: `kind` is "wbc", "platelet" or "rbc"; boxes and centre are in level-0 px.

    `crop` (128, 128, 3) uint8 is the 36 um square centred on (x_px0, y_px0). The id is a function
    of the slide's content and the centre alone.
    """

    cell_id: str
    slide_id: str
    kind: str
    x_px0: int
    y_px0: int
    box_px0: tuple[int, int, int, int]
    area_um2: float
    crop: np.ndarray


def cell_id(slide_id: str, x_px0: int, y_px0: int) -> str:
    return hashlib.blake2b(f"{slide_id}:{x_px0}:{y_px0}".encode(), digest_size=10).hexdigest()


def find_cells(
    tile: Tile,
    stain: Stain,
    slide_id: str,
    kinds: tuple[str, ...] = ("wbc", "platelet"),
    work_mpp: float = WORK_MPP,
) -> list[Cell]:
    """The cells whose centres the tile owns, row by row.

    What is found at a place depends on the pixels within the tile's margin of it alone, so the
    cells of a slide do not depend on how it is cut into tiles.
    """
    grid = work_grid(tile, work_mpp)
    centred = [(b, *b.centre_px0(grid)) for b in find_blobs(grid, stain, kinds) if b.kind in kinds]
    mine = {(y, x): b for b, x, y in sorted(centred, key=_least_first) if tile.spec.owns(x, y)}
    return [_cell(mine[y, x], tile, grid, slide_id) for y, x in sorted(mine)]


def find_blobs(grid: Grid, stain: Stain, kinds: tuple[str, ...]) -> list[Blob]:
    """All objects of these kinds on the work lattice."""
    white = stain.white(grid.sums, grid.share)
    stained = stain.stained(grid.sums, grid.share)
    found, taken = find_whites(white, grid, stain)
    if "platelet" in kinds:
        found += find_platelets(white, stained, taken, grid, stain)
    return found + (
        find_reds(stain.red(grid.sums, grid.share), taken, grid, stain) if "rbc" in kinds else []
    )


def _least_first(centred: tuple[Blob, int, int]) -> tuple[int, int]:
    """So that of two objects with one centre, and thus one id, the white cell, then the larger
    stays.
    """
    blob = centred[0]
    return ("rbc", "platelet", "wbc").index(blob.kind), blob.count


def _cell(blob: Blob, tile: Tile, grid: Grid, slide_id: str) -> Cell:
    x, y = blob.centre_px0(grid)
    crop = crop_at(tile, x, y)
    return Cell(
        cell_id(slide_id, x, y),
        slide_id,
        blob.kind,
        x,
        y,
        blob.box_px0(grid),
        blob.area_um2(grid),
        crop,
    )
