"""Commands about a slide alone: where its cells are."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from ingest import CytostreamError, open_slide, open_workers, plan_tiles
from segment import begin_scan

from .config import Reading
from .lines import json_lines

screen = Console(stderr=True)
KINDS = ("wbc", "platelet", "rbc")


def locate(
    slide: Annotated[Path, typer.Argument(help="Slide or field of view.")],
    json_out: Annotated[Path | None, typer.Option("--json", help="Write one JSON line a cell here; - is stdout.")] = None,
    mpp: Annotated[float | None, typer.Option(help="um per level-0 px, where the file does not say.")] = None,
    kinds: Annotated[list[str] | None, typer.Option("--kind", help="wbc, platelet, rbc; all by default.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Worker processes; 0 is this process.")] = 2,
    tile_px: Annotated[int, typer.Option(min=256, max=8192)] = 1024,
) -> None:
    """Find the cells of a slide, without classifying them.

    Example: cytostream locate smear.svs --json cells.jsonl
    """
    facts, reading = open_slide(slide, mpp), Reading()
    found = {kind: 0 for kind in kinds or KINDS}
    if unknown := set(found) - set(KINDS):
        raise CytostreamError(f"no kind {', '.join(unknown)}", f"of {', '.join(KINDS)}")
    with open_workers(workers) as pool, json_lines(json_out) as write:
        scan = pool.call(partial(begin_scan, kinds=tuple(found)), facts, reading.survey_limit_s)
        specs = list(plan_tiles(facts, scan.smear, tile_px))
        results = (r for r in pool.each(scan.cells_in, specs, reading.read_limit_s) if r is not None)
        for spec, outcome in track(results, "locating", total=len(specs), console=screen):
            if isinstance(outcome, CytostreamError):
                screen.print(f"tile {spec.box_px0}: {outcome}")
                continue
            for cell in outcome:
                found[cell.kind] += 1
                write(line_of(cell))
    screen.print("  ".join(f"{kind} {n}" for kind, n in found.items()))


def line_of(cell: object) -> dict:
    return {
        "kind": cell.kind, "box": list(map(int, cell.box_px0)), "centre": [int(cell.x_px0), int(cell.y_px0)],
        "area_um2": round(float(cell.area_um2), 2), "cell_id": cell.cell_id,
    }  # fmt: skip
