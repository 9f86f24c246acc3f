"""Whether a slide is a blood smear, and whether its red cells are as large as its scale makes them.

Both are decided on windows of the slide, read as if the scale were the stated one, and others:
where it is right, red cells part from each other and from the glass as round bodies of one size.

The limits were chosen with `python -m tests.tools.bench.smear_limits` on fields of five collections
of smears, each as an image of its own, and on tissue, fluorescence and the photographs of
`skimage.data`. Round bodies make up 0.42 to 0.92 of what covers a smear of 15 bodies or more, and
at most 0.18 of tissue or of a photograph; a field of few large cells has 0.11 to 0.47. Of all
bodies 0.44 or more are round where cells overlap, as in dense fields (round bodies are 0.15 or more
there), and at most 0.33 in tissue with little glass and in photographs. An image less than 30 um
wide may lie within one or two cells.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage as ndi

from ingest import (
    READ_MPP,
    HeldError,
    Slide,
    SlideError,
    Survey,
    Tile,
    TileSpec,
    background_of,
    read_tile,
)

from .grid import work_grid
from .red_cells import red_body, red_owners
from .stain import fit_stain
from .white_cells import find_whites

RED_CELL_UM = 7.2
TOLERANCE = 0.25
# The stated scale stands without a try of others if its red cells differ by less than LIKELY from
# the expected diameter and make up more than CLEAR_SHARE; else scales STEP apart are tried.
LIKELY = 0.12
CLEAR_SHARE = 0.4
_STEP = 1.5
TRIED_MPP = 0.025, 0.9
_FIELD_UM = 160.0
LEAST_FIELD_UM = 12.0
LEAST_FIELD_PX0 = 64  # a narrower image shows no cell at any scale
JUDGED_UM = 30.0
_MOST_WINDOWS = 3
MOST_PX0 = 4096
_AROUND_BLOCKS = 7
_DENSITY = 0.08, 0.6  # of windows, where there are such
LEAST_COVERED = 0.005  # a slide with less is empty, which is reported elsewhere
FREE_RIM = 0.4  # of the outline of a red cell, next to what is not covered
IN_DISC = 0.88  # of its area, in the disc of the same area about its middle
DIAMETER_UM = 5.0, 10.0  # as the tried scale has it
MANY_BODIES = 15
SHARE_OF_MANY = 0.25
SHARE_OF_FEW = 0.1
SHARE_OF_DENSE = 0.12
ROUND_OF_DENSE = 0.36
MOST_GLASS_OF_DENSE = 0.6  # of windows of overlapping cells, at most 0.48
RULER_CELLS = 6
RULER_BODIES = 10  # of a narrow image, in which a few platelets may look like red cells
RULER_SHARE = 0.2
_NEAR = 1.7  # another scale than the stated one, by less than this, may show what is there
CLEARLY_BETTER = 1.5  # times the score of the stated scale
GLASS_OD = 0.04
FILLED = 255  # of places that were not scanned
LEAST_GLASS = 0.15  # share of a window
LEAST_GLASS_OF_FEW = 0.26
COVERED_OD = 0.08
LEAST_COLOUR = 0.08  # spread of optical density over the channels; 0.12 or more in smears


@dataclass(frozen=True, slots=True)
class RedCellFit:
    """What a scale of `mpp` um/px makes of some windows: how many `bodies` touch no border, the
    `diameters_um` of those that are round, and their `share` of the area that is covered."""

    mpp: float
    bodies: int
    diameters_um: np.ndarray
    share: float

    @property
    def is_dense(self) -> bool:
        """Whether it shows cells that overlap: many bodies, of which many are round."""
        roundness = len(self.diameters_um) / max(1, self.bodies)
        return (
            self.bodies >= MANY_BODIES
            and self.share >= SHARE_OF_DENSE
            and roundness >= ROUND_OF_DENSE
        )

    @property
    def score(self) -> float:
        """How well the scale fits: the share, and less of it where it stands on few cells."""
        return self.share * min(1.0, len(self.diameters_um) / RULER_CELLS)

    @property
    def diameter_px0(self) -> float:
        """The median diameter in level-0 px, nan without cells."""
        return (
            float(np.median(self.diameters_um)) / self.mpp if len(self.diameters_um) else math.nan
        )


@dataclass(frozen=True, slots=True)
class _Body:
    """What may be a red cell; `diameter_um` is that of the disc of its area."""

    diameter_um: float
    area_um2: float
    is_round: bool


def check_smear(slide: Slide, seen: Survey, red_cell_um: float = RED_CELL_UM) -> None:
    """Holds what is no smear, and what has another scale than it states.

    An empty slide passes, one that is too small to show a cell, and with `red_cell_um` 0 any.

    Raises:
        HeldError: a person has to decide.
        SlideError: nothing of it can be decoded.
    """
    is_empty = (seen.density > LEAST_COVERED).mean() < LEAST_COVERED
    if not red_cell_um or is_empty:
        return
    narrowest_um = narrowest_um_of(slide)
    if min(slide.width_px0, slide.height_px0) < LEAST_FIELD_PX0 and narrowest_um < LEAST_FIELD_UM:
        return
    if narrowest_um < LEAST_FIELD_UM:
        what = f"{slide.path}: {narrowest_um:.3g} um narrow, which holds no cells to judge it by"
        raise HeldError(what, "give a larger field, or the true scale with --mpp-override")
    places = places_of(slide, seen)
    stated = fit_at(slide, places, slide.mpp)
    if is_clear(stated, red_cell_um):
        hold_content(slide, fault_of(slide, places, stated, SHARE_OF_FEW / 2))
        return
    best = max([stated, *fits_beside(slide, places, red_cell_um)], key=lambda fit: fit.score)
    fault = fault_of(slide, places, stated, SHARE_OF_FEW / 2)
    if fault and fault_of(slide, places, best, SHARE_OF_FEW) is None:
        fault = None
        if not 1 / _NEAR < best.mpp / slide.mpp < _NEAR:
            hold_scale(slide, best, red_cell_um)
    hold_content(slide, fault)
    least = RULER_BODIES if narrowest_um < JUDGED_UM else RULER_CELLS
    is_sure = best.bodies >= least and len(best.diameters_um) >= RULER_CELLS
    is_sure &= best.share >= RULER_SHARE
    if (
        is_sure
        and not agrees(stated, red_cell_um)
        and (best is stated or best.score >= CLEARLY_BETTER * stated.score)
    ):
        hold_scale(slide, best, red_cell_um)


def narrowest_um_of(slide: Slide) -> float:
    return min(slide.width_px0, slide.height_px0) * slide.mpp


def hold_content(slide: Slide, fault: str | None) -> None:
    """Raises:
    HeldError: there is a fault.
    """
    if fault:
        hint = "give a stained blood smear in colour; reading.red_cell_um = 0 reads it all the same"
        raise HeldError(f"{slide.path}: no blood smear: {fault}", hint)


def hold_scale(slide: Slide, best: RedCellFit, red_cell_um: float) -> None:
    """Raises:
    HeldError: the median red cell is more than a quarter smaller or larger than expected.
    """
    diameter_um = best.diameter_px0 * slide.mpp
    if abs(diameter_um / red_cell_um - 1) > TOLERANCE:
        fitting = red_cell_um / best.diameter_px0
        figures = f"at {slide.mpp:.4g} um per pixel the median red cell would be {diameter_um:.3g} "
        figures += (
            f"um wide, where {red_cell_um:g} um is usual; {fitting:.2g} um per pixel would fit"
        )
        hint = "check the objective, then give the true um per pixel with --mpp-override"
        raise HeldError(f"{slide.path}: {figures}", hint, "scale", figures)


def fault_of(
    slide: Slide, places: Sequence[tuple[int, int]], fit: RedCellFit, share_of_few: float
) -> str | None:
    """Why it is no smear, None if nothing does; few bodies need a `share_of_few`."""
    glass, colour = appearance(windows_at(slide, places, fit.mpp))
    are_many = fit.bodies >= MANY_BODIES
    is_narrow = fit.mpp == slide.mpp and narrowest_um_of(slide) < JUDGED_UM
    if colour < LEAST_COLOUR:
        return "it has no colour"
    is_clear_of_few = are_many or is_narrow or fit.share >= SHARE_OF_MANY
    if glass < (LEAST_GLASS if is_clear_of_few else LEAST_GLASS_OF_FEW):
        return "there is no empty glass between its cells"
    needs_share = SHARE_OF_MANY if are_many else share_of_few
    is_dense = fit.is_dense and glass < MOST_GLASS_OF_DENSE
    if fit.share < needs_share and not (is_dense or is_narrow):
        return f"round bodies as red cells are make up {fit.share:.0%} of what lies on it"
    return None


def is_clear(fit: RedCellFit, red_cell_um: float) -> bool:
    """Whether no other scale need be tried: much is round, and of the expected size."""
    ratio = fit.diameter_px0 * fit.mpp / red_cell_um
    return fit.share >= CLEAR_SHARE and abs(ratio - 1) < LIKELY and fit.bodies >= MANY_BODIES


def agrees(stated: RedCellFit, red_cell_um: float) -> bool:
    """Whether the stated scale itself shows many red cells of a size that is possible."""
    ratio = stated.diameter_px0 * stated.mpp / red_cell_um
    is_many = stated.bodies >= MANY_BODIES and stated.share >= SHARE_OF_MANY
    return (is_many or stated.is_dense) and abs(ratio - 1) <= TOLERANCE


def fits_beside(
    slide: Slide, places: Sequence[tuple[int, int]], red_cell_um: float
) -> list[RedCellFit]:
    """Other scales about the stated one, and the best of them refined to the size that it gives."""
    tried = [slide.mpp * _STEP**power for power in range(-12, 13) if power]
    fits = []
    for mpp in tried:
        if TRIED_MPP[0] <= mpp <= TRIED_MPP[1]:
            with suppress(SlideError):  # its windows may be smaller, and lie in a torn tile
                fits.append(fit_at(slide, places, mpp))
    best = max(fits, key=lambda fit: fit.score, default=None)
    if best and best.score > 0:
        refined = red_cell_um / best.diameter_px0
        with suppress(SlideError):
            fits.append(fit_at(slide, places, min(max(refined, TRIED_MPP[0]), TRIED_MPP[1])))
    return fits


def fit_at(slide: Slide, places: Sequence[tuple[int, int]], mpp: float) -> RedCellFit:
    """The windows about some places (x, y) in level-0 px, read as if of `mpp` um/px."""
    with ThreadPoolExecutor(_MOST_WINDOWS) as threads:  # nothing else of the slide can begin yet
        found = list(threads.map(bodies_of, windows_at(slide, places, mpp)))
    bodies = [body for of_window, _ in found for body in of_window]
    covered_um2 = sum(covered for _, covered in found)
    cells = [body for body in bodies if body.is_round]
    likely = [body for body in cells if DIAMETER_UM[0] < body.diameter_um < DIAMETER_UM[1]]
    share = sum(body.area_um2 for body in likely) / max(covered_um2, 1.0)
    return RedCellFit(mpp, len(bodies), np.array([body.diameter_um for body in cells]), share)


def places_of(slide: Slide, seen: Survey) -> list[tuple[int, int]]:
    """Middles (x, y) of windows in level-0 px, spread over where the smear is neither empty nor
    thick; over all that is covered where nothing is so."""
    density = ndi.uniform_filter(seen.density.astype(np.float32), _AROUND_BLOCKS, mode="nearest")
    is_covered = seen.density > _DENSITY[0]  # and not only near what is
    choices = (
        is_covered & (density > _DENSITY[0]) & (density < _DENSITY[1]),
        is_covered,
        seen.density >= min(LEAST_COVERED, seen.density.max()),
    )
    blocks = np.argwhere(next(choice for choice in choices if choice.any()))
    chosen = blocks[np.linspace(0, len(blocks) - 1, 2 * _MOST_WINDOWS + 1).astype(int)[1::2]]
    side = seen.smear.block_px0
    return [
        (
            min((col * side + side // 2), slide.width_px0),
            min(row * side + side // 2, slide.height_px0),
        )
        for row, col in chosen
    ]


def windows_at(slide: Slide, places: Sequence[tuple[int, int]], mpp: float) -> Iterator[Tile]:
    """Windows of `FIELD_UM` about the places, each once, as tiles without a margin; what cannot be
    decoded of one is left out.

    Raises:
        SlideError: none can be decoded.
    """
    step = max(1, math.floor(READ_MPP / mpp + 1e-6))
    side = min(MOST_PX0, round(_FIELD_UM / mpp)) // step * step
    boxes = {box_about(slide, place, side, step): None for place in places}
    trouble = None
    read = 0
    for x0, y0, x1, y1 in boxes:
        if x1 <= x0 or y1 <= y0:
            continue
        spec = TileSpec(x0, y0, x1 - x0, y1 - y0, 0, step)
        try:
            tile = read_tile(slide, spec, (FILLED, FILLED, FILLED))
        except SlideError as error:
            trouble = error
            continue
        read += 1
        yield replace(tile, mpp=mpp * step)
    if trouble and not read:
        raise trouble


def box_about(
    slide: Slide, place: tuple[int, int], side: int, step: int
) -> tuple[int, int, int, int]:
    """A square (x0, y0, x1, y1) in level-0 px on the grid of `step`, within the slide."""
    ends = []
    for middle, size in zip(place, (slide.width_px0, slide.height_px0), strict=True):
        start = max(0, min(middle - side // 2, size - side)) // step * step
        ends.append((start, min(start + side, size // step * step)))
    (x0, x1), (y0, y1) = ends
    return x0, y0, x1, y1


def bodies_of(tile: Tile) -> tuple[list[_Body], float]:
    """The bodies of a window that touch no border, and the area in um^2 that is covered."""
    background = background_of(tile.pixels.reshape(-1, 3))
    grid = work_grid(tile)
    if min(grid.sums.shape[:2]) < grid.px(DIAMETER_UM[1]):
        return [], 0.0
    stain = fit_stain([tile.pixels], background, tile.mpp)
    red = stain.red(grid.sums, grid.share)
    _, taken = find_whites(stain.white(grid.sums, grid.share), grid, stain)
    owner, _ = red_owners(red, taken, grid, stain)
    body = red_body(red, grid, stain)
    found = bodies_in(owner, ndi.binary_dilation(~body), grid.mpp)
    return found, float(np.count_nonzero(body | taken)) * grid.mpp**2


def bodies_in(owner: np.ndarray, beside_free: np.ndarray, mpp: float) -> list[_Body]:
    """The bodies of a map of owners (h, w), -1 for none, that touch no border of it;
    `beside_free` (h, w) bool is what borders on uncovered places.
    """
    rows, cols = np.nonzero(owner >= 0)
    who = owner[rows, cols]
    count = int(owner.max(initial=-1)) + 1
    size = np.bincount(who, minlength=count)
    around = np.pad(owner, 1, mode="edge")
    beside = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:])
    rim = np.logical_or.reduce([other != owner for other in beside])[rows, cols]
    free = np.bincount(who[rim & beside_free[rows, cols]], minlength=count)
    radius = np.sqrt(size / math.pi)
    middle_row, middle_col = (
        np.bincount(who, at, count) / np.maximum(size, 1) for at in (rows, cols)
    )
    away = np.hypot(rows - middle_row[who], cols - middle_col[who])
    in_disc = np.bincount(who[away <= radius[who] + 0.5], minlength=count)
    is_round = free > FREE_RIM * np.maximum(1, np.bincount(who[rim], minlength=count))
    is_round &= (in_disc > IN_DISC * size) & (size >= 8)
    inner = size > 0
    for edge in (owner[0], owner[-1], owner[:, 0], owner[:, -1]):
        inner[edge[edge >= 0]] = False
    return [
        _Body(float(2 * radius[i] * mpp), float(size[i] * mpp**2), bool(is_round[i]))
        for i in np.flatnonzero(inner)
    ]


def appearance(tiles: Iterable[Tile]) -> tuple[float, float]:
    """The share of empty glass in windows, white filling left out, and the median colour of what is
    covered: the spread of its optical density over the channels, by the mean."""
    with ThreadPoolExecutor(_MOST_WINDOWS) as threads:
        found = list(threads.map(glass_and_colours, tiles))
    spread = np.concatenate([colours for _, colours in found]) if found else np.zeros(0)
    return (
        float(np.mean([glass for glass, _ in found])) if found else 0.0,
        float(np.median(spread)) if len(spread) else 0.0,
    )


def glass_and_colours(tile: Tile) -> tuple[float, np.ndarray]:
    """The share of empty glass in a window, and the colour of each pixel (n,) that is covered."""
    background = np.array(background_of(tile.pixels.reshape(-1, 3)), np.float32)
    # channel by channel: along an axis of three numpy is slow
    od = -np.log10((np.arange(256, dtype=np.float32)[:, None] + 1) / (background + 1))
    channels = [tile.pixels[..., channel] for channel in range(3)]
    density = [
        ndi.uniform_filter(od[:, channel][values], 3, mode="nearest")
        for channel, values in enumerate(channels)
    ]
    farthest = np.maximum.reduce([np.abs(values) for values in density])
    filled = (np.minimum.reduce(channels) == FILLED) & (background.min() < FILLED - 1)
    empty = farthest < GLASS_OD
    is_covered = density[1] > COVERED_OD
    covered = [np.maximum(values[is_covered], 0) for values in density]
    mean = (covered[0] + covered[1] + covered[2]) / 3
    spread = np.maximum.reduce(covered) - np.minimum.reduce(covered)
    return (
        int(np.count_nonzero(empty)) / max(1, int(np.count_nonzero(~filled))),
        spread / np.maximum(mean, 0.02),
    )
