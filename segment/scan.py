"""What a worker does: look at the slide once, then find the cells of each tile."""

from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from ingest import (
    Slide,
    SmearMap,
    StainMask,
    Survey,
    TileSpec,
    battlement,
    map_smear,
    read_tile,
    sample_fields,
    stain_samples,
    step_px0,
    survey_slide,
)

from .cells import Cell, find_cells
from .crops import CROP_UM
from .grid import WORK_MPP
from .red_cell_fields import RedCrops, RedField, measure_field
from .smear_check import RED_CELL_UM, check_smear
from .stain import Stain, fit_stain

AREAS = "all", "battlement"


@dataclass(frozen=True, slots=True)
class TileCells:
    """What a worker finds in a tile: its cells, and the boxes in level-0 px that cannot be decoded;
    cells there are left out. How long reading took, and finding."""

    cells: list[Cell]
    unread: tuple[tuple[int, int, int, int], ...] = ()
    read_s: float = 0.0
    find_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Scan:
    """All that finding cells in a tile needs, fixed by the slide alone; travels to every
    worker.

    White cells and platelets are looked for where `smear` holds, red cells, which stain too
    little for it, where `reds` does.
    """

    slide: Slide
    smear: StainMask
    stain: Stain
    kinds: tuple[str, ...]
    work_mpp: float = WORK_MPP
    reds: StainMask | None = None

    @property
    def looked_at(self) -> StainMask:
        """Where tiles are wanted."""
        return self._smear_of("rbc") if "rbc" in self.kinds else self.smear

    def _smear_of(self, kind: str) -> StainMask:
        return self.reds if kind == "rbc" and self.reds else self.smear

    def cells_in(self, spec: TileSpec) -> TileCells:
        """The cells that a tile owns.

        Raises:
            SlideError: nothing of the place can be decoded.
        """
        start = perf_counter()
        tile = read_tile(self.slide, spec, self.smear.background_rgb)
        read = perf_counter()
        found = find_cells(tile, self.stain, self.slide.slide_id, self.kinds, self.work_mpp)
        here = [cell for cell in found if self._smear_of(cell.kind).covers(cell.x_px0, cell.y_px0)]
        whole = [
            cell
            for cell in here
            if not any(touches(cell, box, self.slide.mpp) for box in tile.unread)
        ]
        return TileCells(whole, tile.unread, read - start, perf_counter() - read)

    def field_at(self, spec: TileSpec, cut: RedCrops | None = None) -> RedField:
        """The red cells of a field, measured, and those that `cut` asks for cut out.

        Raises:
            SlideError: nothing of the place can be decoded.
        """
        tile = read_tile(self.slide, spec, self.smear.background_rgb)
        size_px0 = self.slide.width_px0, self.slide.height_px0
        return measure_field(tile, self.stain, size_px0, cut)


def touches(cell: Cell, box: tuple[int, int, int, int], mpp: float) -> bool:
    """Whether a cell's box or crop reaches into a box, all in level-0 px."""
    half = CROP_UM / 2 / mpp
    x0, y0, x1, y1 = cell.box_px0
    low = min(x0, cell.x_px0 - half), min(y0, cell.y_px0 - half)
    high = max(x1, cell.x_px0 + half), max(y1, cell.y_px0 + half)
    return low[0] < box[2] and low[1] < box[3] and high[0] > box[0] and high[1] > box[1]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What reading a slide begins with: `scan` for the workers, the `map` of the smear, `fields` of
    its monolayer to sample.
    """

    scan: Scan
    map: SmearMap
    fields: list[TileSpec]


def begin_scan(
    slide: Slide,
    kinds: tuple[str, ...] = ("wbc", "platelet"),
    area: str = "all",
    red_cell_um: float = RED_CELL_UM,
) -> Scan:
    """The first look, and the stain fitted on samples of what it saw; `area` is "all" or
    "battlement", `red_cell_um` the diameter that red cells have, 0 not to check it.

    Raises:
        HeldError: it is no blood smear, or its scale is not what it states.
        SlideError: not a bright-field slide, or it cannot be read.
    """
    if area != "all":
        return begin_reading(slide, kinds, area, red_cell_um).scan
    seen = survey_slide(slide)
    check_smear(slide, seen, red_cell_um)
    return scan_of(slide, seen, kinds)


def begin_reading(
    slide: Slide,
    kinds: tuple[str, ...] = ("wbc", "platelet"),
    area: str = "all",
    red_cell_um: float = RED_CELL_UM,
) -> Outlook:
    """The same with the map of the smear, which says whether it is fit for reading.

    Raises:
        HeldError: it is no blood smear, or its scale is not what it states.
        SlideError: not a bright-field slide, or it cannot be read.
    """
    seen = survey_slide(slide)
    check_smear(slide, seen, red_cell_um)
    scan = scan_of(slide, seen, kinds)
    found = map_smear(slide, seen)
    smear, reds = (counted(where, found, area) for where in (seen.smear, everywhere(seen.smear)))
    return Outlook(replace(scan, smear=smear, reds=reds), found, sample_fields(slide, found))


def scan_of(slide: Slide, seen: Survey, kinds: tuple[str, ...]) -> Scan:
    stain = fit_stain(
        stain_samples(slide, seen), seen.smear.background_rgb, slide.mpp * step_px0(slide)
    )
    return Scan(slide, seen.smear, stain, kinds, reds=everywhere(seen.smear))


def plain_scan(slide: Slide, kinds: tuple[str, ...], work_mpp: float) -> Scan:
    """The slow reference: every place of the slide. With its own mpp as `work_mpp` on the lattice
    of its own pixels: plan the tiles at that mpp then."""
    seen = survey_slide(slide)
    samples = stain_samples(slide, seen)
    stain = fit_stain(samples, seen.smear.background_rgb, slide.mpp * step_px0(slide), work_mpp)
    return Scan(slide, everywhere(seen.smear), stain, kinds, work_mpp)


def everywhere(smear: StainMask) -> StainMask:
    return replace(smear, look=np.ones_like(smear.look))


def counted(smear: StainMask, found: SmearMap, area: str) -> StainMask:
    """Where cells count: everywhere, or on a technologist's path through the monolayer."""
    return smear if area == "all" else replace(smear, look=smear.look & battlement(found))
