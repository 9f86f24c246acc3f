"""Peaks of a map and the groups they form, found so that a place gives the same answer in every
tile.

Whole numbers only, supports bounded, ties settled by place on the slide: nothing depends on where
an array begins.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi
from scipy.spatial import cKDTree

from .morphology import highest_around

SCALE = 64  # fractions kept while smoothing whole numbers
TIE_BITS = 15


@dataclass(frozen=True, slots=True)
class Peaks:
    """`y`, `x` (n,) rows and columns of the array, `score` (n,), `rank` (n,): a total order, higher
    is stronger.
    """

    y: np.ndarray
    x: np.ndarray
    score: np.ndarray
    rank: np.ndarray

    def __len__(self) -> int:
        return len(self.y)


def smooth(values: np.ndarray, radius: int, times: int = 3) -> np.ndarray:
    """`times` box means of (2 radius + 1) px of values up to 255, times SCALE, int32; support times
    * radius px.

    Whole numbers keep the running sums exact, so the result is the same wherever the array begins.
    """
    out = values.astype(np.int32) * SCALE
    for _ in range(times):
        out = ndi.uniform_filter(out, 2 * radius + 1, mode="nearest")
    return out


def find_peaks(score: np.ndarray, x: int, y: int, radius: int, least: int) -> Peaks:
    """Highest points within `radius` px (a square), of at least `least`; (x, y) is the array's
    place on the lattice.
    """
    key = _ranked(score, x, y)
    top = (key == highest_around(key, radius)) & (score >= least)
    rows, cols = np.nonzero(top)
    rank = np.empty(len(rows), int)
    rank[np.lexsort((cols, rows, key[rows, cols]))] = np.arange(len(rows))
    return Peaks(rows, cols, score[rows, cols], rank)


def _ranked(score: np.ndarray, x: int, y: int) -> np.ndarray:
    """The score with a scrambled place below it, so that a flat top has one peak, the same in every
    tile.
    """
    rows = (np.arange(score.shape[0], dtype=np.int64) + y)[:, None] * 0x9E37
    cols = (np.arange(score.shape[1], dtype=np.int64) + x)[None, :] * 0x79B9
    tie = ((rows ^ cols) ^ (rows + cols) >> 7) & ((1 << TIE_BITS) - 1)
    return (score.astype(np.int32) << TIE_BITS) | tie.astype(np.int32)


def pairs_within(peaks: Peaks, reach: float) -> np.ndarray:
    """Pairs (k, 2) of peaks at most `reach` px apart."""
    if len(peaks) < 2:
        return np.zeros((0, 2), int)
    result: np.ndarray = cKDTree(np.c_[peaks.y, peaks.x]).query_pairs(reach, output_type="ndarray")
    return result


def lowest_between(
    values: np.ndarray, peaks: Peaks, pairs: np.ndarray, points: int = 12
) -> np.ndarray:
    """Lowest value (k,) along the straight line of each pair."""
    a, b = _ordered(peaks, pairs)
    low = values[peaks.y[a], peaks.x[a]].copy()
    for t in range(1, points + 1):
        rows = peaks.y[a] + (peaks.y[b] - peaks.y[a]) * t // points
        cols = peaks.x[a] + (peaks.x[b] - peaks.x[a]) * t // points
        low = np.minimum(low, values[rows, cols])
    result: np.ndarray = low
    return result


def _ordered(peaks: Peaks, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pair from its upper left end, which is the same end in every tile."""
    a, b = pairs.T
    later = (peaks.y[a] > peaks.y[b]) | ((peaks.y[a] == peaks.y[b]) & (peaks.x[a] > peaks.x[b]))
    return np.where(later, b, a), np.where(later, a, b)


def group(peaks: Peaks, pairs: np.ndarray, reach: float) -> np.ndarray:
    """The root (n,) of every peak, -1 where it has none: each joins the strongest peak it is paired
    with, if stronger than itself, and that one's root, two steps at most and `reach` px, so that no
    chain grows across a slide.
    """
    parent = np.arange(len(peaks))
    weak, strong = np.where(
        (peaks.rank[pairs[:, 0]] < peaks.rank[pairs[:, 1]])[:, None], pairs, pairs[:, ::-1]
    ).T
    order = np.argsort(peaks.rank[strong], kind="stable")
    parent[weak[order]] = strong[order]
    root = parent[parent]
    far = np.hypot(peaks.y - peaks.y[root], peaks.x - peaks.x[root]) > reach
    return np.where((parent[root] != root) | far, -1, root)
