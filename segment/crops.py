"""The crop of a cell: a square of fixed size in um around its centre, at the classifier's pixel
count.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.sparse import csr_array

from ingest import Tile

CROP_UM = 36.0
CROP_PX = 128
UNIT = 1 << 12
_TOGETHER = 16  # crops whose sums stay in a cache


def crops_at(
    tile: Tile, places: Sequence[tuple[int, int]], side_um: float = CROP_UM, px: int = CROP_PX
) -> np.ndarray:
    """(n, px, px, 3) uint8, the squares of `side_um` centred on points (x, y) in level-0 px of the
    tile's own lattice that lie in its core.

    Each axis is a triangle filter as wide as a pixel of the result (or of the source, if that is
    coarser). Weights are whole numbers, so that the sums are exact and the bytes the same from
    every tile and on every machine.
    """
    weights = _weights(tile.mpp, side_um, px)
    crops = np.empty((len(places), px, px, 3), np.uint8)
    for start in range(0, len(places), _TOGETHER):
        part = _windows(tile, places[start : start + _TOGETHER], weights.shape[1])
        crops[start : start + _TOGETHER] = _resampled(part, weights)
    return crops


def _windows(tile: Tile, places: Sequence[tuple[int, int]], size: int) -> np.ndarray:
    """The pixels (n, size, size, 3) about points in level-0 px."""
    step = tile.step_px0
    corners = [
        ((y - tile.y_px0) // step - size // 2, (x - tile.x_px0) // step - size // 2)
        for x, y in places
    ]
    return np.stack([tile.pixels[row : row + size, col : col + size] for row, col in corners])


def _resampled(windows: np.ndarray, weights: csr_array) -> np.ndarray:
    """Windows (n, size, size, 3) uint8 by `weights` (px, size) down and across, (n, px, px, 3)."""
    count, size = windows.shape[:2]
    px = weights.shape[0]
    rows = windows.transpose(1, 0, 2, 3).reshape(size, -1).astype(np.int64)
    down = (weights @ rows).reshape(px, count, size, 3)
    both = weights @ down.transpose(2, 1, 0, 3).reshape(size, -1)
    whole = (both + UNIT * UNIT // 2) // (UNIT * UNIT)
    result: np.ndarray = whole.reshape(px, count, px, 3).transpose(1, 2, 0, 3).astype(np.uint8)
    return result


@cache
def _weights(mpp: float, side_um: float, px: int) -> csr_array:
    """(px, n) whole-number weights, rows summing to UNIT; the middle of n is the left edge of the
    centre pixel.
    """
    scale = side_um / px / mpp
    half = int(np.ceil(side_um / mpp / 2 + max(scale, 1))) + 1
    centres = half + 0.5 + (np.arange(px) + 0.5 - px / 2) * scale
    distance = np.abs(np.arange(2 * half + 1) + 0.5 - centres[:, None])
    soft = np.maximum(0, 1 - distance / max(scale, 1))
    whole = np.rint(soft / soft.sum(1, keepdims=True) * UNIT)
    whole[np.arange(px), whole.argmax(1)] += UNIT - whole.sum(1)
    return csr_array(whole.astype(np.int64))
