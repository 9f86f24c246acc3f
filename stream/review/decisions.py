"""Where a person decides: checks each wish against what stands, writes it to the trail, and says
what stands then.

Two people may work on one slide. Each request names the last entry of the trail that its page has
shown (`saw`); a decision on a cell that another has changed since is a conflict, and a signature
needs to have seen everything.
"""

import math
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from ingest import CytostreamError, Slide
from stream.events import Action, JsonObject, Provenance, cell_event, specimen_of
from stream.identity import Identity, Resolution, is_sufficient
from stream.store import COPY_HINT, MarkedPixels, crop_digest

from .audit_trail import TrailEntry
from .detections import Detection
from .images import JudgedCell
from .red_cells import RedDetection
from .review_state import Act
from .slides import FINISHED, SlideLibrary, SlideView
from .verification import missing_looks, verification

_COUNTED_TWICE_UM = 3.0  # two middles nearer than this are one cell


class DeskError(CytostreamError):
    """A wish that cannot be granted; `kind` says why: absent, locked, conflict, early, wrong."""

    def __init__(self, kind: str, what: str, hint: str = ""):
        self.kind = kind
        super().__init__(what, hint)


class DecisionService:
    """Reviews of a store, by anyone."""

    def __init__(self, library: SlideLibrary, stamp: Provenance):
        self._library = library
        self._stamp = stamp

    def decide(
        self,
        slide_id: str,
        by: str,
        action: Action,
        cell_ids: Sequence[str],
        label: str | None,
        saw: int,
    ) -> SlideView:
        """Reclassify to `label`, confirm, or call unidentified: one act on one or many cells.

        Raises:
            DeskError: it cannot be done; nothing was.
        """
        with self._open(slide_id) as shelf:
            cells = [_cell(shelf, c) for c in dict.fromkeys(cell_ids)]
            if action == "reclassify":
                _check_label(shelf, cells, label)
            _check_seen(shelf, [c.cell_id for c in cells], saw)
            was = {c.cell_id: shelf.standing.label(c.cell_id, c.label) for c in cells}
            to = {"reclassify": label, "unidentified": "unidentified"}
            about = [{"cell_id": c, "was": w, "label": to.get(action, w)} for c, w in was.items()]
            return self._write(shelf, by, action, [{**one, "saw": saw} for one in about])

    def mark(self, slide_id: str, by: str, slide: Slide, judged: JudgedCell, saw: int) -> SlideView:
        """Counts a cell that no run has found, with the verdict of a model.

        Raises:
            DeskError: it is counted already, the slide is not finished or signed, or the model has
            other classes than the slide's.
        """
        cell = judged.cell
        with self._open(slide_id) as shelf:
            _check_saw(shelf, saw)
            if shelf.status() not in FINISHED:
                raise DeskError("early", f"the slide is {shelf.status()}", "mark when it is done")
            _check_new(shelf, judged, slide.mpp)
            stamp = replace(self._stamp, model_hash=judged.model_id)
            now = datetime.now(UTC)
            sent = cell_event(slide, cell, judged.verdict, stamp, now, marked_by=by)
            pixels = cell.crop.tobytes()
            features = judged.verdict.features
            about = {
                "cell_id": cell.cell_id,
                "label": judged.verdict.label,
                "marked": sent.data,
                "crop": crop_digest(pixels),
                "saw": saw,
            }
            kept = MarkedPixels(pixels, None if features is None else features.tobytes())
            entry = TrailEntry("mark", about, marked=kept, cell=sent)
            return self._write_entries(shelf, by, [entry])

    def assign(self, slide_id: str, by: str, to: str, stat: bool, saw: int) -> SlideView:
        """Says who is to review a slide, nobody where `to` is empty, and whether its result is
        waited for.

        Raises:
            DeskError: the slide is signed.
        """
        with self._open(slide_id) as shelf:
            _check_saw(shelf, saw)
            return self._write(shelf, by, "assign", [{"assignee": to, "stat": stat, "saw": saw}])

    def second_read(
        self, slide_id: str, by: str, cell_ids: Sequence[str], label: str | None, saw: int
    ) -> SlideView:
        """What a second reader calls cells, as the machine does without a `label`; the count stays.

        Raises:
            DeskError: no such cell or class, or this person is the cell's first reader.
        """
        with self._open(slide_id, even_locked=True) as shelf:
            _check_saw(shelf, saw)
            cells = [_cell(shelf, cell_id) for cell_id in dict.fromkeys(cell_ids)]
            if label is not None:
                _check_label(shelf, cells, label)
            decisions = shelf.standing.decisions
            if any((said := decisions.get(c.cell_id)) and said.by == by for c in cells):
                raise DeskError(
                    "wrong", "you are the first reader of these cells", "another person reads twice"
                )
            about = [{"cell_id": c.cell_id, "label": label or c.label} for c in cells]
            return self._write(shelf, by, "second_read", [{**one, "saw": saw} for one in about])

    def acknowledge(
        self, slide_id: str, by: str, alert_ids: Sequence[str], comment: str | None
    ) -> SlideView:
        """These alerts have been looked at.

        Raises:
            DeskError: it cannot be done; nothing was.
        """
        with self._open(slide_id) as shelf:
            for alert_id in alert_ids:
                if alert_id not in shelf.told.alerts:
                    raise DeskError("absent", f"no alert {alert_id}", "load the page again")
            new = [a for a in dict.fromkeys(alert_ids) if a not in shelf.standing.seen]
            about = [
                {"alert_id": a, "cell_id": shelf.told.alerts[a].cell_id, "comment": comment}
                for a in new
            ]
            return self._write(shelf, by, "acknowledge", about)

    def comment(
        self,
        slide_id: str,
        by: str,
        text: str,
        cell_id: str | None = None,
        place_px0: tuple[int, int] | None = None,
    ) -> SlideView:
        """Says something about a cell, a place of the slide or the slide; also after it is signed.

        Raises:
            DeskError: there is no such cell, or the place is not on the slide.
        """
        with self._open(slide_id, even_locked=True) as shelf:
            if cell_id:
                _cell(shelf, cell_id)
            about: JsonObject = {"cell_id": cell_id, "comment": text}
            if place_px0:
                _check_place(shelf, cell_id, place_px0)
                about["place_px0"] = place_px0
            return self._write(shelf, by, "comment", [about])

    def undo(self, slide_id: str, by: str) -> SlideView:
        """Takes back the person's last act, where nobody has built upon it.

        Raises:
            DeskError: there is none.
        """
        with self._open(slide_id) as shelf:
            act = shelf.standing.undoable(by)
            if act is None:
                raise DeskError(
                    "wrong",
                    "nothing to undo",
                    "only your own last act, while nobody has changed it",
                )
            return self._write(shelf, by, "undo", _undoing(shelf, act))

    def sign(
        self,
        slide_id: str,
        by: str,
        comment: str | None,
        saw: int,
        identity: str | None = None,
        language: str | None = None,
    ) -> SlideView:
        """Signs the count as it stands; the slide is locked. `identity` is the digest of whose
        slide the page has shown it to be; the report stays in the `language`.

        Raises:
            DeskError: the slide is not finished, alerts are open, whose slide it is is not settled,
            or something has changed that the person has not seen.
        """
        with self._open(slide_id) as shelf:
            self._check_ready(shelf, saw)
            specimen = self._settled(shelf, identity)
            counts = dict(shelf.counts(shelf.standing))
            row = shelf.found.last_row
            verdicts = self._library.verdict_digest(slide_id, row)
            about = {
                "counts": counts,
                "upto_row": row,
                "comment": comment or None,
                "saw": saw,
                "verdicts": verdicts,
                "language": language,
                **_red_signed(shelf),
                **self._identity_says(slide_id, specimen.identity),
            }
            return self._write(shelf, by, "sign", [about], specimen.identity)

    def identify(self, slide_id: str, by: str, identity: Identity, saw: int) -> SlideView:
        """States whose slide it is, in place of all that codes, names and callers state.

        Raises:
            DeskError: the slide is signed, or somebody has stated it since.
        """
        with self._open(slide_id) as shelf:
            _check_saw(shelf, saw)
            said = shelf.standing.identified
            if said and said.number > saw:
                raise DeskError("conflict", f"{said.by} has stated it since", "look at it again")
            about = {"saw": saw, **self._identity_says(slide_id, identity)}
            return self._write(shelf, by, "identify", [about], identity)

    def amend(self, slide_id: str, by: str, reason: str) -> SlideView:
        """Opens the next version of a signed slide; the signed one stays as it is.

        Raises:
            DeskError: it is not signed.
        """
        with self._open(slide_id, even_locked=True) as shelf:
            if not shelf.standing.locked:
                raise DeskError(
                    "wrong", "not signed, so there is nothing to amend", "change it as it is"
                )
            return self._write(
                shelf, by, "amend", [{"version": shelf.standing.version + 1, "comment": reason}]
            )

    @contextmanager
    def _open(self, slide_id: str, even_locked: bool = False) -> Iterator[SlideView]:
        """A slide that nobody else writes to meanwhile."""
        if self._library.is_read_only:
            raise DeskError("locked", "this store can only be read", COPY_HINT)
        shelf = self._library.shelf(slide_id)
        with shelf.lock:
            if shelf.refresh().standing.locked and not even_locked:
                raise DeskError(
                    "locked", "the slide is signed and locked", "amend it to make a new version"
                )
            yield shelf

    def _check_ready(self, shelf: SlideView, saw: int) -> None:
        _check_saw(shelf, saw)
        if shelf.status() not in FINISHED:
            raise DeskError("early", f"the slide is {shelf.status()}", "sign when it is done")
        if not shelf.cells(shelf.standing):
            raise DeskError("early", "no cell was found", "scan the slide again")
        unseen = sum(a not in shelf.standing.seen for a in shelf.told.alerts)
        if unseen and self._library.config.review.alerts_first:
            raise DeskError(
                "early",
                "1 alert is not acknowledged"
                if unseen == 1
                else f"{unseen} alerts are not acknowledged",
                "look at them first",
            )
        found = verification(shelf.scheme, shelf.standing, shelf.cells(shelf.standing))
        if missing := missing_looks(found, self._library.config.review):
            raise DeskError("early", missing, "verify the others first: the laboratory asks for it")
        if shelf.standing.number > saw:
            raise DeskError(
                "conflict", "somebody has changed the slide since", "look at it again, then sign"
            )

    def _settled(self, shelf: SlideView, shown: str | None) -> Resolution:
        """Whose slide it is, where that is clear enough to sign for."""
        found = shelf.specimen(shelf.standing)
        if missing := is_sufficient(found, self._library.config.identity.demand):
            raise DeskError("early", missing, "state whose slide it is, or amend the worklist")
        now = self._library.identity_digest(shelf.slide_id, found.identity)
        if shown is not None and shown != now:
            raise DeskError(
                "conflict", "whose slide it is has changed since", "look at it again, then sign"
            )
        return found

    def _identity_says(self, slide_id: str, identity: Identity) -> JsonObject:
        """What an event has of an identity: a digest, and its codes as far as the config lets them
        out.
        """
        share = self._library.config.identity.in_events
        stamp = replace(self._stamp, share_codes=share, secret=self._library.outbox.secret)
        digest = self._library.identity_digest(slide_id, identity)
        return {"identity_digest": digest, "specimen": specimen_of(identity.codes(), stamp)}

    def _write(
        self,
        shelf: SlideView,
        by: str,
        action: Action,
        about: Sequence[JsonObject],
        stated: Identity | None = None,
    ) -> SlideView:
        entries = [TrailEntry(action, values, stated) for values in about]
        return self._write_entries(shelf, by, entries)

    def _write_entries(self, shelf: SlideView, by: str, entries: Sequence[TrailEntry]) -> SlideView:
        """Writes the entries of one act."""
        base = {"version": shelf.standing.version, "act": uuid.uuid4().hex}
        acts = [replace(entry, about={**base, **entry.about}) for entry in entries]
        self._library.trail.write(shelf.slide_id, by, acts, self._stamp)
        return shelf.refresh()


def _red_signed(shelf: SlideView) -> JsonObject:
    """What is signed of the red cells: cells a kind, and a digest of what the machine says."""
    reds = shelf.reds
    if not len(reds):
        return {}
    called = {name: decision.label for name, decision in shelf.standing.decisions.items()}
    return {"red_counts": dict(reds.counts(called)), "red_verdicts": reds.digest}


def _undoing(shelf: SlideView, act: Act) -> list[JsonObject]:
    standing = shelf.standing
    undone: list[JsonObject] = []
    for cell_id, before in act.before.items():
        back = before.label if before else _cell(shelf, cell_id).label
        undone.append(
            {
                "undoes": act.act,
                "cell_id": cell_id,
                "was": standing.decisions[cell_id].label,
                "label": back,
            }
        )
    undone += [{"undoes": act.act, "cell_id": cell_id} for cell_id in act.marks]
    return undone + [{"undoes": act.act, "alert_id": alert} for alert in act.alerts]


def _cell(shelf: SlideView, cell_id: str) -> Detection | RedDetection:
    cell = shelf.cell(cell_id)
    if cell is None:
        raise DeskError("absent", f"no cell {cell_id} on this slide", "load the page again")
    return cell


def _check_place(shelf: SlideView, cell_id: str | None, place_px0: tuple[int, int]) -> None:
    """A comment is about a cell or about a place, and the place is on the slide."""
    if cell_id:
        raise DeskError("wrong", "a comment is about a cell or a place", "leave one of them out")
    slide = shelf.slide()
    if slide and not (place_px0[0] < slide.width_px0 and place_px0[1] < slide.height_px0):
        size = f"{slide.width_px0} x {slide.height_px0}"
        raise DeskError("wrong", f"{place_px0} is not on the slide of {size} px", "load it again")


def _check_new(shelf: SlideView, judged: JudgedCell, mpp: float) -> None:
    """A cell is counted once, under a class that the slide has."""
    cell = judged.cell
    for known in shelf.cells(shelf.standing):
        away = math.dist((known.x_px0, known.y_px0), (cell.x_px0, cell.y_px0))
        if known.cell_id == cell.cell_id or away * mpp < _COUNTED_TWICE_UM:
            raise DeskError("conflict", "this cell is counted already", "choose it on the slide")
    if judged.verdict.label not in shelf.scheme.names:
        raise DeskError(
            "wrong",
            "the model of this page has other classes than the slide's",
            "serve the page with the model that has judged the slide",
        )


def _check_label(
    shelf: SlideView, cells: Sequence[Detection | RedDetection], label: str | None
) -> None:
    """A red cell is called by a kind of red cells, any other by a class of the count."""
    for is_red in {isinstance(cell, RedDetection) for cell in cells}:
        scheme = shelf.reds.scheme if is_red else shelf.scheme
        if label not in scheme.names:
            raise DeskError("wrong", f"no class {label!r}", f"one of {', '.join(scheme.names)}")


def _check_saw(shelf: SlideView, saw: int) -> None:
    """A page cannot have shown what is not written yet."""
    if saw > shelf.standing.number:
        raise DeskError(
            "wrong",
            f"the page says that it has shown entry {saw} of {shelf.standing.number}",
            "load the page again",
        )


def _check_seen(shelf: SlideView, cell_ids: Sequence[str], saw: int) -> None:
    _check_saw(shelf, saw)
    changed = [c for c in cell_ids if shelf.standing.last_change([c]) > saw]
    if changed:
        by = shelf.standing.decisions[changed[0]].by
        raise DeskError(
            "conflict",
            f"{by} has changed {len(changed)} of these cells since",
            "look at them again",
        )
