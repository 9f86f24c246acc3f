"""Erosion and its kin on masks (h, w) bool; exact, and fast enough for whole tiles."""

import numpy as np


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
    return highest_around(mask, radius)


def shrunk(mask: np.ndarray, radius: int) -> np.ndarray:
    """The middles of squares of `radius` px that lie within the mask."""
    return ~highest_around(~mask, radius)


def highest_around(values: np.ndarray, radius: int) -> np.ndarray:
    """The highest of values (h, w), whole numbers or bool, in the square of `radius` px around
    each; what lies outside does not count.

    A window is made of two of half its length, so that whole rows are compared at once.
    """
    out = values
    for axis in (0, 1):
        out = _highest_along(out, radius, axis)
    return out


def _highest_along(values: np.ndarray, radius: int, axis: int) -> np.ndarray:
    lowest = False if values.dtype == bool else np.iinfo(values.dtype).min
    shape = list(values.shape)
    shape[axis] += 2 * radius
    out = np.full(shape, lowest, values.dtype)
    out[_along(axis, radius, shape[axis] - radius)] = values
    length = 1
    while length < 2 * radius + 1:
        step = min(length, 2 * radius + 1 - length)
        end = out.shape[axis]
        out = np.maximum(out[_along(axis, 0, end - step)], out[_along(axis, step, end)])
        length += step
    return out


def _along(axis: int, start: int, end: int) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, slice(start, end))
