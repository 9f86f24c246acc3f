"""Red cells: what is stained and no white matter, pallor filled, touching ones parted by the
roundness of their rims.
"""

import numpy as np
from scipy import ndimage as ndi
from scipy.spatial import cKDTree

from .grid import Grid
from .peaks import SCALE, Peaks, find_peaks, group, lowest_between, pairs_within, smooth
from .radial_symmetry import centre_votes
from .region import Blob
from .stain import Stain

LEVEL_UM = 12.0  # the stain is judged against its surroundings
PALLOR_UM = 5.0  # a gap no longer than this inside the stain is a pallor, not glass
RADII_UM = (2.6, 4.6)
DEPTH_UM = 5.0  # distances to the edge are told apart up to here
DEPTH_SHARE = 64  # weight of a full depth in the score of a middle, out of 255
PEAK_RADIUS_UM = 1.8
SAME_CELL_UM = 4.5
VALLEY = 0.9
EXPECTED = 100  # votes at the middle of a clean round cell
LEAST = 24 * SCALE
CELL_REACH_UM = 6.5
RED_UM2 = (12.0, 150.0)
RIVALS = 6


def find_reds(values: np.ndarray, taken: np.ndarray, grid: Grid, stain: Stain) -> list[Blob]:
    """Red cells of a map (h, w) of stain in mOD, outside `taken` (h, w) bool, as blobs of kind
    "rbc".
    """
    return [blob for _, blob in numbered(*red_owners(values, taken, grid, stain), grid)]


def red_owners(
    values: np.ndarray, taken: np.ndarray, grid: Grid, stain: Stain
) -> tuple[np.ndarray, int]:
    """Which red cell each pixel (h, w) falls to, -1 for none, and how many numbers there are."""
    body = red_matter(values, grid, stain) & ~taken
    depth = np.minimum(ndi.distance_transform_edt(body) * grid.mpp, DEPTH_UM)
    score = _middles(values, depth, grid, stain)
    peaks = find_peaks(score, grid.x, grid.y, grid.px(PEAK_RADIUS_UM), LEAST)
    pairs = pairs_within(peaks, SAME_CELL_UM / grid.mpp)
    pairs = pairs[lowest_between(score, peaks, pairs) > VALLEY * peaks.score[pairs].min(1)]
    root = group(peaks, pairs, SAME_CELL_UM / grid.mpp)
    return _owner(body, depth, peaks, root, grid), len(peaks)


def red_matter(values: np.ndarray, grid: Grid, stain: Stain) -> np.ndarray:
    """All that is stained (h, w) bool, the pallor of red cells filled, specks removed."""
    stained = values > stain.stained_mod
    body = values > np.maximum(stain.stained_mod, _midway(values, stained, grid.px(LEVEL_UM)))
    gaps, _ = ndi.label(~body)
    longest = PALLOR_UM / grid.mpp
    short = [max(s.stop - s.start for s in two) <= longest for two in ndi.find_objects(gaps)]
    return ndi.binary_opening(body | np.array([False, *short])[gaps], iterations=grid.px(0.9))


def _midway(values: np.ndarray, stained: np.ndarray, radius: int) -> np.ndarray:
    """Between the mean of the stain and of the glass within `radius` px, nearer to the glass, so
    that pale rings close.
    """
    return (
        7 * _mean_where(values, stained, radius) + 13 * _mean_where(values, ~stained, radius)
    ) // 20


def _mean_where(values: np.ndarray, where: np.ndarray, radius: int) -> np.ndarray:
    total = smooth(np.where(where, values, 0), radius, times=1)
    share = smooth(where * SCALE, radius, times=1)
    return total * SCALE // np.maximum(share, 1)


def _middles(values: np.ndarray, depth: np.ndarray, grid: Grid, stain: Stain) -> np.ndarray:
    """How much a place (h, w) int32 looks like the middle of a red cell: rims all around it, and
    far from the edge.
    """
    radii = range(grid.px(RADII_UM[0]), grid.px(RADII_UM[1]) + 1)
    votes = centre_votes(values, max(8, stain.stained_mod * 8 // 4), radii)
    share = smooth(np.minimum(votes * 255 // EXPECTED, 255), grid.px(0.5), times=2)
    depth = smooth((depth * (DEPTH_SHARE / DEPTH_UM)).astype(np.int32), grid.px(0.5), times=2)
    return np.where(depth > 0, share * (255 - DEPTH_SHARE) // 255 + depth, 0)


def _owner(
    body: np.ndarray, depth: np.ndarray, peaks: Peaks, root: np.ndarray, grid: Grid
) -> np.ndarray:
    """The root (h, w) that each pixel of the body falls to, -1 for none: of the nearest peaks the
    one whose disc it lies deepest in (distance^2 - radius^2 least); the stronger wins a tie."""
    owner = np.full(body.shape, -1)
    if not len(peaks):
        return owner
    rows, cols = np.nonzero(body)
    near = _nearest(peaks, rows, cols)
    square = (peaks.y[near] - rows[:, None]) ** 2 + (peaks.x[near] - cols[:, None]) ** 2
    power = square - (depth[peaks.y[near], peaks.x[near]] / grid.mpp) ** 2
    best = np.lexsort((-peaks.rank[near], power), axis=1)[:, :1]
    close = np.take_along_axis(square, best, 1)[:, 0] <= (CELL_REACH_UM / grid.mpp) ** 2
    owner[rows, cols] = np.where(close, root[np.take_along_axis(near, best, 1)[:, 0]], -1)
    return owner


def _nearest(peaks: Peaks, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    _, near = cKDTree(np.c_[peaks.y, peaks.x]).query(
        np.c_[rows, cols], k=range(1, min(RIVALS, len(peaks)) + 1)
    )
    return near


def numbered(owner: np.ndarray, count: int, grid: Grid) -> list[tuple[int, Blob]]:
    """The red cells of a map of owners, each with its number there; what is too small or too large
    is none.
    """
    rows, cols = np.nonzero(owner >= 0)
    who = owner[rows, cols]
    sums = [np.bincount(who, w, count).astype(int) for w in (np.ones(len(who)), cols, rows)]
    boxes = ndi.find_objects(owner + 1, count)
    low, high = (a / grid.mpp**2 for a in RED_UM2)
    return [
        (int(i), _blob(sums, i, boxes[i], grid))
        for i in np.flatnonzero((sums[0] >= low) & (sums[0] <= high))
    ]


def _blob(sums: list[np.ndarray], i: int, where: tuple[slice, slice], grid: Grid) -> Blob:
    n, x_sum, y_sum = (int(s[i]) for s in sums)
    rows, cols = where
    box = cols.start + grid.x, rows.start + grid.y, cols.stop + grid.x, rows.stop + grid.y
    return Blob("rbc", n, x_sum + n * grid.x, y_sum + n * grid.y, box)
