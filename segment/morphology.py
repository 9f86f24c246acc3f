"""Erosion and its kin on masks (h, w) bool; exact, and fast enough for whole tiles."""

import numpy as np
from scipy import ndimage as ndi


def opening(mask: np.ndarray) -> np.ndarray:
    """Without what is thinner than a cross of 3 px. What lies outside the mask is empty."""
    out = np.zeros_like(mask)
    inner = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    out[1:-1, 1:-1] = inner
    for rows, cols in ((slice(None, -2), slice(1, -1)), (slice(2, None), slice(1, -1))):
        out[rows, cols] |= inner
        out[cols, rows] |= inner
    return out


def grown(mask: np.ndarray, radius: int) -> np.ndarray:
    """Everything within a square of `radius` px around the mask."""
    result: np.ndarray = ndi.maximum_filter(mask.view(np.uint8), 2 * radius + 1).view(bool)
    return result


def shrunk(mask: np.ndarray, radius: int) -> np.ndarray:
    """The middles of squares of `radius` px that lie within the mask."""
    result: np.ndarray = ndi.minimum_filter(mask.view(np.uint8), 2 * radius + 1).view(bool)
    return result
