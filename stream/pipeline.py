"""THE main path: tiles read, cells found, verdicts given, results and events committed. Sees no concrete engine or sink."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from classify import Engine, Model, Verdict, judge
from ingest import CytostreamError, Failure, Slide, SlideStore, TileSpec, Workers, open_slide, plan_tiles
from segment import Cell, Scan, begin_scan

from .alerts import alerts_of
from .config import Config
from .events import Event, Stamp, alert_event, cell_event, failure_event, slide_event
from .outbox import Outbox
from .payloads import Progress
from .results import ResultWriter, body_of, store_path
from .slides import facts_of

DONE = "done"
COMMIT_CELLS = 16  # a commit waits for the disk some milliseconds, so cells share it


@dataclass(frozen=True, slots=True)
class Lab:
    """What every slide of a run shares."""

    config: Config
    model: Model
    engine: Engine
    workers: Workers
    outbox: Outbox
    folder: Path
    stamp: Stamp
    on_progress: Callable[[Slide, Progress, Counter], None] = lambda *_: None


@dataclass(frozen=True, slots=True)
class Report:
    """How a slide ended: status, cells a label, alerts, failures."""

    slide: Slide | None
    status: str
    counts: Counter
    progress: Progress
    failure: Failure | None = None


@dataclass(slots=True)
class Tally:
    """How far a slide is. A tile is done when its last cell is."""

    tiles: int
    tiles_done: int = 0
    cells: Counter = field(default_factory=Counter)
    alerts: int = 0
    failures: int = 0
    waiting: dict[TileSpec, set[str]] = field(default_factory=dict)

    def progress(self) -> Progress:
        return Progress(
            tiles_done=self.tiles_done, tiles=self.tiles, cells=self.cells.total(), alerts=self.alerts, failures=self.failures
        )


def run_slide(lab: Lab, path: Path, mpp: float | None = None) -> Report:
    """Read, find, judge and commit one slide; what an earlier run has done of it is not done again.

    A slide that cannot be read is a failure event and a report, not an exception.

    Raises:
        StoreError: results cannot be written.
    """
    try:
        slide = open_slide(path, mpp)
    except CytostreamError as error:
        return refuse(lab, Failure("", "open", error.what, error.hint), path)
    check_same_work(lab, slide)
    if lab.outbox.status(slide.slide_id) == DONE:
        return finished(lab, slide)
    try:
        scan = lab.workers.call(begin_scan, slide, lab.config.reading.survey_limit_s)
    except CytostreamError as error:
        return refuse(lab, Failure(slide.slide_id, "survey", error.what, error.hint), path, slide)
    run = SlideRun(lab, scan)
    try:
        return run.all()
    except BaseException:
        with suppress(CytostreamError):
            run.say("interrupted")
        raise


def refuse(lab: Lab, failure: Failure, path: Path, slide: Slide | None = None) -> Report:
    """Tell of a slide that cannot be read."""
    with lab.outbox.transaction() as tx:
        tx.add([failure_event(failure, lab.stamp, path)])
        if slide:
            tx.add([slide_event(slide, "failed", lab.stamp, reason=failure.what)])
            about = {"slide": facts_of(slide), "reason": failure.what, "at": datetime.now(UTC).isoformat()}
            tx.set_status(slide.slide_id, "failed", **about, **work_of(lab, slide))
    return Report(slide, "failed", Counter(), Progress(failures=1), failure)


def finished(lab: Lab, slide: Slide) -> Report:
    facts = lab.outbox.facts(slide.slide_id)
    return Report(slide, "done before", Counter(facts["counts"]), Progress(**facts["progress"]))


def check_same_work(lab: Lab, slide: Slide) -> None:
    """Results of two models, configurations or scales do not mix.

    Raises:
        CytostreamError: the slide was begun with others.
    """
    begun = lab.outbox.facts(slide.slide_id)
    differs = [name for name, value in work_of(lab, slide).items() if begun.get(name, value) != value]
    if differs:
        raise CytostreamError(f"{slide.path}: begun in {lab.folder} with another {', '.join(differs)}", "choose another --store")


class SlideRun:
    """One slide under way."""

    def __init__(self, lab: Lab, scan: Scan):
        self.lab, self.scan, self.slide = lab, scan, scan.slide
        specs = list(plan_tiles(self.slide, scan.smear, lab.config.reading.tile_px))
        done = lab.outbox.tiles_done(self.slide.slide_id)
        self.todo = [spec for spec in specs if tile_key(spec) not in done]
        self.known = lab.outbox.cell_ids(self.slide.slide_id)
        self.tally = self.resumed(len(specs))
        self.writer = ResultWriter(lab.outbox, self.open_store(), self.slide.slide_id, lab.model.card)
        self.found: dict[str, tuple[TileSpec, Cell]] = {}
        self.decided: list[tuple[str, Verdict]] = []

    def resumed(self, tiles: int) -> Tally:
        """What the journal knows: an earlier run's tiles, cells and alerts. Tiles that failed are tried again."""
        tally = Tally(tiles, tiles - len(self.todo))
        for row in self.lab.outbox.cells(self.slide.slide_id):
            tally.cells[json.loads(row.body)["verdict"]["label"]] += 1
        kinds = Counter(parcel.event.kind for parcel in self.lab.outbox.events(self.slide.slide_id))
        tally.alerts = kinds["alerts"]
        return tally

    def open_store(self) -> SlideStore:
        config = self.lab.config.model_dump(mode="json", exclude={"kafka": {"security"}})
        facts = {
            "slide_id": self.slide.slide_id, "width_px0": self.slide.width_px0, "height_px0": self.slide.height_px0,
            "vendor": self.slide.vendor, "scanner": self.slide.scanner,
            "classes": self.lab.model.card.classes, "kinds": ("wbc", "platelet", "rbc"), "config": config,
            **work_of(self.lab, self.slide),
            "engine": self.lab.engine.name, "precision": self.lab.engine.precision, "versions": self.lab.stamp.versions,
        }  # fmt: skip
        return SlideStore.create(store_path(self.lab.folder, self.slide.slide_id), facts)

    def all(self) -> Report:
        self.say("running")
        for cell_id, verdict in judge(self.crops(), self.lab.engine, self.lab.model):
            self.decided.append((cell_id, verdict))
            if len(self.decided) >= COMMIT_CELLS:
                self.commit()
        self.commit()
        self.writer.write(final=True)
        if not self.scan.smear.look.any():
            self.fail(Failure(self.slide.slide_id, "survey", "nothing stained on the slide", "is it empty, or not a smear?"))
        self.say(DONE)
        return Report(self.slide, DONE, self.tally.cells, self.tally.progress())

    def crops(self) -> Iterator[tuple[str, np.ndarray] | None]:
        """Crops of the cells as tiles come back; `None` where none is ready, and then what is decided is committed."""
        for arrived in self.lab.workers.each(self.scan.cells_in, self.todo, self.lab.config.reading.read_limit_s):
            if arrived is None:
                yield None
                self.commit()
                continue
            spec, outcome = arrived
            if isinstance(outcome, CytostreamError):
                self.fail(Failure(self.slide.slide_id, "tile", outcome.what, outcome.hint, spec.box_px0))
                continue
            new = [cell for cell in outcome if cell.cell_id not in self.known]
            self.tally.waiting[spec] = {cell.cell_id for cell in new}
            if not new:
                self.close([spec])
            for cell in new:
                self.found[cell.cell_id] = spec, cell
                yield cell.cell_id, cell.crop

    def commit(self) -> None:
        """Verdicts, their events, and the tiles that they complete: together."""
        if not self.decided:
            return
        events, rows, complete = [], [], []
        for cell_id, verdict in self.decided:
            spec, cell = self.found.pop(cell_id)
            events += self.events_of(cell, verdict)
            rows.append((cell_id, body_of(cell, verdict), cell.crop.tobytes()))
            self.tally.cells[verdict.label] += 1
            self.tally.waiting[spec].discard(cell_id)
            complete += [spec] * (not self.tally.waiting[spec])
        self.decided.clear()
        self.close(complete, events, rows)

    def events_of(self, cell: Cell, verdict: Verdict) -> list[Event]:
        alerts = alerts_of(cell, verdict, self.lab.config.alerts)
        self.tally.alerts += len(alerts)
        stamp = self.lab.stamp
        return [
            cell_event(self.slide, cell, verdict, stamp),
            *(alert_event(self.slide, cell, verdict, alert, stamp) for alert in alerts),
        ]

    def close(self, specs: Sequence[TileSpec], events: Sequence[Event] = (), rows: Sequence[tuple] = ()) -> None:
        """Commit events and cells, and that these tiles are done."""
        with self.lab.outbox.transaction() as tx:
            tx.add(events)
            tx.add_cells(self.slide.slide_id, rows)
            for spec in specs:
                tx.tile_done(self.slide.slide_id, tile_key(spec))
        for spec in specs:
            self.tally.waiting.pop(spec, None)
        self.tally.tiles_done += len(specs)
        self.writer.write(len(rows))
        self.lab.on_progress(self.slide, self.tally.progress(), self.tally.cells)

    def fail(self, failure: Failure) -> None:
        """Tell of a failure. Its tile is not done: the same command tries it again."""
        self.tally.failures += 1
        self.close([], [failure_event(failure, self.lab.stamp, self.slide.path)])

    def say(self, status: str) -> None:
        """Tell of the slide's status, and keep it."""
        progress, counts = self.tally.progress(), dict(self.tally.cells)
        with self.lab.outbox.transaction() as tx:
            tx.add([slide_event(self.slide, status, self.lab.stamp, progress, counts if status == DONE else None)])
            about = {"counts": counts, "progress": progress.model_dump(), "slide": facts_of(self.slide)}
            facts = {**about, "at": datetime.now(UTC).isoformat(), **work_of(self.lab, self.slide)}
            tx.set_status(self.slide.slide_id, "failures" if status == DONE and self.tally.failures else status, **facts)


def work_of(lab: Lab, slide: Slide) -> dict[str, str | float]:
    """What decides a slide's results: they go on only under the same."""
    return {"model_id": lab.stamp.model_hash, "config_id": lab.stamp.config_hash, "mpp": slide.mpp}


def tile_key(spec: TileSpec) -> str:
    return ",".join(map(str, spec.box_px0))
