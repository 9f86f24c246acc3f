"""The worklist: one summary a slide. What a finished slide's summary says is kept, so that a long
list needs no cells.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from classify import SHIPPED, read_card
from stream.events import JsonObject, Progress, text_of

from .cell_classes import scheme_of
from .differential import differential
from .review_state import Standing
from .slides import FINISHED, SlideLibrary, SlideView, reason_says

ACTIVE_STATES = ("running", "seen")


class RunProgress(BaseModel):
    """Per cent of the white cells that a class has."""

    model_config = ConfigDict(frozen=True)

    title: str
    percent: float
    colour: str


class WorklistRow(BaseModel):
    """A slide at a glance. `review` is open, signed or amending; `counts` are cells a label, as
    people call them; people have decided on `seen` of them. `in_review_by` is who did so last, at
    `in_review_at`, on a slide that is not signed; `stat` slides are waited for. `identity` says how
    surely it is known whose slide it is; `sought` are all codes by which it is found.
    """

    model_config = ConfigDict(frozen=True)

    slide_id: str
    name: str
    status: str
    at: str | None
    progress: Progress
    open_alerts: int
    counts: dict[str, int]
    glance: list[RunProgress]
    review: str
    version: int
    signed_by: str | None
    signed_at: str | None
    reason: str | None
    number: int
    stat: bool = False
    assigned_to: str = ""
    in_review_by: str = ""
    in_review_at: str | None = None
    seen: int = 0
    identity: str = "unknown"
    accession: str = ""
    patient: str = ""
    sought: tuple[str, ...] = ()


class Waiting(BaseModel):
    """A file that nobody has begun to read, or that could not be read: `state` is waiting, running
    or failed.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    state: str
    tries: int
    reason: str | None


class WorklistView:
    """The rows of a store's slides."""

    def __init__(self, library: SlideLibrary):
        self._library = library
        self._classes = read_card(SHIPPED).classes
        self._kept: dict[str, tuple[tuple[str | int, ...], WorklistRow]] = {}

    def rows(self) -> list[WorklistRow]:
        """All slides, the latest first; then files that are no slide."""
        rows = [self.row(slide_id) for slide_id in self._library.outbox.slide_ids()]
        return sorted(rows, key=lambda row: row.at or "", reverse=True)

    def waiting(self) -> list[Waiting]:
        """Files of the backlog that are no slides yet, the next one first."""
        hide = not self._library.config.review.show_names
        return [
            Waiting(
                name=f"file {file.number}" if hide else file.path.name,
                state=file.state,
                tries=file.tries,
                reason=text_of(None).what if file.reason else None,
            )
            for file in self._library.queries.waiting_files()
        ]

    def found(self, text: str) -> list[WorklistRow]:
        """The slides that a text is part of the name, an id, a code or the patient of."""
        wanted = text.strip().casefold()
        return [row for row in self.rows() if wanted in _sought(row)]

    def row(self, slide_id: str) -> WorklistRow:
        status = self._library.outbox.status(slide_id) or "seen"
        facts = self._library.outbox.facts(slide_id)
        marks = self._library.trail.last(slide_id), self._library.queries.last_identity_change()
        key = (status, json.dumps(facts, sort_keys=True), *marks)
        if status not in ACTIVE_STATES and (kept := self._kept.get(slide_id)) and kept[0] == key:
            return kept[1]
        row = self._row(slide_id, status, facts)
        self._kept[slide_id] = key, row
        return row

    def _row(self, slide_id: str, status: str, facts: JsonObject) -> WorklistRow:
        """A finished slide that nobody has reviewed is as its run left it; else its cells are
        asked.
        """
        told = Progress(**facts.get("progress", {}))
        if status in FINISHED and not self._library.trail.last(slide_id):
            of_slide = self._library.queries.slide_alert_count(slide_id)
            told = told.model_copy(update={"alerts": told.alerts + of_slide})
            return self._filled(
                slide_id, status, facts, Standing(), told, facts.get("counts", {}), told.alerts
            )
        shelf = self._library.shelf(slide_id)
        with shelf.lock:  # a decision would change what is counted
            alerts = shelf.told.alerts
            change = {
                "cells": len(shelf.found.cells) + len(shelf.standing.marks),
                "alerts": len(alerts),
                "failures": len(shelf.told.failures),
            }
            if status in ACTIVE_STATES:
                change["tiles_done"] = self._library.tiles_done(slide_id)
            unseen = sum(a not in shelf.standing.seen for a in alerts)
            told = told.model_copy(update=change)
            return self._filled(
                slide_id, status, facts, shelf.standing, told, shelf.counts(shelf.standing), unseen
            )

    def _filled(
        self,
        slide_id: str,
        status: str,
        facts: JsonObject,
        standing: Standing,
        told: Progress,
        counts: Mapping[str, int],
        unseen: int,
    ) -> WorklistRow:
        signed = standing.signatures[-1] if standing.signatures else None
        return WorklistRow(
            slide_id=slide_id,
            name=self.name(slide_id, facts),
            status=status,
            at=facts.get("at"),
            progress=told,
            open_alerts=unseen,
            counts=dict(Counter(counts).most_common()),
            glance=self._glance(counts),
            review="signed" if standing.locked else "amending" if signed else "open",
            version=standing.version,
            signed_by=signed and signed.by,
            signed_at=signed and signed.at.isoformat(),
            reason=reason_says(facts),
            number=standing.number,
            **self._work(slide_id, standing),
            **self._specimen(slide_id, standing),
        )

    def _work(self, slide_id: str, standing: Standing) -> JsonObject:
        """Who works on a slide, and how urgent it is: as people say, else as it was queued."""
        said = standing.assignment
        is_open = not standing.locked and standing.last_at is not None
        return {
            "stat": said.stat if said else self._library.queries.is_stat(slide_id),
            "assigned_to": said.to if said else "",
            "in_review_by": standing.last_by if is_open else "",
            "in_review_at": standing.last_at.isoformat() if is_open and standing.last_at else None,
            "seen": len(standing.decisions),
        }

    def _specimen(self, slide_id: str, standing: Standing) -> JsonObject:
        """Whose slide it is, where the config shows it."""
        if standing.locked:
            found = self._library.shelf(slide_id).specimen(standing)
        else:
            found = self._library.specimen(slide_id, standing)
        if not self._library.config.identity.shown:
            return {"identity": found.status}
        known = found.identity
        codes = {v for claim in found.claims for v in claim.identity.known().values()}
        return {
            "identity": found.status,
            "accession": known.accession or known.container or known.barcode,
            "patient": known.patient_name or known.patient_id,
            "sought": tuple(sorted(codes | set(known.known().values()))),
        }

    def _glance(self, counts: Mapping[str, int]) -> list[RunProgress]:
        scheme = scheme_of(self._classes, self._library.config.review)
        lines = [
            line for line in differential(scheme, counts) if line.count and line.percent is not None
        ]
        return [
            RunProgress(title=line.title, percent=line.percent, colour=scheme[line.name].colour)
            for line in lines
        ]

    def other_names(self, shelf: SlideView, facts: JsonObject) -> list[str]:
        """Further file names under which the slide lies, where the config shows names."""
        if not self._library.config.review.show_names:
            return []
        first = Path(facts.get("slide", {}).get("path", ""))
        names = dict.fromkeys(path.name for path in shelf.names())
        return [name for name in names if name != first.name]

    def name(self, slide_id: str, facts: JsonObject) -> str:
        """The file's name, where the config shows names."""
        path: str = facts.get("slide", {}).get("path", "")
        return (
            path.rpartition("/")[2] if path and self._library.config.review.show_names else slide_id
        )


def _sought(row: WorklistRow) -> str:
    """All of a row that a search looks at."""
    texts = (row.name, row.slide_id, row.signed_by or "", *row.sought)
    return "\n".join(texts).casefold()
