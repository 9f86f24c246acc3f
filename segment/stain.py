"""Stain of one slide: colour weights and thresholds, fitted once and used for every tile of it.

Optical densities are whole thousandths (mOD), so that a pixel gives the same value in every tile.

Limits were chosen by hand on the boxes of cbc-fields and on fields of smear-overview looked
at by eye, scored as tests/scoring.py does; so no score of these slides is held out.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu

from .grid import WORK_MPP, bin_pixels, bin_px

ALL_STAIN = (0.25, 0.5, 0.25)
RED_STAIN = (
    0.1,
    0.8,
    0.1,
)  # haemoglobin and eosin absorb green: pale red cells stand out twice as clear there
LEAST_MOD = 30  # paler than this above the glass is noise, not stain
LEAST_RED_MOD = 12  # the same of the red-cell stain


@dataclass(frozen=True, slots=True)
class Stain:
    """What tells nuclei, cytoplasm, platelets and red cells apart on one slide; small and
    picklable.

    `white` = (R + G) / 2 - `red_ratio` * B is 0 for this slide's red cells however thick they lie,
    and grows with the blue-violet of white cells: `white_mod` bounds their body, `nucleus_mod`
    their nuclei, `level_mod` is a typical nucleus. `stained` = (R + 2 G + B) / 4: `stained_mod`
    bounds all that is not glass. `platelet` = `white` - `stained` / 3 keeps the pale blue of
    platelets and turns the rims of red cells below 0: `platelet_mod` is the least peak of a
    platelet. `red` is mostly G, where red cells absorb most: `red_mod` bounds them from the glass.
    All in thousandths of optical density above `background_rgb`.
    """

    background_rgb: tuple[int, int, int]
    red_ratio: float
    white_mod: int
    nucleus_mod: int
    level_mod: int
    platelet_mod: int
    stained_mod: int
    red_mod: int

    def white(self, sums: np.ndarray, share: int) -> np.ndarray:
        """White-cell stain (h, w) int16 in mOD, of sums (h, w, 3) over `share` pixels; a 3 x 3 mean
        against noise.
        """
        return _white(sums, share, self.background_rgb, self.red_ratio)

    def stained(self, sums: np.ndarray, share: int) -> np.ndarray:
        """All stain (h, w) int16 in mOD, of sums (h, w, 3) over `share` pixels; a 3 x 3 mean
        against noise.
        """
        return _stained(sums, share, self.background_rgb)

    def red(self, sums: np.ndarray, share: int) -> np.ndarray:
        """Red-cell stain (h, w) int16 in mOD, of sums (h, w, 3) over `share` pixels; a 3 x 3
        mean against noise.
        """
        return _red(sums, share, self.background_rgb)


def fit_stain(
    samples: list[np.ndarray],
    background_rgb: tuple[int, int, int],
    mpp: float,
    work_mpp: float = WORK_MPP,
) -> Stain:
    """The stain of a slide from windows (h, w, 3) uint8 of it, read at `mpp` um/px, for a work grid
    of `work_mpp`.

    Where nothing is stained, or no white cell is among the samples, the thresholds follow from the
    spread of the rest: an empty slide yields no cells, and one without white cells next to none.
    """
    factor = bin_px(mpp, work_mpp)
    sums = [bin_pixels(s, factor) for s in samples if min(s.shape[:2]) >= factor]
    every = [_stained(s, factor * factor, background_rgb) for s in sums]
    stained_mod = _stained_threshold(every, LEAST_MOD)
    red_mod = _stained_threshold(
        [_red(s, factor * factor, background_rgb) for s in sums], LEAST_RED_MOD
    )
    solid = [_solid(e, stained_mod) for e in every]
    red_ratio = _red_ratio(sums, solid, factor * factor, background_rgb)
    white = [_white(s, factor * factor, background_rgb, red_ratio) for s in sums]
    nuclei, spread = _nuclei(white, solid, radius=max(1, round(1.2 / (mpp * factor))))
    level = float(np.median(_where(white, nuclei))) if any(n.any() for n in nuclei) else 10 * spread
    red = [s & ~n for s, n in zip(solid, nuclei, strict=True)]
    platelet_mod = _platelet_threshold(
        [platelet(w, e) for w, e in zip(white, every, strict=True)], red, level
    )
    white_mod = max(0.15 * level, 2.5 * spread)
    whites = int(white_mod), int(0.6 * level), int(level)
    background = (int(background_rgb[0]), int(background_rgb[1]), int(background_rgb[2]))
    return Stain(background, red_ratio, *whites, platelet_mod, stained_mod, red_mod)


def platelet(white: np.ndarray, stained: np.ndarray) -> np.ndarray:
    """The platelet stain in mOD, of the white-cell and the whole stain."""
    result: np.ndarray = white - stained // 3
    return result


def _mix(
    sums: np.ndarray, share: int, background_rgb: tuple[int, int, int], weights: tuple[float, ...]
) -> np.ndarray:
    tables = [_table(share, b, w) for b, w in zip(background_rgb, weights, strict=True)]
    mix = tables[0][sums[..., 0]]
    for c in (1, 2):
        mix += tables[c][sums[..., c]]
    result: np.ndarray = mix
    return result


def _stained(sums: np.ndarray, share: int, background_rgb: tuple[int, int, int]) -> np.ndarray:
    result: np.ndarray = ndi.uniform_filter(
        _mix(sums, share, background_rgb, ALL_STAIN), 3, mode="nearest"
    )
    return result


def _red(sums: np.ndarray, share: int, background_rgb: tuple[int, int, int]) -> np.ndarray:
    result: np.ndarray = ndi.uniform_filter(
        _mix(sums, share, background_rgb, RED_STAIN), 3, mode="nearest"
    )
    return result


def _white(
    sums: np.ndarray, share: int, background_rgb: tuple[int, int, int], red_ratio: float
) -> np.ndarray:
    result: np.ndarray = ndi.uniform_filter(
        _mix(sums, share, background_rgb, (0.5, 0.5, -red_ratio)), 3, mode="nearest"
    )
    return result


def _table(share: int, background: int, weight: float) -> np.ndarray:
    """Weighted mOD of every possible sum. Brighter than the glass counts as glass."""
    od = -np.log10((np.arange(255 * share + 1) / share + 1) / (background + 1))
    return np.rint(weight * 1000 * np.maximum(od, 0)).astype(np.int16)


def _stained_threshold(every: list[np.ndarray], least: int) -> int:
    """Between glass and cells (Otsu, of the logarithm, so that it stays near the glass when some
    cells are very dark).
    """
    values = np.concatenate([e.ravel() for e in every] or [np.zeros(1, np.int16)])
    if values.max() < LEAST_MOD:
        return LEAST_MOD
    return max(least, int(np.exp(threshold_otsu(np.log(values + 10.0))) - 10))


def _solid(every: np.ndarray, stained_mod: int) -> np.ndarray:
    """Where cells are at least half as dense as usual, without their rims."""
    usual = np.median(every[every > stained_mod]) if (every > stained_mod).any() else 0
    result: np.ndarray = ndi.binary_erosion(every > max(stained_mod, usual / 2))
    return result


def _red_ratio(
    sums: list[np.ndarray],
    solid: list[np.ndarray],
    share: int,
    background_rgb: tuple[int, int, int],
) -> float:
    """(R + G) / 2 over B of the red cells: the lower of two kinds of stain, where there are two."""
    red_green = _where([_mix(s, share, background_rgb, (0.5, 0.5, 0)) for s in sums], solid)
    blue = _where([_mix(s, share, background_rgb, (0, 0, 1)) for s in sums], solid)
    ratio = np.clip(red_green / np.maximum(blue, 20), 0.4, 8)
    if not len(ratio):
        return 1.0
    logs = np.log(ratio)
    lower = ratio[logs <= threshold_otsu(logs)]
    two = (
        np.median(ratio[ratio > lower.max()]) > 1.6 * np.median(lower)
        if len(lower) < len(ratio)
        else False
    )
    return round(
        float(min(np.median(lower if two and len(lower) > len(ratio) / 10 else ratio), 2.2)), 3
    )


def _where(maps: list[np.ndarray], masks: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(
        [m[k] for m, k in zip(maps, masks, strict=True)] or [np.zeros(0, np.int16)]
    )


def _nuclei(
    white: list[np.ndarray], solid: list[np.ndarray], radius: int
) -> tuple[list[np.ndarray], float]:
    """Where the samples hold nuclei (what stands clear of the red cells and is no speck), and the
    red cells' spread in mOD.

    Red cells lie around 0 by the choice of the ratio; their spread is read from the side where no
    white cell is.
    """
    red = _where(white, solid)
    below = -red[red < 0]
    spread = float(np.clip(np.percentile(below, 68), 10, 40)) if len(below) else 20.0
    blobs = [ndi.minimum_filter(w, 2 * radius + 1) > 5 * spread for w in white]
    return [ndi.binary_dilation(b, iterations=radius) for b in blobs], spread


def _platelet_threshold(platelets: list[np.ndarray], red: list[np.ndarray], level: float) -> int:
    """Clear of nearly every red-cell pixel (their lower side, mirrored, for white cells stray
    above), and a fair share of a nucleus."""
    values = _where(platelets, red)
    middle, low = np.percentile(values, (50, 1)) if len(values) else (0, 0)
    return int(max(0.14 * level, 1.5 * (2 * middle - low), LEAST_MOD))
