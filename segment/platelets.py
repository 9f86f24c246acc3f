"""Platelets: small, roundish, pale blue or violet bodies that lie on glass."""

import numpy as np
from scipy import ndimage as ndi

from .blob import Blob, blob_of
from .grid import Grid
from .shape import grown, opened
from .stain import Stain, platelet

LONGEST_UM = 8.0
AREA_UM2 = (1.2, 30.0)
BODY = 0.55  # of the least peak, bounds the body
CLEAR = 2.5  # times the least peak, a stain that no rim of a red cell reaches
GLASS, CLEAR_GLASS = 0.65, 0.15  # least share of glass around it: on a red cell it is debris or a rim
SLIM = 1.7  # longer than this times its width is a rim or a fold


def find_platelets(white: np.ndarray, stained: np.ndarray, taken: np.ndarray, grid: Grid, stain: Stain) -> list[Blob]:
    """Platelets of maps (h, w) of white-cell and whole stain in mOD, outside `taken` (h, w) bool, as blobs of kind
    "platelet"."""
    values = platelet(white, stained)
    labels, count = ndi.label(opened((values > BODY * stain.platelet_mod) & ~taken), np.ones((3, 3)))
    if not count:
        return []
    likely = _likely(labels, values > stain.platelet_mod, grid)
    clear = np.bincount(labels[values > CLEAR * stain.platelet_mod], minlength=count + 1) > 0
    glass = (stained <= 1.3 * stain.stained_mod) & ~taken
    boxes = ndi.find_objects(labels)
    found = []
    for i in likely:
        where = tuple(slice(max(0, s.start - 3), s.stop + 3) for s in boxes[i - 1])
        body = labels[where] == i
        if _is_platelet(body, glass[where], CLEAR_GLASS if clear[i] else GLASS, grid):
            found.append(blob_of("platelet", grown(body, 1), where[1].start + grid.x, where[0].start + grid.y))
    return found


def _likely(labels: np.ndarray, peak: np.ndarray, grid: Grid) -> np.ndarray:
    """The labels whose area fits and that hold a peak."""
    count = labels.max() + 1
    area = np.bincount(labels.ravel(), minlength=count) * grid.mpp**2
    fits = (area >= AREA_UM2[0]) & (area <= AREA_UM2[1]) & (np.bincount(labels[peak], minlength=count) > 0)
    return np.flatnonzero(fits[1:]) + 1


def _is_platelet(body: np.ndarray, glass: np.ndarray, least_glass: float, grid: Grid) -> bool:
    around = grown(body, 3) & ~grown(body, 1)  # the pale rim of the body aside
    rows, cols = np.nonzero(body)
    longest = max(np.ptp(rows), np.ptp(cols)) + 1
    return (
        longest * grid.mpp <= LONGEST_UM
        and np.count_nonzero(around & glass) >= least_glass * np.count_nonzero(around)
        and _slimness(rows, cols) <= SLIM
    )


def _slimness(rows: np.ndarray, cols: np.ndarray) -> float:
    """Length over width of the ellipse with the same second moments; a pixel counts as a square."""
    short, long = np.linalg.eigvalsh(np.cov(rows, cols, ddof=0) + np.eye(2) / 12)
    return float(np.sqrt(long / short))
