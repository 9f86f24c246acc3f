"""Commands about a slide alone: where its cells are, and where it can be read."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ingest import (
    CytostreamError,
    Slide,
    SmearMap,
    SmearZone,
    Workers,
    battlement,
    map_smear,
    open_slide_on,
    open_workers,
    plan_tiles,
    step_px0,
    survey_slide,
    thumbnail,
)
from segment import KIND_NAMES, Cell, begin_scan
from stream.cli.console import screen, track
from stream.cli.json_lines import json_lines
from stream.cli.options import (
    AreaOption,
    JsonFileOption,
    MppOption,
    MppOverrideOption,
    TilePxOption,
    WorkersOption,
)
from stream.cli.pictures import draw
from stream.config import Reading, load_config
from stream.events import JsonObject


def locate(
    slide: Annotated[Path, typer.Argument(help="Slide or field of view.")],
    json_out: JsonFileOption = None,
    mpp: MppOption = None,
    mpp_override: MppOverrideOption = None,
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", help=f"{', '.join(KIND_NAMES)}; all by default.")
    ] = None,
    workers: WorkersOption = None,
    tile_px: TilePxOption = None,
    area: AreaOption = None,
) -> None:
    """Find the cells of a slide, without classifying them.

    Example: cytostream locate smear.svs --json cells.jsonl
    """
    given = {"mpp_override": mpp_override, "workers": workers, "tile_px": tile_px, "area": area}
    reading = load_config(None, reading=given).reading
    check_kinds(kinds or ())
    found = locate_on_workers(slide, mpp, reading, kinds or KIND_NAMES, json_out)
    screen.print("  ".join(f"{kind} {count}" for kind, count in found.items()))


def check_kinds(kinds: Sequence[str]) -> None:
    """Raises CytostreamError where one is no kind of cell."""
    if unknown := set(kinds) - set(KIND_NAMES):
        raise CytostreamError(f"no kind {', '.join(unknown)}", f"of {', '.join(KIND_NAMES)}")


def locate_on_workers(
    path: Path, mpp: float | None, reading: Reading, kinds: Sequence[str], json_out: Path | None
) -> dict[str, int]:
    """`locate_cells` of a file, with workers of its own.

    Raises:
        CytostreamError: the slide cannot be read.
    """
    with open_workers(reading.workers) as pool:
        slide = open_slide_on(pool, path, mpp, reading.mpp_override, reading.read_limit_s)
        return locate_cells(slide, pool, reading, kinds, json_out)


def locate_cells(
    slide: Slide, pool: Workers, reading: Reading, kinds: Sequence[str], json_out: Path | None
) -> dict[str, int]:
    """How many cells of each kind a slide has; each is a line where `json_out` says.

    Raises:
        CytostreamError: the slide cannot be read.
    """
    found = dict.fromkeys(kinds, 0)
    begin = partial(begin_scan, kinds=tuple(found), area=reading.area)
    with json_lines(json_out) as write:
        scan = pool.call(begin, slide, reading.survey_limit_s)
        specs = list(plan_tiles(slide, scan.looked_at, reading.tile_px))
        results = (
            r for r in pool.each(scan.cells_in, specs, reading.read_limit_s) if r is not None
        )
        for spec, outcome in track(results, "locating", len(specs)):
            if isinstance(outcome, CytostreamError):
                screen.print(f"tile {spec.box_px0}: {outcome}")
                continue
            for box in outcome.unread:
                screen.print(f"{box} cannot be decoded")
            for cell in outcome.cells:
                found[cell.kind] += 1
                write(cell_line(cell, slide))
    return found


def cell_line(cell: Cell, slide: Slide) -> JsonObject:
    """A cell as a line; `whole` is false where the edge of the slide cuts it."""
    x0, y0, x1, y1 = cell.box_px0
    edge = step_px0(slide)  # what is nearer to the edge than a pixel as read lies at it
    return {
        "kind": cell.kind,
        "box": list(map(int, cell.box_px0)),
        "centre": [int(cell.x_px0), int(cell.y_px0)],
        "area_um2": round(float(cell.area_um2), 2),
        "cell_id": cell.cell_id,
        "whole": min(x0, y0) >= edge
        and x1 <= slide.width_px0 - edge
        and y1 <= slide.height_px0 - edge,
    }


def map_slide(
    slide: Annotated[Path, typer.Argument(help="Slide or field of view.")],
    out: Annotated[
        Path | None, typer.Option(help="Picture to write; SLIDE.map.png by default.")
    ] = None,
    mpp: MppOption = None,
    mpp_override: MppOverrideOption = None,
    workers: WorkersOption = None,
) -> None:
    """Draw where a smear can be read: glass, too thin, monolayer, too thick, out of focus, and the
    counting path.

    Example: cytostream map smear.svs --out map.png
    """
    given = {"mpp_override": mpp_override, "workers": workers}
    reading = load_config(None, reading=given).reading
    out = out or slide.with_suffix(".map.png")
    found, small = map_on_worker(slide, mpp, reading)
    draw_map(found, small, out)
    for zone in SmearZone:
        screen.print(f"  {zone.name.lower():10}{found.area_mm2(zone):9.2f} mm2")
    for problem in found.problems():
        screen.print(f"not fit for reading: {problem}")
    screen.print(f"{out}: outlined in black is the counting path (`locate --area battlement`)")


def map_on_worker(path: Path, mpp: float | None, reading: Reading) -> tuple[SmearMap, np.ndarray]:
    """`look_at_smear` at a file, with a worker of its own.

    Raises:
        CytostreamError: the slide cannot be read.
    """
    with open_workers(min(1, reading.workers)) as pool, screen.status("looking at the slide"):
        slide = open_slide_on(pool, path, mpp, reading.mpp_override, reading.read_limit_s)
        return pool.call(look_at_smear, slide, reading.survey_limit_s)


def look_at_smear(slide: Slide) -> tuple[SmearMap, np.ndarray]:
    """The map of a smear, and its thumbnail, RGB uint8 (h, w, 3).

    Raises:
        CytostreamError: the slide cannot be read.
    """
    return map_smear(slide, survey_slide(slide)), thumbnail(slide)


def draw_map(found: SmearMap, small: np.ndarray, out: Path) -> None:
    """Draws the map of a smear over its thumbnail, into a picture.

    Raises:
        CytostreamError: it cannot be written.
    """
    picture = draw(small, found, battlement(found))
    try:
        picture.save(out)
    except (OSError, ValueError) as error:
        what = f"{out}: {getattr(error, 'strerror', None) or error}"
        raise CytostreamError(what, "choose another --out, as map.png") from error
