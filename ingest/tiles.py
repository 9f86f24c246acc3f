"""Tiles: where to read, and what was read. A tile owns its core; the margin around it is there to
see whole cells.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from .errors import SlideAwayError, SlideError
from .readers import READ_MPP, read_grid, step_px0
from .slide import Slide
from .survey import StainMask

MARGIN_UM = 40.0
BLOCK_PX = 256  # as read: the least that is given up where the file is damaged


@dataclass(frozen=True, slots=True)
class TileSpec:
    """The core of a tile in level-0 px, cut to the slide; `step_px0` level-0 px make one pixel as
    read.
    """

    x_px0: int
    y_px0: int
    width_px0: int
    height_px0: int
    margin_px0: int
    step_px0: int

    def owns(self, x_px0: float, y_px0: float) -> bool:
        """Half-open, so that every point of the slide has one owner."""
        return (
            0 <= x_px0 - self.x_px0 < self.width_px0 and 0 <= y_px0 - self.y_px0 < self.height_px0
        )

    @property
    def box_px0(self) -> tuple[int, int, int, int]:
        return self.x_px0, self.y_px0, self.x_px0 + self.width_px0, self.y_px0 + self.height_px0


@dataclass(frozen=True, slots=True)
class Tile:
    """Pixels (h, w, 3) uint8 of a spec with its margin; pixel (row, col) is the mean over the
    `step_px0` square of level-0 px at (x_px0 + col * step_px0, y_px0 + row * step_px0). Outside the
    slide it is `background`, and so are the boxes `unread` in level-0 px, which cannot be decoded.

    The pixel grid is that of the whole slide: the same place has the same pixels in every tile that
    shows it.
    """

    spec: TileSpec
    pixels: np.ndarray
    x_px0: int
    y_px0: int
    mpp: float
    unread: tuple[tuple[int, int, int, int], ...] = ()

    @property
    def step_px0(self) -> int:
        return self.spec.step_px0


def plan_tiles(
    slide: Slide, smear: StainMask, tile_px: int = 1024, mpp: float = READ_MPP
) -> Iterator[TileSpec]:
    """Tiles of `tile_px` pixels as read, row by row, only where the smear has something to look at;
    `mpp` is as coarse as they are read at most."""
    step = step_px0(slide, mpp)
    size = tile_px * step
    margin = math.ceil(MARGIN_UM / slide.mpp / step) * step
    for y in range(0, slide.height_px0, size):
        for x in range(0, slide.width_px0, size):
            width, height = min(size, slide.width_px0 - x), min(size, slide.height_px0 - y)
            if smear.any_in((x, y, x + width, y + height)):
                yield TileSpec(x, y, width, height, margin, step)


def read_tile(
    slide: Slide, spec: TileSpec, background_rgb: tuple[int, int, int] = (255, 255, 255)
) -> Tile:
    """Read a tile with its margin; what cannot be decoded of it is left out.

    Raises:
        SlideError: nothing of it can be decoded, or the file has gone.
    """
    m = spec.margin_px0
    step = spec.step_px0
    x0, y0 = spec.x_px0 - m, spec.y_px0 - m
    x1, y1 = (
        -(-(v + m) // step) * step
        for v in (spec.x_px0 + spec.width_px0, spec.y_px0 + spec.height_px0)
    )
    try:
        pixels = read_grid(slide, (x0, y0, x1, y1), step, background_rgb)
        unread: tuple[tuple[int, int, int, int], ...] = ()
    except SlideError as error:
        if isinstance(error, SlideAwayError) or getattr(error.__cause__, "errno", None) is not None:
            raise
        pixels, unread = read_around(slide, (x0, y0, x1, y1), step, background_rgb, error)
    return Tile(spec, pixels, x0, y0, slide.mpp * step, unread)


def read_around(
    slide: Slide,
    box: tuple[int, int, int, int],
    step: int,
    background_rgb: tuple[int, int, int],
    error: SlideError,
) -> tuple[np.ndarray, tuple[tuple[int, int, int, int], ...]]:
    """The same block by block, on one lattice for the whole slide; and the blocks that cannot be
    decoded, in level-0 px.

    Raises:
        SlideError: none can.
    """
    x0, y0, x1, y1 = box
    side = BLOCK_PX * step
    read = 0
    unread = []
    pixels = np.empty(((y1 - y0) // step, (x1 - x0) // step, 3), np.uint8)
    for y, x in product(range(y0 // side * side, y1, side), range(x0 // side * side, x1, side)):
        part = max(x, x0), max(y, y0), min(x + side, x1), min(y + side, y1)
        where = tuple(
            slice((a - o) // step, (b - o) // step)
            for a, b, o in ((part[1], part[3], y0), (part[0], part[2], x0))
        )
        try:
            pixels[where] = read_grid(slide, part, step, background_rgb)
            read += _inside(part, slide)
        except SlideAwayError:
            raise
        except SlideError:
            pixels[where] = background_rgb
            unread.append(
                (
                    max(x, 0),
                    max(y, 0),
                    min(x + side, slide.width_px0),
                    min(y + side, slide.height_px0),
                )
            )
    if not read:
        raise error
    return pixels, tuple(unread)


def _inside(box: tuple[int, int, int, int], slide: Slide) -> bool:
    return box[2] > 0 and box[3] > 0 and box[0] < slide.width_px0 and box[1] < slide.height_px0
