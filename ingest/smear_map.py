"""What of a smear can be read: glass, too thin, monolayer, too thick, out of focus; and the path a
technologist would take.

Limits were chosen by hand, since no slide with known zones was at hand; they are held to simulated
smears by tests/ingest/test_smear_map.py.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from scipy import ndimage as ndi

from .readers import step_px0, whole_step_px0
from .slide import Slide
from .survey import Survey, parts, sample_window
from .tiles import MARGIN_UM, TileSpec

_AROUND_BLOCKS = 7  # density is that of some 220 um around: cells are few in one block
# share of the glass that is covered
BARE = 0.02
THIN = 0.12
THICK = 0.62
FOCUS_UM = 250.0
_MOST_WINDOWS = 600
WINDOW_PX = 128
SMOOTH_PX = 0.8
LEAST_CONTRAST = 12.0
BLURRED_UM = 2.2  # an edge wider than this is out of focus
LEAST_MM2 = 1.0
_FIELD_UM = 195.0  # a square as large as the field of a 100x objective under a 22 mm eyepiece
MOSTLY = 0.8
_PALE = 0.12  # optical density
# a lane of about 200 um, 2 mm long, as a field at 100x moves
LANE_BLOCKS = 6
RUN_BLOCKS = 60


class SmearZone(IntEnum):
    """What lies at a place of the slide."""

    GLASS = 0
    THIN = 1
    MONOLAYER = 2
    THICK = 3
    BLURRED = 4


@dataclass(frozen=True, slots=True)
class SmearMap:
    """`ground` (rows, cols) of `Ground` and `edge_um` (rows, cols), width of the steepest edges,
    nan where there are none, over blocks of `block_um`; `stain` is the density of the darkest
    hundredth.
    """

    ground: np.ndarray
    edge_um: np.ndarray
    block_um: float
    stain: float

    def area_mm2(self, *kinds: SmearZone) -> float:
        return float(np.isin(self.ground, kinds).sum() * (self.block_um / 1000) ** 2)

    def problems(self) -> list[str]:
        """Why the slide is not fit for reading, in a technologist's words; empty if it is."""
        smear = self.area_mm2(
            SmearZone.THIN, SmearZone.MONOLAYER, SmearZone.THICK, SmearZone.BLURRED
        )
        blurred = self.area_mm2(SmearZone.BLURRED)
        monolayer = self.area_mm2(SmearZone.MONOLAYER)
        found = []
        if smear == 0:
            return ["nothing lies on the glass"]
        if blurred > 0.5 * smear:
            found.append(f"{blurred / smear:.0%} of the smear is out of focus")
        if monolayer < min(LEAST_MM2, 0.2 * smear):
            thick = self.area_mm2(SmearZone.THICK) > self.area_mm2(SmearZone.THIN)
            found.append(
                f"only {monolayer:.2f} mm2 of monolayer: most is too {'thick' if thick else 'thin'}"
            )
        if self.stain < _PALE:
            found.append(
                f"pale stain: the darkest places have an optical density of {self.stain:.2f}"
            )
        return found


def map_smear(slide: Slide, seen: Survey) -> SmearMap:
    """The map of a surveyed slide; reads some hundred small windows at full resolution for the
    focus.

    Raises:
        SlideError: the slide has gone.
    """
    density = ndi.uniform_filter(seen.density.astype(np.float32), _AROUND_BLOCKS, mode="nearest")
    block_um = seen.smear.block_px0 * slide.mpp
    edge_um = (
        slide.mpp
        * step_px0(slide)
        * edge_map(slide, seen, density > BARE, max(1, round(FOCUS_UM / block_um)))
    )
    ground = np.digitize(density, (BARE, THIN, THICK)).astype(np.uint8)
    ground[np.isin(ground, (SmearZone.THIN, SmearZone.MONOLAYER)) & (edge_um > BLURRED_UM)] = (
        SmearZone.BLURRED
    )
    stain = float(np.percentile(seen.stained, 99)) if seen.stained.size else 0.0
    return SmearMap(ground, edge_um, block_um, stain)


def edge_map(slide: Slide, seen: Survey, covered: np.ndarray, every: int) -> np.ndarray:
    """Width of the edges, in px, in a window of each covered square of `every` blocks, for the
    square (rows, cols) float32.
    """
    while np.count_nonzero(covered[every // 2 :: every, every // 2 :: every]) > _MOST_WINDOWS:
        every *= 2
    coarse = np.full([-(-n // every) for n in covered.shape], np.nan, np.float32)
    for i, j in np.ndindex(*coarse.shape):
        part = covered[i * every : (i + 1) * every, j * every : (j + 1) * every]
        if part.mean() > 0.3:
            row, col = middle_of(part)
            window = sample_window(slide, seen.smear, i * every + row, j * every + col, WINDOW_PX)
            coarse[i, j] = np.nan if window is None else edge_width_px(window)
    return np.repeat(np.repeat(coarse, every, 0), every, 1)[: covered.shape[0], : covered.shape[1]]


def middle_of(part: np.ndarray) -> tuple[int, int]:
    """The place of a mask (h, w) bool nearest to its middle."""
    places = np.argwhere(part)
    row, col = places[np.abs(places - (np.array(part.shape) - 1) / 2).sum(axis=1).argmin()]
    return int(row), int(col)


def edge_width_px(pixels: np.ndarray) -> float:
    """Width of the steepest edges of an image (h, w, 3): its contrast over its greatest slope; nan
    where nothing stands out.

    An edge blurred by a Gaussian of sigma is 2.5 sigma wide, whatever its contrast; grain is
    smoothed away before.
    """
    grey = ndi.gaussian_filter(pixels.astype(np.float32).mean(axis=2), SMOOTH_PX)
    low, high = np.percentile(grey, (2, 98))
    slope = np.percentile(np.hypot(*np.gradient(grey)), 99.5)
    return float((high - low) / slope) if high - low > LEAST_CONTRAST else float("nan")


def battlement(found: SmearMap) -> np.ndarray:
    """The counting area (rows, cols) bool: lanes up, across and down again through the monolayer,
    like the top of a wall.

    Everything that can be read where there is too little monolayer for lanes.
    """
    readable = found.ground == SmearZone.MONOLAYER
    if found.area_mm2(SmearZone.MONOLAYER) < LEAST_MM2:
        return np.isin(found.ground, (SmearZone.THIN, SmearZone.MONOLAYER, SmearZone.THICK))
    rows, cols = np.indices(readable.shape)
    lane = cols // LANE_BLOCKS
    run = rows % (2 * RUN_BLOCKS)
    upright = lane % 2 == 0
    ends = np.where(
        lane % 4 == 1, run < LANE_BLOCKS, (run >= RUN_BLOCKS - LANE_BLOCKS) & (run < RUN_BLOCKS)
    )
    result: np.ndarray = readable & (run < RUN_BLOCKS) & (upright | ends)
    return result


def sample_fields(slide: Slide, found: SmearMap, most: int = 20) -> list[TileSpec]:
    """Fields of a 100x objective spread evenly over the monolayer, as tiles that share no cell;
    none where there is no monolayer. A slide that is hardly larger than a field is one.
    """
    if max(slide.width_px0, slide.height_px0) * slide.mpp <= 2 * _FIELD_UM:
        return [whole_field(slide)]
    step = step_px0(slide)
    side = max(1, round(_FIELD_UM / found.block_um))
    block_px0 = round(found.block_um / slide.mpp)
    if min(found.ground.shape) < side:
        return []
    ground = (
        found.ground[: len(found.ground) // side * side, : found.ground.shape[1] // side * side]
        == SmearZone.MONOLAYER
    )
    share = ground.reshape(ground.shape[0] // side, side, -1, side).mean(axis=(1, 3))
    places = np.argwhere(share >= MOSTLY)
    chosen = (
        places[np.linspace(0, len(places) - 1, min(most, len(places))).astype(int)]
        * side
        * block_px0
    )
    margin = math.ceil(MARGIN_UM / slide.mpp / step) * step
    px0 = min(round(_FIELD_UM / slide.mpp / step), side * block_px0 // step) * step
    return [
        TileSpec(int(x) // step * step, int(y) // step * step, px0, px0, margin, step)
        for y, x in chosen
    ]


def whole_field(slide: Slide) -> TileSpec:
    """All of a photographed field, as one tile."""
    step = step_px0(slide)
    return TileSpec(
        0,
        0,
        slide.width_px0,
        slide.height_px0,
        math.ceil(MARGIN_UM / slide.mpp / step) * step,
        step,
    )


def thumbnail(slide: Slide, longest_px: int = 1400) -> np.ndarray:
    """The slide small (h, w, 3), as a background of its map; what cannot be decoded is black."""
    wanted = max(1.0, max(slide.width_px0, slide.height_px0) / longest_px)
    best = whole_step_px0(slide, wanted)
    step = best * math.ceil(wanted / best)
    rows: dict[int, list[np.ndarray]] = {}
    for y, pixels in parts(slide, step, 1):
        rows.setdefault(y, []).append(pixels)
    return np.concatenate([np.hstack(row) for row in rows.values()])
