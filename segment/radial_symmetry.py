"""Votes for the middles of round things (fast radial symmetry: Loy and Zelinsky 2003), exact so
that tiles agree.
"""

import numpy as np
from scipy import ndimage as ndi


def centre_votes(values: np.ndarray, least_edge: int, radii_px: range) -> np.ndarray:
    """How many edge pixels (h, w) int32 point at a pixel from one of `radii_px` away, up the slope
    of `values` (h, w) int.

    `least_edge` is the least rise per pixel, in 1/8 of a value, of an edge. Reach: the largest
    radius and 2 px.
    """
    across, down = (ndi.sobel(values.astype(np.int32), axis=a, mode="nearest") for a in (1, 0))
    square = across * across + down * down
    rows, cols = np.nonzero(square > least_edge * least_edge)
    length = np.sqrt(square[rows, cols].astype(np.float64))
    x, y = across[rows, cols] / length, down[rows, cols] / length
    votes = np.zeros(values.size, np.int32)
    for radius in radii_px:
        to_row, to_col = (
            rows + np.rint(radius * y).astype(int),
            cols + np.rint(radius * x).astype(int),
        )
        inside = (
            (to_row >= 0) & (to_row < values.shape[0]) & (to_col >= 0) & (to_col < values.shape[1])
        )
        votes += np.bincount(
            to_row[inside] * values.shape[1] + to_col[inside], minlength=values.size
        ).astype(np.int32)
    return votes.reshape(values.shape)
