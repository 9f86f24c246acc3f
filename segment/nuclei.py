"""White matter: the nuclei and bodies of white cells told by stain; its peaks are nuclei and their
lobes.

Limits were chosen by hand on the boxes of cbc-fields and on fields of smear-overview looked
at by eye, scored as tests/scoring.py does; so no score of these slides is held out.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from .grid import Grid
from .morphology import grown, opening, shrunk
from .peaks import SCALE, Peaks, find_peaks, group, lowest_between, pairs_within, smooth
from .stain import Stain

_PEAK_RADIUS_UM = 2.2  # two peaks nearer than this are one
LOBE_REACH_UM = 10.0  # from lobe to lobe of one nucleus
NUCLEUS_REACH_UM = 11.0  # from its main lobe to any other
FULL = int(
    0.95 * 255 * SCALE
)  # smoothed stain at the middle of a whole nucleus; a lobe stays below
_LEAST = int(0.25 * 255 * SCALE)
GAP_UM = 0.8  # closed in white matter
_PALE = 128  # of 255, what bounds white matter
_NECK = 0.7
_DEPTH_UM = 5.0  # a neck is judged up to this depth
PALE_CORE = 1.1 * _PALE
PALE_RADIUS_UM = 1.9
PALE_BODY = 0.6  # of what bounds white matter, on the mean over 5 px, bounds pale cytoplasm
RIM_UM = 2.5  # which reaches no further than this


@dataclass(frozen=True, slots=True)
class White:
    """`body` (h, w) bool, where cells may reach, pale cytoplasm near white matter included;
    `nucleus` (h, w) bool; `mass` (h, w) int32, nuclear stain smoothed to the size of a nucleus."""

    body: np.ndarray
    nucleus: np.ndarray
    mass: np.ndarray


def white_matter(values: np.ndarray, grid: Grid, stain: Stain) -> White:
    """White matter of a map (h, w) of white-cell stain in mOD."""
    body = opening(values > stain.white_mod)
    body = shrunk(grown(body, grid.px(GAP_UM)), grid.px(GAP_UM))
    strength = (
        (values.astype(np.int32) - stain.white_mod)
        * 255
        // max(1, stain.nucleus_mod - stain.white_mod)
    )
    mass = smooth(np.clip(strength, 0, 255), grid.px(1.5))
    pale = ndi.uniform_filter(values, 5, mode="nearest") > PALE_BODY * stain.white_mod
    return White(body | (pale & grown(body, grid.px(RIM_UM))), values > stain.nucleus_mod, mass)


def pale_matter(values: np.ndarray, grid: Grid, stain: Stain) -> White:
    """The remains of burst cells, a pale net of nuclear stain: what is white matter on the mean
    over several um, in a map (h, w) of white-cell stain in mOD."""
    mass = smooth(_pale_strength(values, stain), grid.px(PALE_RADIUS_UM))
    return White(mass > 0.75 * _PALE * SCALE, mass > PALE_CORE * SCALE, mass)


def pale_hint(values: np.ndarray, grid: Grid, stain: Stain) -> np.ndarray:
    """Where the core of a smudge may lie (h, w) bool, by one box mean: the mean of such means is
    nowhere above their greatest.
    """
    return (
        smooth(_pale_strength(values, stain), grid.px(PALE_RADIUS_UM), times=1) > PALE_CORE * SCALE
    )


def _pale_strength(values: np.ndarray, stain: Stain) -> np.ndarray:
    return np.clip(values.astype(np.int32) * _PALE // stain.white_mod, 0, 255)


def find_nuclei(white: White, grid: Grid) -> tuple[Peaks, np.ndarray]:
    """Peaks of nuclear stain, and for each the index of the one that stands for its cell (-1 for
    none).
    """
    peaks = find_peaks(white.mass, grid.x, grid.y, grid.px(_PEAK_RADIUS_UM), _LEAST)
    pairs = pairs_within(peaks, LOBE_REACH_UM / grid.mpp)
    return peaks, group(
        peaks, pairs[_one_cell(white, peaks, pairs, grid)], NUCLEUS_REACH_UM / grid.mpp
    )


def _one_cell(white: White, peaks: Peaks, pairs: np.ndarray, grid: Grid) -> np.ndarray:
    """Which pairs (k,) are lobes of one cell: with no valley between them; or a valley, deeper
    where one of them is too slight for a nucleus of its own, if the cell has no neck there."""
    score = peaks.score[pairs]
    valley = lowest_between(white.mass, peaks, pairs) / np.maximum(1, score.min(1))
    joined = lowest_between(white.body, peaks, pairs) > 0
    lobes = joined & (valley > np.where(score.min(1) < FULL, 0.4, 0.6))
    lobes[lobes] = [_neck(white.body, peaks, two, grid) > _NECK for two in pairs[lobes]]
    result: np.ndarray = lobes | (joined & (valley > 0.92))
    return result


def _neck(body: np.ndarray, peaks: Peaks, two: np.ndarray, grid: Grid) -> float:
    """How deep in the white matter the way between two peaks runs, against how deep they lie
    themselves.
    """
    reach = int(_DEPTH_UM / grid.mpp)
    low, high = ((f(peaks.y[two]), f(peaks.x[two])) for f in (np.min, np.max))
    start = tuple(max(0, v - reach) for v in low)
    window = body[start[0] : high[0] + reach + 1, start[1] : high[1] + reach + 1]
    depth = np.minimum(
        ndi.distance_transform_edt(np.pad(window, 1, mode="edge"))[1:-1, 1:-1], reach
    )
    pair = Peaks(
        peaks.y[two] - start[0], peaks.x[two] - start[1], peaks.score[two], peaks.rank[two]
    )
    result: float = lowest_between(depth, pair, np.array([[0, 1]]))[0] / max(
        1, depth[pair.y, pair.x].min()
    )
    return result
