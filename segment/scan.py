"""What a worker does: look at the slide once, then find the cells of each tile."""

from dataclasses import dataclass, replace

from ingest import Slide, Smear, Survey, TileSpec, battlement, look_closer, read_tile, stain_samples, step_px0, survey

from .cells import Cell, find_cells
from .stain import Stain, fit_stain


@dataclass(frozen=True, slots=True)
class Scan:
    """All that finding cells in a tile needs, fixed by the slide alone; travels to every worker."""

    slide: Slide
    smear: Smear
    stain: Stain
    kinds: tuple[str, ...]

    def cells_in(self, spec: TileSpec) -> list[Cell]:
        """The cells that a tile owns.

        Raises:
            SlideError: the place cannot be decoded.
        """
        tile = read_tile(self.slide, spec, self.smear.background_rgb)
        found = find_cells(tile, self.stain, self.slide.slide_id, self.kinds)
        return [cell for cell in found if self.smear.covers(cell.x_px0, cell.y_px0)]


def begin_scan(slide: Slide, kinds: tuple[str, ...] = ("wbc", "platelet"), area: str = "all") -> Scan:
    """The first look, and the stain fitted on samples of what it saw; `area` is "all" or "battlement".

    Raises:
        SlideError: not a bright-field slide, or it cannot be read.
    """
    seen = survey(slide)
    stain = fit_stain(stain_samples(slide, seen), seen.smear.background_rgb, slide.mpp * step_px0(slide))
    return Scan(slide, counted(slide, seen, area), stain, kinds)


def counted(slide: Slide, seen: Survey, area: str) -> Smear:
    """Where cells count: everywhere, or on a technologist's path through the monolayer."""
    if area == "all":
        return seen.smear
    path = battlement(look_closer(slide, seen))
    return replace(seen.smear, look=seen.smear.look & path)
