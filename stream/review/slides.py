"""The slides of a store, read while they are written: what is on the journal, and where each stands
in review.
"""

import hmac
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from classify import SHIPPED, UNIDENTIFIED, read_card
from classify.teaching import TAUGHT_FOLDER, TaughtLibrary
from ingest import Slide, StoreError
from stream.config import Config
from stream.events import (
    ALERT,
    FAILURE,
    SLIDE_ALERT,
    JsonObject,
    Provenance,
    private_digest,
    text_of,
)
from stream.identity import Identity, Resolution
from stream.store import (
    Outbox,
    SlideQueries,
    SlideStore,
    StoredEvent,
    slide_of,
    store_path,
    stored_features,
)

from .audit_trail import Trail
from .cell_classes import Scheme, scheme_of
from .detections import Detection, FoundCells, marked_detection
from .red_cells import JudgedReds, RedDetection
from .review_state import Mark, ReviewEntry, Standing, fold

KEPT_SLIDES = 12
FINISHED = ("done", "failures")


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert of the slide; `cell_id` is None where it is about the slide as a whole, and
    `cell_ids` are then the cells that it rests on. `advice` is what to do.
    """

    alert_id: str
    cell_id: str | None
    rule: str
    severity: str
    score: float
    threshold: float
    reason: str
    cell_ids: tuple[str, ...] = ()
    advice: str = ""


@dataclass(slots=True)
class SlideEvents:
    """What the events of a slide report: alerts and failures."""

    seq: int = 0
    alerts: dict[str, AlertView] = field(default_factory=dict)
    about: set[tuple[str | None, str]] = field(default_factory=set)
    failures: list[JsonObject] = field(default_factory=list)


class SlideView:
    """Everything known of one slide, kept in step with the store."""

    def __init__(self, slide_id: str, library: "SlideLibrary"):
        self.slide_id = slide_id
        self._library = library
        self.found = FoundCells(slide_id)
        self.told = SlideEvents()
        self.standing = Standing()
        self.entries: dict[str, list[ReviewEntry]] = {}  # of the trail, by cell
        self.lock = threading.RLock()
        self._reds: JudgedReds | None = None  # read when they are asked for first
        self._reds_of = ""

    def refresh(self) -> "SlideView":
        """Reads what is new of cells, events and reviews."""
        queries = self._library.queries
        with self.lock:
            self.found.update(queries)
            kinds = (ALERT, SLIDE_ALERT, FAILURE)
            for event in queries.events(self.slide_id, self.told.seq, *kinds):
                self._hear(event)
            for review in self._library.trail.reviews(self.slide_id, self.standing.number):
                self.standing.take(review)
                if review.data.cell_id:
                    self.entries.setdefault(review.data.cell_id, []).append(review)
        return self

    def _hear(self, event: StoredEvent) -> None:
        self.told.seq = event.seq
        if event.type == FAILURE:
            self.told.failures.append(failure_says(event.data))
            return
        values: JsonObject = {
            name: event.data.get(name)
            for name in ("cell_id", "rule", "severity", "score", "threshold", "reason")
        }
        values |= {
            "cell_ids": tuple(event.data.get("cell_ids", ())),
            "advice": event.data.get("advice", ""),
        }
        about = values["cell_id"], values["rule"]
        if about not in self.told.about:  # a replay is no second alert
            self.told.about.add(about)
            self.told.alerts[event.event_id] = AlertView(event.event_id, **values)

    @cached_property
    def _fallback(self) -> tuple[str, ...]:
        return read_card(SHIPPED).classes

    @property
    def classes(self) -> tuple[str, ...]:
        """The model's classes, as the first cell names them; those of the shipped model for a
        slide without a cell.
        """
        return self.found.classes or self._fallback

    @property
    def scheme(self) -> Scheme:
        """The classes of the count, with those that people have used and that the configuration has
        no longer.
        """
        own = (*self._library.taught.names(), *self._called())
        return scheme_of(self.classes, self._library.config.review, own)

    def _called(self) -> list[str]:
        """The classes that people have called cells of the count by."""
        standing = self.standing
        signed = [name for signature in standing.signatures for name in signature.counts]
        decided = [
            decision.label
            for cell_id, decision in standing.decisions.items()
            if cell_id in self.found.by_id or cell_id in standing.marks
        ]
        return sorted({*signed, *decided} - {UNIDENTIFIED})

    def status(self) -> str:
        return self._library.outbox.status(self.slide_id) or "seen"

    def facts(self) -> JsonObject:
        return self._library.outbox.facts(self.slide_id)

    def slide(self) -> Slide | None:
        """Where the file lies and how it is read; None for a store from before version 0.2."""
        facts = self.facts().get("slide")
        return slide_of(facts) if facts else None

    def names(self) -> list[Path]:
        """Where the slide lies: each path under which it has been done."""
        return self._library.queries.slide_paths(self.slide_id)

    def specimen(self, standing: Standing) -> Resolution:
        """Whose slide it is: by all that is stated now, or as it was signed for."""
        signed = standing.signatures[-1] if standing.locked else None
        if signed is None or signed.identity_digest is None:
            return self._library.specimen(self.slide_id, standing)
        stated = self._library.trail.stated(signed.number)
        if stated is None:
            return Resolution("unknown", Identity(), ("removed from the store",))
        now = self._library.identity_digest(self.slide_id, stated)
        if not hmac.compare_digest(now, signed.identity_digest):
            raise StoreError(
                f"{self._library.trail.path}: the identity that entry {signed.number} signed for "
                "was altered",
                "restore the store from its backup",
            )
        return Resolution("signed", stated)

    def standing_at(self, version: int | None) -> Standing:
        """The standing as a version was signed, the last one without a `version`; now, where it is
        not signed.
        """
        if version is None and self.standing.locked:
            version = self.standing.version  # what was said since is not in it
        signed = next((s for s in self.standing.signatures if s.version == version), None)
        if signed is None:
            return self.standing
        return fold(self._library.trail.reviews(self.slide_id), signed.number)

    def cells(self, standing: Standing) -> list[Detection]:
        """The cells that a standing is about: those signed for, or all while it is open."""
        return [*self.found_cells(standing), *self.marked(standing)]

    def found_cells(self, standing: Standing) -> list[Detection]:
        """The cells that a run has found: those signed for, or all while it is open."""
        return self.found.upto(standing.signatures[-1].upto_row if standing.locked else None)

    def marked(self, standing: Standing) -> list[Detection]:
        """The cells that people have marked and no run found, in the order of the trail."""
        marks = standing.marks
        return [
            marked_detection(mark.number, mark.by, mark.data)
            for cell_id, mark in marks.items()
            if cell_id not in self.found.by_id
        ]

    def white_cell(self, cell_id: str) -> Detection | None:
        """A white cell or platelet of the slide: found, or marked by a person."""
        mark = self.standing.marks.get(cell_id)
        found = self.found.by_id.get(cell_id)
        if found or mark is None:
            return found
        return marked_detection(mark.number, mark.by, mark.data)

    def counts(self, standing: Standing) -> Counter[str]:
        """Cells a label, as people call them where they said so; as signed, where it is locked."""
        if standing.locked:
            return Counter(standing.signatures[-1].counts)
        marked = {cell.cell_id: cell for cell in self.marked(standing)}
        counts = Counter(self.found.labels)
        counts.update(cell.label for cell in marked.values())
        for cell_id, decision in standing.decisions.items():
            if cell := self.found.by_id.get(cell_id) or marked.get(cell_id):
                counts[cell.label] -= 1
                counts[decision.label] += 1
        return +counts

    @property
    def reds(self) -> JudgedReds:
        """The slide's judged red cells, as the run that ended last has left them."""
        ended = str(self.facts().get("at", "")) if self.status() in FINISHED else ""
        with self.lock:
            if self._reds is None or ended != self._reds_of:
                self._reds = JudgedReds(self._library.store, self.slide_id)
                self._reds_of = ended
            return self._reds

    def cell(self, cell_id: str) -> Detection | RedDetection | None:
        """A white cell, platelet or judged red cell of the slide."""
        return self.white_cell(cell_id) or self.reds.by_id.get(cell_id)

    def red_facts(self, standing: Standing) -> JsonObject:
        """The slide's facts with the figures of its red cells as people call them."""
        facts = self.facts()
        if not facts.get("red_cells"):
            return facts
        called = {cell_id: decision.label for cell_id, decision in standing.decisions.items()}
        return {**facts, "red_cells": self.reds.figures(facts["red_cells"], called)}

    def scores(self, cells: list[Detection]) -> np.ndarray:
        """Class probabilities (n, K) of cells, in the order of the model's classes."""
        bodies = self._library.queries.cell_bodies(self.slide_id)
        scores = [
            self._mark(cell).data["scores"] if cell.marked_by else bodies[cell.row].verdict.scores
            for cell in cells
        ]
        shares = [[each.get(name, 0.0) for name in self.classes] for each in scores]
        return np.array(shares, np.float32).reshape(len(cells), len(self.classes))

    def features(self, cells: list[Detection]) -> np.ndarray | None:
        """The encoder's features (n, F) float16 of cells, not numbers where the run is still to
        write them; None for a slide from before they were kept.
        """
        path = store_path(self._library.store, self.slide_id)
        if not path.is_dir():
            return None
        found = stored_features(SlideStore.open(path), [cell.place for cell in cells])
        if found is None:
            return None
        for place, cell in enumerate(cells):
            kept = self._library.trail.marked(-cell.row) if cell.marked_by else None
            if kept and kept.features:
                found[place] = np.frombuffer(kept.features, np.float16)
        return found

    def crops(self, cells: list[Detection]) -> np.ndarray:
        """The crops (n, h, w, 3) of cells that the run has stored."""
        kept = SlideStore.open(store_path(self._library.store, self.slide_id))
        crops = kept.read("crop")
        marked = {cell.cell_id: self._marked_crop(cell) for cell in cells if cell.marked_by}
        return np.array([marked.get(c.cell_id, crops[min(c.place, len(crops) - 1)]) for c in cells])

    def _marked_crop(self, cell: Detection) -> np.ndarray:
        kept = self._library.trail.marked(-cell.row)
        if kept is None:
            raise StoreError(f"the crop of cell {cell.cell_id} is gone", "leave the cell out")
        side = int((len(kept.crop) / 3) ** 0.5)
        return np.frombuffer(kept.crop, np.uint8).reshape(side, side, 3)

    def crop_digests(self) -> dict[int, str]:
        """Digests of the pixels of all cells, by their row in the journal."""
        bodies = self._library.queries.cell_bodies(self.slide_id)
        found = {row: body.crop for row, body in bodies.items() if body.crop}
        marked = {-mark.number: mark.crop for mark in self.standing.marks.values()}
        return found | marked

    def body(self, cell: Detection) -> JsonObject:
        """All that the journal, or the entry of who has marked it, has of a cell."""
        if not cell.marked_by:
            return self._library.queries.cell_body(cell.row)
        data = self._mark(cell).data
        return {"cell": data, "verdict": data}

    def _mark(self, cell: Detection) -> Mark:
        """The mark of a cell, also of one that a later version has no more."""
        if mark := self.standing.marks.get(cell.cell_id):
            return mark
        return fold(self._library.trail.reviews(self.slide_id), -cell.row).marks[cell.cell_id]


class SlideLibrary:
    """The slides of a store folder. The last few that were looked at stay in memory."""

    def __init__(self, store: Path, config: Config, custody: Path | None = None):
        """Opens a store; `custody` is the folder outside it with the keys of its audit trail."""
        self.store = store
        self.config = config
        self.outbox = Outbox(store / "state.db", unwritable="read")
        self.queries = SlideQueries(store / "state.db", unwritable="read")
        self.trail = Trail(store, custody)
        self.taught = TaughtLibrary(store / TAUGHT_FOLDER)
        self._shelves: OrderedDict[str, SlideView] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def is_read_only(self) -> bool:
        """Whether the store lies where nothing can be written: it is shown, and not decided on."""
        return not (self.outbox.is_kept and self.trail.is_kept)

    def __contains__(self, slide_id: str) -> bool:
        return self.outbox.status(slide_id) is not None

    def shelf(self, slide_id: str) -> SlideView:
        """A slide as it is now."""
        with self._lock:
            shelf = self._shelves.get(slide_id) or SlideView(slide_id, self)
            self._shelves[slide_id] = shelf
            self._shelves.move_to_end(slide_id)
            while len(self._shelves) > KEPT_SLIDES:
                self._shelves.popitem(last=False)
        return shelf.refresh()

    def specimen(self, slide_id: str, standing: Standing) -> Resolution:
        """Whose slide it is, by the worklist, its codes and what a person has stated last."""
        said = standing.identified
        return self.queries.resolution(slide_id, self.trail.stated(said.number) if said else None)

    def identity_digest(self, slide_id: str, identity: Identity) -> str:
        """What the audit trail has of an identity: nobody finds out of it whose slide it is."""
        stamp = Provenance("", secret=self.outbox.secret)
        return private_digest(stamp, f"{slide_id} {identity.body()}")

    def tiles_done(self, slide_id: str) -> int:
        return self.queries.tiles_done(slide_id)

    def verdict_digest(self, slide_id: str, upto_row: int) -> str:
        """SHA-256 of all that the machine says of a slide's cells, up to and with a row of the
        journal.
        """
        return self.queries.verdict_digest(slide_id, upto_row)

    def files_refused(self) -> Iterator[JsonObject]:
        """Failures of files that are no slide; with their names where the page shows names."""
        for event_id, data, path in self.queries.file_failures():
            name = Path(path).name if path and self.config.review.show_names else ""
            yield {"id": event_id, "name": name, **failure_says(data)}

    def close(self) -> None:
        for part in (self.outbox, self.queries, self.trail):
            part.close()

    def __enter__(self) -> "SlideLibrary":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def failure_says(data: JsonObject) -> JsonObject:
    """What the page says of a failure event: the fixed sentence of its code, also of an old one."""
    said = text_of(data.get("code"))
    about = {name: data[name] for name in ("stage", "box_px0")}
    return {**about, "what": said.what, "hint": said.hint}


def reason_says(facts: JsonObject) -> str | None:
    """Why a slide failed or is not fit for reading, as far as the page says it."""
    if unfit := facts.get("unfit"):
        return "; ".join(unfit)
    return text_of(facts.get("code")).what if facts.get("reason") else None
