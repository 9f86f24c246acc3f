"""The cell in the middle of a crop: its nucleus and outline, its kind and area.

Limits were chosen by hand on wbc-masks, by the Dice of nucleus and cell (tests/scoring.py); so that
figure is not held out.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage as ndi
from shapely import LineString
from skimage.filters import threshold_otsu
from skimage.measure import find_contours
from skimage.morphology import disk

from ingest import background_of

from .crops import CROP_PX, CROP_UM
from .grid import Grid
from .kinds import StainSignals, find_kinds
from .nuclei import find_nuclei, white_matter
from .stain import Stain, fit_stain
from .white_cells import cell_around

TOLERANCE_PX = 0.6  # of an outline
MASK_LABELS = "cytoplasm", "nucleus"
NUCLEAR = (0.7, 0.3, 0.0)  # of R, G, B: the red of granules counts little
_PALE = 0.6  # of the Otsu threshold, so that pale cytoplasm is in
SPREAD_PX = 20.0
CROP_MPP = CROP_UM / CROP_PX
REACH_UM = 4.0  # of a cell's middle from that of its crop
SAMPLES = 48


def cell_masks(crop: np.ndarray, stain: Stain | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Nucleus and whole cell, (h, w) bool each, of a crop (h, w, 3) uint8 of 36 / 128 um/px; empty
    where there is none.

    With the slide's stain, by the same thresholds as `find_cells`, red cells left out. Without, by
    the crop alone: all that is stained and hangs together in the middle, so a red cell that touches
    is taken in.
    """
    return _by_crop(crop) if stain is None else _by_stain(crop, stain)


def cell_labels(crop: np.ndarray, kind: str, stain: Stain) -> np.ndarray:
    """What is where in a crop of a white cell (h, w) uint8: 0 what is around it, 1 cytoplasm, 2
    nucleus; of other kinds all 0.
    """
    if kind != "wbc":
        return np.zeros(crop.shape[:2], np.uint8)
    nucleus, cell = cell_masks(crop, stain)
    result: np.ndarray = cell.astype(np.uint8) + (nucleus & cell)
    return result


def _by_stain(crop: np.ndarray, stain: Stain) -> tuple[np.ndarray, np.ndarray]:
    grid = Grid(crop.astype(np.uint16), 1, 0, 0, 1, CROP_UM / CROP_PX)
    white = white_matter(stain.white(grid.sums, grid.share), grid, stain)
    peaks, root = find_nuclei(white, grid)
    cell = np.zeros(crop.shape[:2], bool)
    if len(peaks):
        middle = np.hypot(peaks.y - crop.shape[0] / 2, peaks.x - crop.shape[1] / 2).argmin()
        where, cell[where] = cell_around(white, peaks, root, max(root[middle], 0), grid)
    return white.nucleus & cell, cell


def _by_crop(crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    od = _optical_density(crop)
    stained = np.sqrt((od**2).sum(axis=2))
    cell = stained > _PALE * threshold_otsu(np.sqrt(stained)) ** 2
    cell = _middle(ndi.binary_opening(ndi.binary_fill_holes(cell), disk(5)))
    nuclear = od @ NUCLEAR
    if not cell.any() or np.ptp(nuclear[cell]) == 0:
        return np.zeros_like(cell), cell
    return ndi.binary_opening((nuclear > threshold_otsu(nuclear[cell])) & cell, disk(2)), cell


def _optical_density(crop: np.ndarray) -> np.ndarray:
    """(h, w, 3) above the glass, which is taken for the bright pixels, the very brightest aside."""
    light = crop.sum(axis=2, dtype=int)
    low, high = np.percentile(light, (70, 95))
    glass = np.median(crop[(light >= low) & (light <= high)], axis=0)
    od = np.maximum(-np.log10((crop + 1.0) / (glass + 1.0)), 0)
    result: np.ndarray = ndi.gaussian_filter(od, (1, 1, 0))
    return result


def _middle(mask: np.ndarray) -> np.ndarray:
    """The connected part that weighs most near the middle."""
    labels, count = ndi.label(mask)
    if not count:
        return mask
    rows, cols = (np.arange(n) - (n - 1) / 2 for n in mask.shape)
    weight = np.exp(-(rows[:, None] ** 2 + cols**2) / (2 * SPREAD_PX**2))
    result: np.ndarray = labels == 1 + np.argmax(ndi.sum(weight, labels, np.arange(1, count + 1)))
    return result


def fit_crop_stain(crops: Sequence[np.ndarray]) -> Stain:
    """The stain of crops (h, w, 3) uint8 of one laboratory, 36 / 128 um/px."""
    step = max(1, len(crops) // SAMPLES)
    samples = list(crops[::step])
    pixels = np.concatenate([sample.reshape(-1, 3) for sample in samples])
    return fit_stain(samples, background_of(pixels), CROP_MPP)


def measure_middle(crop: np.ndarray, stain: Stain) -> tuple[str, float] | None:
    """Kind and area in um2 of the cell whose middle is next to that of a crop (h, w, 3) uint8 of
    36 / 128 um/px; None where none is near.
    """
    grid = Grid(crop.astype(np.uint16), 1, 0, 0, 1, CROP_MPP)
    middle = crop.shape[1] / 2, crop.shape[0] / 2
    found = [
        (math.dist(blob.centre_px0(grid), middle), blob)
        for blob in find_kinds(StainSignals(grid, stain), ("wbc", "platelet"))
    ]
    near = [(away, blob) for away, blob in found if away * CROP_MPP <= REACH_UM]
    if not near:
        return None
    _, blob = min(near, key=lambda one: one[0])
    return blob.kind, blob.area_um2(grid)


def outline(mask: np.ndarray) -> np.ndarray | None:
    """Corners (n, 2) of the longest outline of a mask (h, w) bool, as x, y in px from the upper
    left corner of the first pixel; closed, so that the last is the first. None where nothing of it
    has an area.
    """
    contours = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    if not contours:
        return None
    line = LineString(max(contours, key=len)).simplify(TOLERANCE_PX, preserve_topology=False)
    corners = np.asarray(line.coords)
    if len(corners) < 4:
        return None
    result: np.ndarray = corners[:, ::-1] - 0.5
    return result
