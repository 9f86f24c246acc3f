"""White matter: the nuclei and bodies of white cells, and platelets, told by stain; its peaks are nuclei and their lobes."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from .grid import Grid
from .peaks import SCALE, Peaks, find_peaks, group, lowest_between, pairs_within, smooth
from .stain import Stain

PEAK_RADIUS_UM = 2.2  # two peaks nearer than this are one
LOBE_REACH_UM = 7.0  # lobes of one nucleus
GROUP_REACH_UM = 8.5
FULL = int(0.55 * 255 * SCALE)  # smoothed stain at the middle of a whole nucleus; a lobe stays below
LEAST = int(0.12 * 255 * SCALE)


@dataclass(frozen=True, slots=True)
class White:
    """`stain` (h, w) int16 mOD; `body` (h, w) bool, all white matter; `nucleus` (h, w) bool."""

    stain: np.ndarray
    body: np.ndarray
    nucleus: np.ndarray


def white_matter(grid: Grid, stain: Stain) -> White:
    """Where white matter lies. Specks are removed and gaps up to 1.6 um closed."""
    values = stain.white(grid.sums, grid.share)
    body = ndi.binary_opening(values > stain.white_mod)
    near = grid.px(0.8)
    body = ndi.minimum_filter(ndi.maximum_filter(body, 2 * near + 1), 2 * near + 1)
    return White(values, body, values > stain.nucleus_mod)


def find_nuclei(white: White, grid: Grid, stain: Stain) -> tuple[Peaks, np.ndarray]:
    """Peaks of nuclear stain, and for each the index of the one that stands for its cell (-1 for none)."""
    strength = (white.stain.astype(np.int32) - stain.platelet_mod) * 255 // max(1, stain.level_mod - stain.platelet_mod)
    mass = smooth(np.clip(strength, 0, 255) * white.body, grid.px(1.5))
    peaks = find_peaks(mass, grid.x, grid.y, grid.px(PEAK_RADIUS_UM), LEAST)
    pairs = pairs_within(peaks, LOBE_REACH_UM / grid.mpp)
    pairs = pairs[_one_cell(mass, white.body, peaks, pairs)]
    return peaks, group(peaks, pairs, GROUP_REACH_UM / grid.mpp)


def _one_cell(mass: np.ndarray, body: np.ndarray, peaks: Peaks, pairs: np.ndarray) -> np.ndarray:
    """Which pairs (k,) are lobes of one cell: joined by white matter, with no valley between them, or only a shallow one
    where one of them is too slight for a nucleus of its own."""
    score = peaks.score[pairs]
    valley = lowest_between(mass, peaks, pairs) / np.maximum(1, score.min(1))
    joined = lowest_between(body, peaks, pairs) > 0
    lobe = score.min(1) < FULL
    return joined & ((valley > 0.92) | (lobe & (valley > 0.6)))
