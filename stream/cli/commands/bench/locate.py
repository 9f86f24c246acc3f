"""`cytostream bench locate`: how long finding cells takes, against a plain scan with the same
segmentation, and its memory.
"""

import json
import os
import resource
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated

import numpy as np
import typer
from rich.progress import track
from rich.table import Table
from scipy.spatial import cKDTree

from ingest import (
    READ_MPP,
    CytostreamError,
    Slide,
    TileSpec,
    Workers,
    open_slide,
    open_workers,
    plan_tiles,
)
from segment import AREAS, WORK_MPP, Cell, Scan, begin_scan, plain_scan
from stream.cli.console import screen
from stream.cli.options import MppOption, TilePxOption, WorkersOption
from stream.config import Reading, load_config
from stream.events import JsonObject

LOCATE_ROW = "ours"
EVERYWHERE = "every place"
_PLAIN = "every place at full resolution"
SAME_UM = 3.0
SlideScan = Callable[[Slide], Scan]
CellPlace = tuple[str, int, int]  # kind, x_px0, y_px0


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a worker reports of a tile: its cells, how long it took, its own peak memory."""

    cells: list[CellPlace]
    took_s: float
    pid: int
    peak_bytes: int


def timed(scan: Scan, spec: TileSpec) -> Agreement:
    start = perf_counter()
    cells = [_place_of(cell) for cell in scan.cells_in(spec).cells]
    return Agreement(
        cells,
        perf_counter() - start,
        os.getpid(),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def _place_of(cell: Cell) -> CellPlace:
    return cell.kind, cell.x_px0, cell.y_px0


@dataclass(frozen=True, slots=True)
class TimedRow:
    """One way of scanning a slide: wall time from an open slide to the last cell, on workers that
    have started.
    """

    seconds: float
    tiles: int
    failed: int
    tile_s: list[float]
    cells: list[CellPlace]
    peak_bytes: int

    def figures(self, slide: Slide) -> JsonObject:
        pixels = slide.width_px0 * slide.height_px0
        return {
            "seconds": self.seconds,
            "mpx_per_s": pixels / self.seconds / 1e6,
            "s_per_gpx": self.seconds / pixels * 1e9,
            "tiles": self.tiles,
            "tiles_failed": self.failed,
            "tile_ms_median": float(np.median(self.tile_s or [0])) * 1000,
            "tile_ms_longest": max(self.tile_s, default=0.0) * 1000,
            "worker_peak_mb": self.peak_bytes / 1e6,
            **{kind: n for kind, n in sorted(Counter(kind for kind, *_ in self.cells).items())},
        }


def scanned(slide: Slide, begin: SlideScan, mpp: float, reading: Reading, name: str) -> TimedRow:
    """Scan once; workers are new, so that their peak memory is this scan's, and have read what they
    need to begin.
    """
    with open_workers(reading.workers) as pool:
        for _ in pool.each(warm, range(max(1, reading.workers)), 60):
            pass
        return row_of(pool, slide, begin, mpp, reading, name)


def warm(_: int) -> int:
    return len(AREAS)


def row_of(
    pool: Workers, slide: Slide, begin: SlideScan, mpp: float, limits: Reading, name: str
) -> TimedRow:
    start = perf_counter()
    scan = pool.call(begin, slide, limits.survey_limit_s)
    specs = list(plan_tiles(slide, scan.looked_at, limits.tile_px, mpp))
    arrived = (
        r for r in pool.each(partial(timed, scan), specs, limits.read_limit_s * 10) if r is not None
    )
    outcomes = [
        outcome
        for _, outcome in track(arrived, name, total=len(specs), console=screen, transient=True)
    ]
    seconds = perf_counter() - start
    told = [o for o in outcomes if not isinstance(o, CytostreamError)]
    cells = [cell for one in told for cell in one.cells]
    peak = max((one.peak_bytes for one in told), default=0)
    return TimedRow(
        seconds, len(specs), len(outcomes) - len(told), [one.took_s for one in told], cells, peak
    )


def agreement(ours: list[CellPlace], plain: list[CellPlace], mpp: float) -> dict[str, float]:
    """Of each kind the F1 of ours against the plain scan's: cells are the same that are each
    other's nearest within 3 um.
    """
    return {
        kind: agreement_of(
            *(
                np.array([p[1:] for p in ps if p[0] == kind]).reshape(-1, 2) * mpp
                for ps in (ours, plain)
            )
        )
        for kind in sorted({p[0] for p in ours + plain})
    }


def agreement_of(a: np.ndarray, b: np.ndarray) -> float:
    if not len(a) or not len(b):
        return 0.0
    away, there = cKDTree(b).query(a)
    _, back = cKDTree(a).query(b)
    same = np.count_nonzero((away <= SAME_UM) & (back[there] == np.arange(len(a))))
    return 2 * same / (len(a) + len(b))


def bench_locate(
    slide: Annotated[Path, typer.Argument(help="Slide or field of view.")],
    mpp: MppOption = None,
    workers: WorkersOption = None,
    tile_px: TilePxOption = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--kind", help="wbc, platelet, rbc; wbc and platelet by default."),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Of ours; the median counts.")] = 3,
    plain: Annotated[bool, typer.Option(help="Also the plain scan.")] = True,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write every figure here.")
    ] = None,
) -> None:
    """Finding cells: seconds, Mpx/s, s per Gpx, memory; against a scan of every place at full
    resolution, same segmentation.

    Example: cytostream bench locate smear.svs --json locate.json
    """
    reading = load_config(None, reading={"workers": workers, "tile_px": tile_px}).reading
    facts = open_slide(slide, mpp)
    wanted = tuple(kinds or ("wbc", "platelet"))
    made, runs_s = time_scans(facts, reading, wanted, runs, plain)
    report = scans_report(facts, made, runs_s)
    show(facts, report, made)
    if json_out:
        json_out.write_text(json.dumps(report, indent=1) + "\n")


def time_scans(
    slide: Slide, reading: Reading, kinds: tuple[str, ...], runs: int, plain: bool
) -> tuple[dict[str, TimedRow], list[float]]:
    """Each way of scanning a slide, of ours the median run; and the seconds of all runs of ours.

    Raises:
        CytostreamError: the slide cannot be read.
    """
    ours = partial(begin_scan, kinds=kinds)
    rows = [scanned(slide, ours, READ_MPP, reading, LOCATE_ROW) for _ in range(runs)]
    rows.sort(key=lambda row: row.seconds)
    made = {LOCATE_ROW: rows[len(rows) // 2]}
    others = ((EVERYWHERE, READ_MPP, WORK_MPP), (_PLAIN, slide.mpp, slide.mpp))
    for name, read_mpp, work_mpp in others if plain else ():
        begin = partial(plain_scan, kinds=kinds, work_mpp=work_mpp)
        made[name] = scanned(slide, begin, read_mpp, reading, name)
    return made, [row.seconds for row in rows]


def scans_report(slide: Slide, made: dict[str, TimedRow], runs_s: list[float]) -> JsonObject:
    """Every figure of the scans, and of ours against the plain ones where there are some."""
    report: JsonObject = {name: row.figures(slide) for name, row in made.items()}
    report["runs_s"] = runs_s
    report["reader_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    if _PLAIN in made:
        report["times_faster"] = made[_PLAIN].seconds / made[LOCATE_ROW].seconds
        report["agreement_f1"] = {
            name: agreement(made[LOCATE_ROW].cells, made[name].cells, slide.mpp)
            for name in (EVERYWHERE, _PLAIN)
        }
    return report


def show(slide: Slide, report: JsonObject, made: dict[str, TimedRow]) -> None:
    size = f"{slide.width_px0} x {slide.height_px0} px, {slide.mpp:g} um/px"
    table = Table("", *made, title=f"{slide.path.name}: {size}")
    for name in dict.fromkeys(key for way in made for key in report[way]):
        table.add_row(name.replace("_", " "), *(f"{report[way].get(name, 0):.4g}" for way in made))
    screen.print(table)
    screen.print(f"peak memory of this process {report['reader_peak_mb']:.0f} MB")
    if "times_faster" in report:
        screen.print(f"{report['times_faster']:.1f} times as fast as {_PLAIN}")
        for name, kinds in report["agreement_f1"].items():
            screen.print(
                f"F1 of ours against {name}: "
                + "  ".join(f"{kind} {f1:.4f}" for kind, f1 in kinds.items())
            )
