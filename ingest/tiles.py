"""Tiles: where to read, and what was read. A tile owns its core; the margin around it is there to see whole cells."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .slide import Slide
from .smear import Smear

READ_MPP = 36.0 / 128
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


def step_px0(slide: Slide, mpp: float = READ_MPP) -> int:
    """Level-0 px a pixel as read: the most that still resolves `mpp`, a whole number so that all tiles share one grid."""
    return max(1, math.floor(mpp / slide.mpp + 1e-6))


def plan_tiles(slide: Slide, smear: Smear, tile_px: int = 1024) -> Iterator[TileSpec]:
    """Tiles of `tile_px` pixels as read, row by row, only where the smear has something to look at."""
    step = step_px0(slide)
    size = tile_px * step
    margin = math.ceil(MARGIN_UM / slide.mpp / step) * step
    for y in range(0, slide.height_px0, size):
        for x in range(0, slide.width_px0, size):
            width, height = min(size, slide.width_px0 - x), min(size, slide.height_px0 - y)
            if smear.any_in((x, y, x + width, y + height)):
                yield TileSpec(x, y, width, height, margin, step)
