"""White cells and platelets: white matter parted among its nuclei, and named by size."""

import numpy as np
from scipy import ndimage as ndi

from .blob import Blob, blob_of
from .grid import Grid
from .nuclei import White, find_nuclei, white_matter
from .peaks import Peaks
from .stain import Stain

LARGE_UM = 7.0  # white matter no longer than this is a platelet or debris
CELL_REACH_UM = 11.0  # from a nucleus or lobe to the edge of its cell
WINDOW_UM = 19.0
PLATELET_UM2 = (1.5, 45.0)
NUCLEUS_UM2 = 12.0
CELL_UM2 = 22.0
SMUDGE_UM2 = 60.0


def find_whites(grid: Grid, stain: Stain) -> tuple[list[Blob], np.ndarray]:
    """White cells and platelets of the grid, as blobs of kind "wbc" and "platelet", and the white matter (h, w) bool that
    is too large for a platelet."""
    white = white_matter(grid, stain)
    labels, _ = ndi.label(white.body, np.ones((3, 3)))
    slices = ndi.find_objects(labels)
    longest = LARGE_UM / grid.mpp
    large = np.array([False, *(max(s.stop - s.start for s in two) > longest for two in slices)])
    peak = ndi.maximum(white.stain, labels, np.arange(len(large)))
    small = [_small(labels, i, slices[i - 1], grid) for i in np.flatnonzero(~large & (peak > stain.platelet_mod)) if i]
    body = large[labels]
    return [b for b in small if _is_platelet(b, grid)] + _large(white, body, grid, stain), body


def _small(labels: np.ndarray, index: int, where: tuple[slice, slice], grid: Grid) -> Blob:
    rows, cols = where
    return blob_of("platelet", labels[where] == index, cols.start + grid.x, rows.start + grid.y)


def _is_platelet(blob: Blob, grid: Grid) -> bool:
    return PLATELET_UM2[0] <= blob.area_um2(grid) <= PLATELET_UM2[1]


def _large(white: White, body: np.ndarray, grid: Grid, stain: Stain) -> list[Blob]:
    white = White(white.stain, body, white.nucleus & body)
    peaks, root = find_nuclei(white, grid, stain)
    found = [_cell(white, peaks, root, i, grid) for i in np.flatnonzero(root == np.arange(len(peaks)))]
    return [b for b in found if b is not None]


def _cell(white: White, peaks: Peaks, root: np.ndarray, index: int, grid: Grid) -> Blob | None:
    """The white matter nearest to the lobes of one root, in a window around it."""
    half = int(WINDOW_UM / grid.mpp)
    y, x = int(peaks.y[index]), int(peaks.x[index])
    rows, cols = (slice(max(0, c - half), min(n, c + half + 1)) for c, n in zip((y, x), white.body.shape, strict=True))
    near = np.flatnonzero((np.abs(peaks.y - y) <= half) & (np.abs(peaks.x - x) <= half))
    mask = white.body[rows, cols] & _nearest(peaks, near, root[near] == index, (rows, cols), CELL_REACH_UM / grid.mpp)
    mask = _holding(mask, y - rows.start, x - cols.start)
    if not mask.any():
        return None
    kind = _kind(mask, white.nucleus[rows, cols], grid)
    return blob_of(kind, mask, cols.start + grid.x, rows.start + grid.y) if kind else None


def _nearest(peaks: Peaks, near: np.ndarray, own: np.ndarray, where: tuple[slice, slice], reach: float) -> np.ndarray:
    """Where in a window the nearest of the peaks `near` is one of its `own`; the stronger wins a tie."""
    order = np.argsort(-peaks.rank[near])
    near, own = near[order], own[order]
    rows, cols = (np.arange(s.start, s.stop) for s in where)
    square = (rows - peaks.y[near][:, None])[:, :, None] ** 2 + (cols - peaks.x[near][:, None])[:, None, :] ** 2
    first = square.argmin(0)
    return own[first] & (square.min(0) <= reach**2)


def _holding(mask: np.ndarray, row: int, col: int) -> np.ndarray:
    """The connected part of a mask that holds a point, its holes filled."""
    labels, _ = ndi.label(mask)
    return ndi.binary_fill_holes(labels == labels[row, col]) if mask[row, col] else np.zeros_like(mask)


def _kind(mask: np.ndarray, nucleus: np.ndarray, grid: Grid) -> str:
    """By area: a white cell has a nucleus, or is too large for a platelet (a smudge); what is neither is debris."""
    area, core = (np.count_nonzero(m) * grid.mpp**2 for m in (mask, mask & nucleus))
    if area >= SMUDGE_UM2 or (area >= CELL_UM2 and core >= NUCLEUS_UM2):
        return "wbc"
    return "platelet" if PLATELET_UM2[0] <= area <= PLATELET_UM2[1] else ""
