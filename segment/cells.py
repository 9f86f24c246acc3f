"""Cells of a tile: found, split, measured, cropped."""

import hashlib
from dataclasses import dataclass

import numpy as np

from ingest import Tile

from .crops import crop_at
from .grid import WORK_MPP, Grid, work_grid
from .kinds import StainSignals, find_kinds
from .region import Blob
from .stain import Stain


@dataclass(frozen=True, slots=True)
class Cell:
    """One stained object: `kind` is one of `KIND_NAMES`; boxes and centre are in level-0 px.

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
    found = find_kinds(StainSignals(grid, stain), kinds)
    centred = [(blob, *blob.centre_px0(grid)) for blob in found]
    mine = {(y, x): blob for blob, x, y in centred if tile.spec.owns(x, y)}
    return [_cell(mine[y, x], tile, grid, slide_id) for y, x in sorted(mine)]


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
