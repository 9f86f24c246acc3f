"""One slide under way: tiles come back, cells are classified, and what is decided is committed
with its events.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Final

import numpy as np

from classify import Verdict, cell_words, contradiction_of, judge, size_evidence
from classify.teaching import TaughtClass
from ingest import (
    CytostreamError,
    Failure,
    SlideAwayError,
    TileSpec,
    file_state,
    files_of,
    plan_tiles,
)
from segment import KIND_NAMES, Cell, Outlook, TileCells
from stream.alerts import AlertEvaluator, AnomalyShare, red_alerts
from stream.events import (
    Alert,
    Box,
    Event,
    JsonObject,
    RedSaid,
    Status,
    alert_event,
    cell_event,
    failure_event,
    red_event,
    slide_alert_event,
    slide_event,
)
from stream.store import CellEntry, ResultWriter, SlideStore, entry_of, facts_of, store_path

from .context import RunContext, slide_lease, work_of
from .progress import SlideOutcome, Tally
from .red_cells import RedFields, RedReading, begin_red_fields, read_red_cells
from .slide_failures import failure_of, is_passing
from .specimen import with_codes
from .tile_judge import TileJudge

_log = logging.getLogger(__name__)
DONE: Final = "done"
# a commit waits for the disk some milliseconds, so cells share it
COMMIT_CELLS = 32
COMMIT_S = 0.2


class SlideRun:
    """One slide under way."""

    def __init__(self, lab: RunContext, outlook: Outlook):
        self.lab = lab
        self.scan = outlook.scan
        self.slide = outlook.scan.slide
        self.outlook = outlook
        self.unfit = tuple(outlook.map.problems())
        self.red_cells: JsonObject | None = None
        self.red_reading: RedReading | None = None
        self.red_fields: RedFields | None = None
        specs = list(plan_tiles(self.slide, self.scan.smear, lab.config.reading.tile_px))
        done = lab.outbox.tiles_done(self.slide.slide_id)
        self.todo = [spec for spec in specs if tile_key(spec) not in done]
        self.known = lab.outbox.cell_ids(self.slide.slide_id)
        this_hour = partial(lab.outbox.alerts_since, 3600)
        self.desk = AlertEvaluator(
            lab.config.alerts,
            self.slide.scanner,
            lab.outbox.alerts_given(self.slide.slide_id),
            this_hour,
            tests=lab.tests,
        )
        self.tally = self.resumed(len(specs))
        self.again = False
        self.said_s = monotonic()
        self.committed_s = 0.0
        self.writer = ResultWriter(
            lab.outbox,
            self.open_store(),
            self.slide.slide_id,
            lab.model.card,
            self.scan.stain,
            lab.classes,
        )
        self.found: dict[str, tuple[TileSpec, Cell]] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.decided: list[tuple[str, Verdict]] = []
        self.damaged_tiles: set[TileSpec] = set()
        self.unread: set[Box] = set()

    def resumed(self, tiles: int) -> Tally:
        """What the journal knows: an earlier run's tiles, cells and alerts. Tiles that failed are
        tried again.
        """
        tally = Tally(tiles, tiles - len(self.todo), alerts=self.desk.given.total())
        for row in self.lab.outbox.cells(self.slide.slide_id):
            body = json.loads(row.body)
            verdict = body["verdict"]
            label = verdict["label"]
            tally.count(label, body["cell"]["kind"])
            self.desk.count(
                verdict.get("standard_label") or label,
                *(verdict["anomaly"][name] for name in ("score", "absolute")),
            )
            self.desk.note_likely(body["cell"]["kind"], label, verdict["scores"], row.cell_id)
        return tally

    def open_store(self) -> SlideStore:
        config = self.lab.config.model_dump(mode="json", exclude={"kafka": {"security"}})
        facts = {
            "slide_id": self.slide.slide_id,
            "width_px0": self.slide.width_px0,
            "height_px0": self.slide.height_px0,
            "vendor": self.slide.vendor,
            "scanner": self.slide.scanner,
            "classes": self.lab.classes,
            "taught": [taught_facts(one) for one in self.lab.taught.classes],
            "kinds": KIND_NAMES,
            "config": config,
            **work_of(self.lab, self.slide),
            "engine": self.lab.engine.name,
            "precision": self.lab.engine.precision,
            "plan": getattr(self.lab.engine, "plan", ""),
            "versions": self.lab.stamp.versions,
        }
        return SlideStore.create(store_path(self.lab.folder, self.slide.slide_id), facts)

    def all(self) -> SlideOutcome:
        self.say("running")
        for cell_id, standard in self.judged():
            cell = self.found[cell_id][1]
            verdict = self.lab.taught.verdict(standard)
            known = standard.label if verdict.label in verdict.taught else verdict.label
            against = contradiction_of(self.lab.model.card, cell.kind, cell.area_um2, known)
            self.decided.append((cell_id, replace(verdict, contradiction=against)))
            if len(self.decided) >= COMMIT_CELLS:
                self.commit()
        self.commit()
        self.check_unchanged()
        self.red_reading = read_red_cells(
            self.red_fields or self.begin_red_fields(),
            self.writer,
            self.lab.config.red_cells,
            self.lab.red,
            self.lab.config.alerts.anomaly_above,
        )
        self.red_cells = self.red_reading.figures if self.red_reading else None
        if not self.scan.smear.look.any():
            self.fail(
                Failure(
                    self.slide.slide_id,
                    "survey",
                    "nothing stained on the slide",
                    "is it empty, or not a smear?",
                    code="survey.empty",
                )
            )
        self.say(DONE)
        return SlideOutcome(
            self.slide,
            DONE,
            self.tally.cells,
            self.tally.progress(),
            again=self.again,
            unfit=self.unfit,
            red_cells=self.red_cells,
        )

    def begin_red_fields(self) -> RedFields:
        return begin_red_fields(
            self.lab.workers,
            self.outlook,
            self.lab.config.reading.read_limit_s,
            self.lab.config.red_cells,
            self.lab.red,
        )

    def judged(self) -> Iterator[tuple[str, Verdict]]:
        """The verdict of each cell by the model's own classes, given here or where it was found."""
        if self.lab.open_judge is None:
            yield from judge(
                self.crops(), self.lab.engine, self.lab.model, evidence=self.evidence_of
            )
            return
        for item in self.crops():
            if item is not None:
                yield item[0], self.verdicts.pop(item[0])

    def evidence_of(self, cell_id: str) -> np.ndarray:
        """What a cell's kind and area as found say of its class."""
        cell = self.found[cell_id][1]
        return size_evidence(self.lab.model.card, cell.kind, cell.area_um2)

    def check_unchanged(self) -> None:
        """Raises SlideAwayError where the files are no longer those that were read."""
        try:
            same = file_state(files_of(self.slide.path)) == self.slide.file_state
        except OSError as error:
            raise SlideAwayError(
                f"{self.slide.path}: {error.strerror}", "is the share still there?"
            ) from error
        if not same:
            raise SlideAwayError(
                f"{self.slide.path}: changed while it was read",
                "leave it as it is until it is done",
            )

    def tiles(self) -> Iterator[tuple[TileSpec, TileCells | CytostreamError] | None]:
        """Tiles as they come back from the workers; the verdicts that come along are kept."""
        reading = self.lab.config.reading
        each = self.lab.workers.each
        if self.lab.open_judge is None:
            yield from each(self.scan.cells_in, self.todo, reading.read_limit_s)
            return
        there = TileJudge(self.scan, self.lab.open_judge)
        for arrived in each(there, self.todo, reading.read_limit_s + reading.judge_limit_s):
            if arrived is None:
                yield None
                continue
            spec, judged = arrived
            if isinstance(judged, CytostreamError):
                yield spec, judged
                continue
            for cell, verdict in zip(judged.found.cells, judged.verdicts, strict=True):
                if cell.cell_id not in self.known:
                    self.verdicts[cell.cell_id] = verdict
            yield spec, judged.found

    def crops(self) -> Iterator[tuple[str, np.ndarray] | None]:
        """Crops of the cells as tiles come back; `None` where none is ready, and then what is
        decided is committed, at most every `COMMIT_S`.
        """
        for arrived in self.tiles():
            if arrived is None:
                yield None
                if monotonic() - self.committed_s > COMMIT_S:
                    self.commit()
                continue
            spec, outcome = arrived
            if isinstance(outcome, SlideAwayError):
                raise outcome
            if isinstance(outcome, CytostreamError):
                self.again |= is_passing(outcome)
                self.fail(failure_of(outcome, self.slide.slide_id, "tile", spec.box_px0))
                continue
            self.tell_unread(spec, outcome)
            _log.info(
                "%s: tile at (%d, %d): %d cells, read %.0f ms, find %.0f ms",
                self.slide.slide_id,
                spec.x_px0,
                spec.y_px0,
                len(outcome.cells),
                outcome.read_s * 1000,
                outcome.find_s * 1000,
            )
            self.lab.on_stage("read", outcome.read_s)
            self.lab.on_stage("find", outcome.find_s)
            new = [cell for cell in outcome.cells if cell.cell_id not in self.known]
            self.tally.waiting[spec] = {cell.cell_id for cell in new}
            if not new:
                self.close([spec])
            for cell in new:
                self.found[cell.cell_id] = spec, cell
                yield cell.cell_id, cell.crop
        self.red_fields = self.begin_red_fields()  # while the last cells are judged

    def commit(self) -> None:
        """Verdicts, their events, and the tiles that they complete: together."""
        if not self.decided:
            return
        self.committed_s = monotonic()
        events = []
        rows = []
        complete = []
        for cell_id, verdict in self.decided:
            spec, cell = self.found.pop(cell_id)
            self.tally.count(verdict.label, cell.kind)
            events += self.events_of(cell, verdict)
            rows.append(entry_of(cell, verdict))
            self.tally.waiting[spec].discard(cell_id)
            if not self.tally.waiting[spec]:
                complete.append(spec)
        self.decided.clear()
        self.close(complete, events, rows)

    def events_of(self, cell: Cell, verdict: Verdict) -> list[Event]:
        events = [cell_event(self.slide, cell, verdict, self.lab.stamp)]
        for alert in self.desk.of_cell(cell, verdict, self.tally.cells.total()):
            if isinstance(alert, Alert):
                self.tally.alerts += 1
                words = cell_words(self.lab.engine, self.lab.model, cell.crop, verdict)
                told = replace(alert, morphology=words)
                events.append(alert_event(self.slide, cell, verdict, told, self.lab.stamp))
            else:
                events.append(slide_alert_event(self.slide.slide_id, alert, self.lab.stamp))
        return events

    def close(
        self,
        specs: Sequence[TileSpec],
        events: Sequence[Event] = (),
        rows: Sequence[CellEntry] = (),
    ) -> None:
        """Commit events and cells, and that these tiles are done."""
        whole = [spec for spec in specs if spec not in self.damaged_tiles]
        begun_s = monotonic()
        with self.lab.outbox.transaction() as tx:
            tx.hold(slide_lease(self.slide))
            tx.add(events)
            tx.add_cells(self.slide.slide_id, rows)
            for spec in whole:
                tx.tile_done(self.slide.slide_id, tile_key(spec))
        self.lab.on_stage("commit", monotonic() - begun_s)
        for spec in specs:
            self.tally.waiting.pop(spec, None)
        self.tally.tiles_done += len(whole)
        self.writer.write(len(rows))
        self.lab.on_progress(self.slide, self.tally.progress(), self.tally.cells)
        if monotonic() - self.said_s > self.lab.config.backlog.progress_s:
            self.say("running")

    def tell_unread(self, spec: TileSpec, outcome: TileCells) -> None:
        """Places that cannot be decoded are failures, told once though two tiles see them; such a
        tile is never done.
        """
        if outcome.unread:
            self.damaged_tiles.add(spec)
        for box in set(outcome.unread) - self.unread:
            self.unread.add(box)
            self.fail(
                Failure(
                    self.slide.slide_id,
                    "tile",
                    "cannot be decoded",
                    "scan the slide again",
                    box,
                    "tile.unreadable",
                )
            )

    def fail(self, failure: Failure) -> None:
        """Tell of a failure. Its tile is not done: the same command tries it again."""
        self.tally.failures += 1
        told = failure_event(failure, self.lab.stamp, self.slide.path)
        _log.warning("failure at %s: %s", failure.stage, failure.code, extra=_ids(told))
        with self.lab.outbox.transaction() as tx:
            tx.hold(slide_lease(self.slide))
            tx.keep_failure(told.id, str(self.slide.path), failure)
        self.close([], [told])

    def say(self, status: Status) -> None:
        """Tell of the slide's status, and keep it; at the end, the slide's own alerts too."""
        progress = self.tally.progress()
        counts = dict(self.tally.cells)
        self.said_s = monotonic()
        about = {
            "counts": counts,
            "progress": progress.model_dump(),
            "slide": facts_of(self.slide),
            "odd": self.desk.odd,
            "counted": {rare.name: self.desk.above[rare.name] for rare in self.desk.tests.rare},
        }
        about |= {"unfit": self.unfit, "reason": "; ".join(self.unfit)} if self.unfit else {}
        about |= {"red_cells": self.red_cells} if self.red_cells else {}
        taught = [taught_facts(one) for one in self.lab.taught.classes]
        about |= {"taught": taught} if taught else {}
        calibration = self.lab.model.card.data.get("calibration")
        about |= {"calibration": str(calibration)} if calibration else {}
        facts = {**about, "at": datetime.now(UTC).isoformat(), **work_of(self.lab, self.slide)}
        is_done = status == DONE
        told = slide_event(
            self.slide,
            status,
            self.lab.stamp,
            progress,
            counts=counts if is_done else None,
            unfit=self.unfit,
            red_cells=self.red_cells if is_done else None,
        )
        _log.info("slide is %s", status, extra={**_ids(told), "status": status})
        with self.lab.outbox.transaction() as tx:
            tx.hold(slide_lease(self.slide))
            told = with_codes(self.lab, told)
            tx.add([*self.red_events(), *self.slide_alerts(), told] if is_done else [told])
            tx.set_status(
                self.slide.slide_id,
                "failures" if is_done and self.tally.failures else status,
                **facts,
            )

    def red_events(self) -> list[Event]:
        """An event a judged red cell."""
        if not (self.lab.red and self.red_reading):
            return []
        name = self.lab.red.model.model_id
        return [
            red_event(
                self.slide,
                one.cell,
                RedSaid(one.label, one.probability, one.anomaly, name),
                self.lab.stamp,
            )
            for one in self.red_reading.judged
        ]

    def slide_alerts(self) -> list[Event]:
        rules = self.lab.config.alerts
        rows = self.lab.outbox.odd_shares(
            self.slide.scanner, rules.drift_slides + rules.drift_before, self.slide.slide_id
        )
        found = self.desk.of_slide(
            self.tally.cells, self.tally.white, [AnomalyShare(*row) for row in rows]
        )
        found += self.desk.far_off(self.lab.model)
        if self.red_cells:
            found += red_alerts(
                self.red_cells, rules, self.lab.config.red_cells, self.slide.scanner
            )
        return [slide_alert_event(self.slide.slide_id, alert, self.lab.stamp) for alert in found]


def taught_facts(taught: TaughtClass) -> JsonObject:
    """What the results of a slide hold of a taught class that was in use."""
    facts = taught.model_dump(mode="json", include={"name", "version", "by", "at", "expected"})
    return {**facts, "taught_id": taught.taught_id, "cells": len(taught.cells)}


def tile_key(spec: TileSpec) -> str:
    return ",".join(map(str, spec.box_px0))


def _ids(event: Event) -> dict[str, str]:
    """By what a line of the log is found beside the event that was sent."""
    return {"slide_id": event.subject, "event_id": event.id}
