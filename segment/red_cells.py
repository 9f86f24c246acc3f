"""Red cells: what is stained and no white matter, pallor filled, touching ones parted by the
roundness of their rims.

Limits were chosen by hand on bbbc041-fields and cbc-fields, as `python -m
tests.tools.bench.red_cells DATA` scores them; so no score of these fields is held out.
"""

import math

import numpy as np
from scipy import ndimage as ndi
from skimage.measure import label

from .grid import Grid
from .morphology import grown, shrunk
from .peaks import SCALE, Peaks, find_peaks, group, lowest_between, pairs_within, smooth
from .radial_symmetry import centre_votes
from .region import Blob
from .stain import Stain

LEVEL_UM = 12.0  # the stain is judged against its surroundings
GLASS_UM = 6.0  # glass lies no further than this from the edge of a cell
EDGE = 35  # per cent of the way from glass to stain, where a cell ends
PALLOR_UM = 5.0  # a gap no longer than this inside the stain is a pallor, not glass
RING_UM = 7.5  # nor longer than this where the rim of a cell lies around it
RING = 60 * SCALE  # so much of a rim
RADII_UM = (2.6, 4.6)
_DEPTH_UM = 5.0  # distances to the edge are told apart up to here
DEPTH_SHARE = 64  # weight of a full depth in the score of a middle, out of 255
_PEAK_RADIUS_UM = 1.8
SAME_CELL_UM = 4.5
VALLEY = 0.9
LONG_CELL_UM = 8.0  # from middle to middle of the parts of one long cell
_NECK = 0.88  # one cell is nearly as wide where two parts meet; touching cells leave a neck
LONG_UM2 = 70.0  # a long cell is no larger; two that touch are
ELLIPSE = 0.98  # how much of an ellipse such parts are together
EXPECTED = 100  # votes at the middle of a clean round cell
_LEAST = 24 * SCALE
_CELL_REACH_UM = 6.5
RED_UM2 = (12.0, 150.0)


def find_reds(values: np.ndarray, taken: np.ndarray, grid: Grid, stain: Stain) -> list[Blob]:
    """Red cells of a map (h, w) of stain in mOD, outside `taken` (h, w) bool, as blobs of kind
    "rbc".
    """
    return [blob for _, blob in numbered(*red_owners(values, taken, grid, stain), grid)]


def red_owners(
    values: np.ndarray, taken: np.ndarray, grid: Grid, stain: Stain
) -> tuple[np.ndarray, int]:
    """Which red cell each pixel (h, w) falls to, -1 for none, and how many numbers there are."""
    rims = _rims_around(values, grid, stain)
    body = red_matter(values, rims, grid, stain) & ~taken
    depth = np.minimum(ndi.distance_transform_edt(body) * grid.mpp, _DEPTH_UM)
    score = _middles(rims, depth, grid)
    peaks = find_peaks(score, grid.x, grid.y, grid.px(_PEAK_RADIUS_UM), _LEAST)
    if not len(peaks):
        return np.full(values.shape, -1), 0
    pairs = pairs_within(peaks, SAME_CELL_UM / grid.mpp)
    pairs = pairs[lowest_between(score, peaks, pairs) > VALLEY * peaks.score[pairs].min(1)]
    root = group(peaks, pairs, SAME_CELL_UM / grid.mpp)
    owner = _whole(_owner(body, depth, peaks, root, grid), peaks)
    return _whole(_joined(owner, depth, peaks, root, grid), peaks), len(peaks)


def _joined(
    owner: np.ndarray, depth: np.ndarray, peaks: Peaks, root: np.ndarray, grid: Grid
) -> np.ndarray:
    """The owners (h, w), the parts of a long cell joined: what has no neck between them and is
    an ellipse together.
    """
    moments = _moments(owner, len(peaks))
    pairs = pairs_within(peaks, LONG_CELL_UM / grid.mpp)
    pairs = pairs[(moments[pairs, 0] > 0).all(axis=1)]
    both = moments[pairs].sum(axis=1)
    level = (depth * SCALE).astype(np.int32)
    width = level[peaks.y[pairs], peaks.x[pairs]].min(axis=1)
    one = (both[:, 0] * grid.mpp**2 <= LONG_UM2) & (_ellipticity(both) >= ELLIPSE)
    one &= lowest_between(level, peaks, pairs) >= _NECK * width
    part = group(peaks, pairs[one], LONG_CELL_UM / grid.mpp)
    part = np.where(part < 0, np.arange(len(peaks)), part)
    return np.where(owner >= 0, part[owner], -1)


def _moments(owner: np.ndarray, count: int) -> np.ndarray:
    """Of each number's pixels (count, 6) int64: how many, sums of columns, rows, their squares
    and their product.
    """
    rows, cols = np.nonzero(owner >= 0)
    who = owner[rows, cols]
    sums = (np.ones_like(rows), cols, rows, cols * cols, rows * rows, rows * cols)
    return np.stack([np.bincount(who, values, count).astype(np.int64) for values in sums], axis=1)


def _ellipticity(moments: np.ndarray) -> np.ndarray:
    """Area over that of the ellipse with the same second moments (k,): 1 for any ellipse, 0.9
    for two discs that touch.
    """
    n, x, y, xx, yy, xy = moments.T
    square = n * n / 12  # a pixel is a square
    spread = (n * xx - x * x + square) * (n * yy - y * y + square) - (n * xy - x * y).astype(
        float
    ) ** 2
    result: np.ndarray = n.astype(float) ** 3 / (4 * np.pi * np.sqrt(spread))
    return result


def _whole(owner: np.ndarray, peaks: Peaks) -> np.ndarray:
    """The owners (h, w) without what does not hang together with its peak."""
    parts = label(owner, background=-1, connectivity=1)
    held = np.zeros(parts.max() + 1, bool)
    mine = owner[peaks.y, peaks.x] == np.arange(len(peaks))
    held[parts[peaks.y[mine], peaks.x[mine]]] = True
    held[0] = False
    return np.where(held[parts], owner, -1)


def red_body(values: np.ndarray, grid: Grid, stain: Stain) -> np.ndarray:
    """What of a map (h, w) of stain in mOD red cells cover (h, w) bool."""
    return red_matter(values, _rims_around(values, grid, stain), grid, stain)


def red_matter(values: np.ndarray, rims: np.ndarray, grid: Grid, stain: Stain) -> np.ndarray:
    """All that is stained (h, w) bool, the pallor of red cells filled, specks removed."""
    values = values - _glass(values, grid, stain)
    body = values > _edge(values, values > stain.red_mod, grid.px(LEVEL_UM), stain)
    closed = shrunk(grown(body, 1), 1)
    body |= closed & grown(_pallor(closed, rims, grid), 1)
    result: np.ndarray = ndi.binary_opening(
        body | _pallor(body, rims, grid), iterations=grid.px(0.9)
    )
    return result


def _pallor(body: np.ndarray, rims: np.ndarray, grid: Grid) -> np.ndarray:
    """The gaps (h, w) bool in a body that are the pallor of a cell."""
    gaps, _ = ndi.label(~body)
    result: np.ndarray = np.array(
        [False, *(_is_pallor(box, rims, grid) for box in ndi.find_objects(gaps))]
    )[gaps]
    return result


def _is_pallor(box: tuple[slice, slice], rims: np.ndarray, grid: Grid) -> bool:
    """Whether a gap in the stain within a box is the pallor of a cell, or the pale ring of a
    target cell, and not glass: small, or with the rim of a cell around its middle.
    """
    longest = max(s.stop - s.start for s in box) * grid.mpp
    if longest <= PALLOR_UM or longest > RING_UM:
        result: bool = longest <= PALLOR_UM
        return result
    middle = tuple(
        slice((s.start + s.stop) // 2 - grid.px(0.8), (s.start + s.stop) // 2 + grid.px(0.8) + 1)
        for s in box
    )
    return bool(rims[middle].max(initial=0) >= RING)


def _glass(values: np.ndarray, grid: Grid, stain: Stain) -> np.ndarray:
    """The stain (h, w) of the glass nearby, up to what bounds red cells: not nought where the
    light falls off.
    """
    least = ndi.minimum_filter(values, 2 * grid.px(GLASS_UM) + 1, mode="nearest")
    return (
        smooth(np.clip(least, 0, min(255, stain.red_mod)), grid.px(GLASS_UM / 2), times=1) // SCALE
    )


def _edge(values: np.ndarray, stained: np.ndarray, radius: int, stain: Stain) -> np.ndarray:
    """Between the mean of the stain and of the glass within `radius` px, nearer to the glass,
    so that pale rings close.
    """
    glass = _mean_where(values, ~stained, radius)
    rise = np.maximum(_mean_where(values, stained, radius) - glass, 0)
    result: np.ndarray = glass + np.maximum(rise * EDGE // 100, stain.red_mod // 2)
    return result


def _mean_where(values: np.ndarray, where: np.ndarray, radius: int) -> np.ndarray:
    total = smooth(np.where(where, values, 0), radius, times=1)
    share = smooth(where * SCALE, radius, times=1)
    result: np.ndarray = total * SCALE // np.maximum(share, 1)
    return result


def _rims_around(values: np.ndarray, grid: Grid, stain: Stain) -> np.ndarray:
    """How much of the rim of a red cell lies around a place (h, w) int32, up to 255 * SCALE."""
    radii = range(grid.px(RADII_UM[0]), grid.px(RADII_UM[1]) + 1)
    votes = centre_votes(values, max(8, stain.red_mod * 8 // 4), radii)
    return smooth(np.minimum(votes * 255 // EXPECTED, 255), grid.px(0.5), times=2)


def _middles(rims: np.ndarray, depth: np.ndarray, grid: Grid) -> np.ndarray:
    """How much a place (h, w) int32 looks like the middle of a red cell: rims all around it,
    and far from the edge.
    """
    depth = smooth((depth * (DEPTH_SHARE / _DEPTH_UM)).astype(np.int32), grid.px(0.5), times=2)
    return np.where(depth > 0, rims * (255 - DEPTH_SHARE) // 255 + depth, 0)


def _owner(
    body: np.ndarray, depth: np.ndarray, peaks: Peaks, root: np.ndarray, grid: Grid
) -> np.ndarray:
    """The root (h, w) that each pixel of the body falls to, -1 for none: of all peaks the one
    whose disc it lies deepest in (distance^2 - radius^2 least); the stronger wins a tie.

    A peak is compared as far as it could win against one within reach of a pixel.
    """
    reach = (_CELL_REACH_UM / grid.mpp) ** 2
    far = math.ceil(math.sqrt(reach + (_DEPTH_UM / grid.mpp) ** 2))
    away = np.arange(-far, far + 1) ** 2
    square = away[:, None] + away
    radius_square = (depth[peaks.y, peaks.x] / grid.mpp) ** 2
    least = np.full(body.shape, np.inf)
    owner = np.full(body.shape, -1)
    for i in np.argsort(peaks.rank):
        (rows, low), (cols, left) = (
            (slice(max(0, middle - far), middle + far + 1), max(0, far - middle))
            for middle in (int(peaks.y[i]), int(peaks.x[i]))
        )
        known = least[rows, cols]
        here = square[low : low + known.shape[0], left : left + known.shape[1]]
        power = here - radius_square[i]
        wins = power <= known
        known[wins] = power[wins]
        owner[rows, cols][wins] = np.where(here[wins] <= reach, root[i], -1)
    return np.where(body, owner, -1)


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
        (i, _blob(sums, i, boxes[i], grid))
        for i in np.flatnonzero((sums[0] >= low) & (sums[0] <= high)).tolist()
    ]


def _blob(sums: list[np.ndarray], i: int, where: tuple[slice, slice], grid: Grid) -> Blob:
    n, x_sum, y_sum = (int(s[i]) for s in sums)
    rows, cols = where
    box = cols.start + grid.x, rows.start + grid.y, cols.stop + grid.x, rows.stop + grid.y
    return Blob("rbc", n, x_sum + n * grid.x, y_sum + n * grid.y, box)
