"""Seams: straight lines across what was read where the image jumps, as where fields of view or the
strips of a scanner are joined. What lies on one may be two halves of different cells.

Limits were chosen by hand on fields laid edge to edge, whose seams are known, and are held to made
ones by tests/segment/test_seams.py.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from .tiles import Tile

NEAR_PX = 9  # a seam is held against this many lines around it
STEP = 8  # grey levels; with noise, beside that between lines anywhere
SHARE = 0.2  # of a seam: where the two sides differ by more
JUMP = 2.0  # times the share of lines nearby
PARTS = 4  # all along: in most of this many parts of the line


@dataclass(frozen=True, slots=True)
class Seams:
    """Where seams run, in level-0 px: before columns `x_px0` (k,), before rows `y_px0` (k,)."""

    x_px0: np.ndarray
    y_px0: np.ndarray

    def cut(self, box_px0: tuple[int, int, int, int], edge_px0: int) -> bool:
        """Whether one runs through a box, or no further than `edge_px0` from it."""
        x0, y0, x1, y1 = box_px0
        across = (self.x_px0 >= x0 - edge_px0) & (self.x_px0 <= x1 + edge_px0)
        along = (self.y_px0 >= y0 - edge_px0) & (self.y_px0 <= y1 + edge_px0)
        return bool(across.any() or along.any())


def seams_of(tile: Tile) -> Seams:
    """The seams of a tile."""
    red, green, blue = (tile.pixels[..., channel].astype(np.int16) for channel in range(3))
    light = red + green + blue
    rows, cols = (_jumps(lines) for lines in (light, np.ascontiguousarray(light.T)))
    return Seams(tile.x_px0 + cols * tile.step_px0, tile.y_px0 + rows * tile.step_px0)


def _jumps(light: np.ndarray) -> np.ndarray:
    """The rows (k,) of an image (h, w) int16, the sum of three channels, that differ from the row
    before as none of their neighbours does.
    """
    if min(light.shape) < NEAR_PX:
        return np.zeros(0, int)
    steps = np.abs(np.diff(light, axis=0))
    large = steps > 3 * STEP + 3 * np.median(steps)
    parts = np.array_split(large, PARTS, axis=1)
    shares = [np.count_nonzero(part, axis=1) / part.shape[1] for part in parts]
    found = [share > np.maximum(SHARE, JUMP * _nearby(share)) for share in shares]
    result: np.ndarray = np.flatnonzero(np.sum(found, axis=0) > PARTS / 2) + 1
    return result


def _nearby(shares: np.ndarray) -> np.ndarray:
    """The largest share near each (n,), itself and the two beside it left out."""
    around = np.ones(NEAR_PX, bool)
    around[NEAR_PX // 2 - 1 : NEAR_PX // 2 + 2] = False
    result: np.ndarray = ndi.maximum_filter(shares, footprint=around, mode="reflect")
    return result
