"""Cells of a tile: found, split, measured, cropped; and one that a person has marked."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from ingest import Slide, SlideError, Tile, TileSpec, read_tile, step_px0

from .crops import CROP_PX, CROP_UM, crops_at
from .grid import WORK_MPP, work_grid
from .kinds import StainSignals, find_kinds
from .masks import cell_masks
from .stain import Stain

_CLICK_UM = 1.0  # a box smaller than this is a click
_DEFAULT_UM = 12.0  # the box of a cell that is marked by a click, where nothing stained is found
_LARGEST_UM = CROP_UM  # of a box: its crop shows no more
_PLATELET_UM2 = 20.0  # at most: the disc of a platelet is hardly wider than 5 um
_MARGIN_UM = 40.0
_PX_UM = CROP_UM / CROP_PX
_SHIFT_UM = 8.0  # as far as the middle of what is stained may lie from a click


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
    places = [(x, y) for y, x in sorted(mine)]
    crops = crops_at(tile, places)
    return [
        Cell(
            cell_id(slide_id, x, y),
            slide_id,
            mine[y, x].kind,
            x,
            y,
            mine[y, x].box_px0(grid),
            mine[y, x].area_um2(grid),
            crop,
        )
        for (x, y), crop in zip(places, crops, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class MarkedPlace:
    """Where a person has marked a cell: a box, or a click (a box of no size), in level-0 px."""

    slide: Slide
    box_px0: tuple[int, int, int, int]


def cut_marked_cell(place: MarkedPlace) -> Cell:
    """The cell of a place: its crop is centred on the box, or on what is stained where a person has
    clicked. Takes one value, as workers hand it over.

    Raises:
        SlideError: the place lies outside the slide, is too large, or cannot be decoded.
    """
    slide = place.slide
    x0, y0, x1, y1 = place.box_px0
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    if not (0 <= middle[0] < slide.width_px0 and 0 <= middle[1] < slide.height_px0):
        raise SlideError("the place lies outside the slide", "mark a cell on the slide")
    if max(x1 - x0, y1 - y0) * slide.mpp > _LARGEST_UM:
        raise SlideError(
            f"the box is wider than {_LARGEST_UM:g} um", "draw it around one cell alone"
        )
    box = place.box_px0
    if max(x1 - x0, y1 - y0) * slide.mpp < _CLICK_UM:
        box = _stained_box(slide, middle)
    return _marked_cell(slide, box)


def _marked_cell(slide: Slide, box: tuple[int, int, int, int]) -> Cell:
    x0, y0, x1, y1 = box
    x, y, crop = _crop(slide, ((x0 + x1) / 2, (y0 + y1) / 2))
    area = _area_um2(crop, (x1 - x0) * slide.mpp, (y1 - y0) * slide.mpp)
    inside = max(x0, 0), max(y0, 0), min(x1, slide.width_px0), min(y1, slide.height_px0)
    kind = "platelet" if area <= _PLATELET_UM2 else "wbc"
    return Cell(cell_id(slide.slide_id, x, y), slide.slide_id, kind, x, y, inside, area, crop)


def _crop(slide: Slide, middle: tuple[float, float]) -> tuple[int, int, np.ndarray]:
    """The crop around the point of the slide's pixel grid next to `middle`, and that point."""
    step = step_px0(slide)
    x, y = (int(value // step) * step for value in middle)
    margin = math.ceil(_MARGIN_UM / slide.mpp / step) * step
    tile = read_tile(slide, TileSpec(x, y, step, step, margin, step))
    if tile.unread:
        raise SlideError("this place of the slide cannot be decoded", "scan the slide again")
    return x, y, crops_at(tile, [(x, y)])[0]


def _stained_box(slide: Slide, click: tuple[float, float]) -> tuple[int, int, int, int]:
    """The box in level-0 px of what is stained at a click; of `_DEFAULT_UM` where nothing is."""
    x, y, crop = _crop(slide, click)
    _, cell = cell_masks(crop)
    rows, columns = (np.flatnonzero(cell.any(axis=axis)) for axis in (1, 0))
    if len(rows):
        edges = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        left, top, right, bottom = ((int(edge) - CROP_PX / 2) * _PX_UM for edge in edges)
        away = math.hypot((left + right) / 2, (top + bottom) / 2)
        if away <= _SHIFT_UM and max(right - left, bottom - top) < _LARGEST_UM - 2 * _PX_UM:
            return _box(slide, (x, y), (left, top, right, bottom))
    half = _DEFAULT_UM / 2
    return _box(slide, click, (-half, -half, half, half))


def _box(
    slide: Slide, middle: tuple[float, float], sides_um: tuple[float, float, float, float]
) -> tuple[int, int, int, int]:
    x, y = middle
    left, top, right, bottom = (side / slide.mpp for side in sides_um)
    return round(x + left), round(y + top), round(x + right), round(y + bottom)


def _area_um2(crop: np.ndarray, width_um: float, height_um: float) -> float:
    """The stained area inside a box in the middle of a crop; that of an ellipse in the box where
    nothing is stained.
    """
    half = (height_um / 2 / _PX_UM, width_um / 2 / _PX_UM)
    rows, columns = (
        slice(max(0, math.floor(CROP_PX / 2 - side)), math.ceil(CROP_PX / 2 + side))
        for side in half
    )
    _, cell = cell_masks(crop)
    stained = int(cell[rows, columns].sum()) * _PX_UM**2
    return round(stained or math.pi / 4 * width_um * height_um, 3)
