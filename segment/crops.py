"""The crop of a cell: a square of fixed size in um around its centre, at the classifier's pixel
count.
"""

from functools import cache

import numpy as np
from scipy.sparse import csr_array

from ingest import Tile

CROP_UM = 36.0
CROP_PX = 128
UNIT = 1 << 12


def crop_at(
    tile: Tile, x_px0: int, y_px0: int, side_um: float = CROP_UM, px: int = CROP_PX
) -> np.ndarray:
    """(px, px, 3) uint8, the square of `side_um` centred on a point of the tile's own lattice that
    lies in its core.

    Each axis is a triangle filter as wide as a pixel of the result (or of the source, if that is
    coarser). Weights are whole numbers, so that the sums are exact and the bytes the same from
    every tile and on every machine.
    """
    weights = _weights(tile.mpp, side_um, px)
    size = weights.shape[1]
    col, row = (
        (c - o) // tile.step_px0 - size // 2 for c, o in ((x_px0, tile.x_px0), (y_px0, tile.y_px0))
    )
    window = tile.pixels[row : row + size, col : col + size].astype(np.int64)
    down = (weights @ window.reshape(size, -1)).reshape(px, size, 3)
    both = weights @ down.transpose(1, 0, 2).reshape(size, -1)
    whole = (both + UNIT * UNIT // 2) // (UNIT * UNIT)
    result: np.ndarray = whole.reshape(px, px, 3).transpose(1, 0, 2).astype(np.uint8)
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
