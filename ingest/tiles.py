"""Tiles: where to read, and what was read. A tile owns its core; the margin around it is there to see whole cells."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .reader import READ_MPP, read_grid, step_px0
from .slide import Slide
from .smear import Smear

MARGIN_UM = 40.0


@dataclass(frozen=True, slots=True)
class TileSpec:
    """The core of a tile in level-0 px, cut to the slide; `step_px0` level-0 px make one pixel as read."""

    x_px0: int
    y_px0: int
    width_px0: int
    height_px0: int
    margin_px0: int
    step_px0: int

    def owns(self, x_px0: float, y_px0: float) -> bool:
        """Half-open, so that every point of the slide has one owner."""
        return 0 <= x_px0 - self.x_px0 < self.width_px0 and 0 <= y_px0 - self.y_px0 < self.height_px0

    @property
    def box_px0(self) -> tuple[int, int, int, int]:
        return self.x_px0, self.y_px0, self.x_px0 + self.width_px0, self.y_px0 + self.height_px0


@dataclass(frozen=True, slots=True)
class Tile:
    """Pixels (h, w, 3) uint8 of a spec with its margin; pixel (row, col) is the mean over the `step_px0` square
    of level-0 px at (x_px0 + col * step_px0, y_px0 + row * step_px0). Outside the slide it is `background`.

    The pixel grid is that of the whole slide: the same place has the same pixels in every tile that shows it.
    """

    spec: TileSpec
    pixels: np.ndarray
    x_px0: int
    y_px0: int
    mpp: float

    @property
    def step_px0(self) -> int:
        return self.spec.step_px0


def plan_tiles(slide: Slide, smear: Smear, tile_px: int = 1024, mpp: float = READ_MPP) -> Iterator[TileSpec]:
    """Tiles of `tile_px` pixels as read, row by row, only where the smear has something to look at; `mpp` is as coarse as they
    are read at most."""
    step = step_px0(slide, mpp)
    size = tile_px * step
    margin = math.ceil(MARGIN_UM / slide.mpp / step) * step
    for y in range(0, slide.height_px0, size):
        for x in range(0, slide.width_px0, size):
            width, height = min(size, slide.width_px0 - x), min(size, slide.height_px0 - y)
            if smear.any_in((x, y, x + width, y + height)):
                yield TileSpec(x, y, width, height, margin, step)


def read_tile(slide: Slide, spec: TileSpec, background_rgb: tuple[int, int, int] = (255, 255, 255)) -> Tile:
    """Read a tile with its margin.

    Raises:
        SlideError: the place cannot be decoded.
    """
    m, step = spec.margin_px0, spec.step_px0
    x0, y0 = spec.x_px0 - m, spec.y_px0 - m
    x1, y1 = (-(-(v + m) // step) * step for v in (spec.x_px0 + spec.width_px0, spec.y_px0 + spec.height_px0))
    return Tile(spec, read_grid(slide, (x0, y0, x1, y1), step, background_rgb), x0, y0, slide.mpp * step)
