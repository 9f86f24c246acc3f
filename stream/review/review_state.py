"""What people have decided about a slide so far: a fold over its reviews, nothing else. Replaying
the trail gives it again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from classify import UNIDENTIFIED
from ingest import StoreError
from stream.events import JsonObject, ReviewData

# what a person does who is reviewing a slide
WORK = {"reclassify", "confirm", "unidentified", "acknowledge", "undo", "mark"}


@dataclass(frozen=True, slots=True)
class ReviewEntry:
    """A review with its place in the trail and its time."""

    number: int
    at: datetime
    data: ReviewData


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person calls a cell: `how` is reclassify, confirm or unidentified."""

    label: str
    how: str
    by: str
    at: datetime
    number: int
    act: str


@dataclass(frozen=True, slots=True)
class Seen:
    """An alert that a person has acknowledged."""

    by: str
    at: datetime
    number: int
    act: str


@dataclass(frozen=True, slots=True)
class Comment:
    """On a cell, on a place (x, y) of the slide, or on the slide as a whole where both are None."""

    cell_id: str | None
    text: str
    by: str
    at: datetime
    number: int
    place_px0: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """A signed version: its count, and everything that is needed to show it again."""

    version: int
    by: str
    at: datetime
    number: int
    upto_row: int | None
    counts: dict[str, int]
    comment: str | None
    verdicts: str | None = None
    red_verdicts: str | None = None
    identity_digest: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Identification:
    """Who stated whose slide it is; what, stands beside the entry of this number in the trail."""

    by: str
    at: datetime
    number: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A cell that a person has marked, which no run found: `data` is its event."""

    by: str
    at: datetime
    number: int
    act: str
    data: JsonObject
    crop: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """Whom a slide is assigned to, empty for nobody, and whether its result is waited for."""

    to: str
    stat: bool
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Amendment:
    """Who opened a version after a signed one, and why."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Act:
    """What one person did in one go, and what stood before: enough to take it back."""

    act: str
    by: str
    version: int
    action: str
    before: dict[str, Decision | None] = field(default_factory=dict)
    alerts: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Standing:
    """The state of a slide's review. `version` is the one that is worked on, or the last signed one
    while it is locked.
    """

    version: int = 1
    locked: bool = False
    number: int = 0
    decisions: dict[str, Decision] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    comments: list[Comment] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)
    signatures: list[Signature] = field(default_factory=list)
    acts: dict[str, Act] = field(default_factory=dict)
    amendments: dict[int, Amendment] = field(default_factory=dict)  # by the version they opened
    amending: str = ""
    identified: Identification | None = None
    removed: set[str] = field(default_factory=set)
    assignment: Assignment | None = None
    second: dict[str, dict[str, str]] = field(default_factory=dict)  # labels by reader and cell
    last_by: str = ""
    last_at: datetime | None = None

    def label(self, cell_id: str, machine: str) -> str:
        decision = self.decisions.get(cell_id)
        return decision.label if decision else machine

    def last_change(self, cell_ids: Iterable[str]) -> int:
        """The highest place in the trail of a decision on any of these cells; 0 where there is
        none.
        """
        return max((self.decisions[c].number for c in cell_ids if c in self.decisions), default=0)

    def undoable(self, by: str) -> Act | None:
        """The person's last act of this version that nobody has built upon."""
        mine = [a for a in self.acts.values() if a.by == by and a.version == self.version]
        return next((a for a in reversed(mine) if self._untouched(a)), None)

    def _untouched(self, act: Act) -> bool:
        found = [self.decisions.get(cell_id) for cell_id in act.before]
        found_alerts = [self.seen.get(alert_id) for alert_id in act.alerts]
        found_marks = [self.marks.get(cell_id) for cell_id in act.marks]
        return all(
            one is not None and one.act == act.act for one in (*found, *found_alerts, *found_marks)
        ) and not any(cell_id in self.decisions for cell_id in act.marks)

    def take(self, review: ReviewEntry) -> None:
        """Applies one review, in order of the trail."""
        self.number = review.number
        if review.data.action in WORK:
            self.last_by = review.data.reviewer
            self.last_at = review.at
        _TAKE[review.data.action](self, review, review.data)


def _needed(review: ReviewEntry, name: str) -> str:
    """A text without which the action means nothing.

    Raises:
        StoreError: the entry lacks it.
    """
    value = getattr(review.data, name)
    if value is None:
        raise StoreError(
            f"entry {review.number} of the audit trail ({review.data.action}) has no {name}",
            "check the store with `cytostream audit`, and restore it from its backup",
        )
    return str(value)


def _act_of(standing: Standing, data: ReviewData) -> Act:
    act = data.act or ""  # an entry from before there were acts
    return standing.acts.setdefault(act, Act(act, data.reviewer, standing.version, data.action))


def _decide(standing: Standing, review: ReviewEntry, data: ReviewData) -> None:
    cell_id = _needed(review, "cell_id")
    label = UNIDENTIFIED if data.action == "unidentified" else _needed(review, "label")
    act = _act_of(standing, data)
    act.before[cell_id] = standing.decisions.get(cell_id)
    standing.decisions[cell_id] = Decision(
        label, data.action, data.reviewer, review.at, review.number, act.act
    )


def _acknowledge(standing: Standing, review: ReviewEntry, data: ReviewData) -> None:
    alert_id = _needed(review, "alert_id")
    act = _act_of(standing, data)
    act.alerts.append(alert_id)
    standing.seen[alert_id] = Seen(data.reviewer, review.at, review.number, act.act)


def _undo(standing: Standing, review: ReviewEntry, data: ReviewData) -> None:
    undone = _needed(review, "undoes")
    act = standing.acts[undone]
    if data.alert_id:
        standing.seen.pop(data.alert_id, None)
        act.alerts.remove(data.alert_id)
    elif data.cell_id in act.marks:
        standing.marks.pop(data.cell_id, None)
        act.marks.remove(data.cell_id)
    else:
        cell_id = _needed(review, "cell_id")
        before = act.before.pop(cell_id)
        if before:
            standing.decisions[cell_id] = before
        else:
            standing.decisions.pop(cell_id, None)
    if not (act.before or act.alerts or act.marks):
        del standing.acts[undone]


def _comment(standing: Standing, review: ReviewEntry, data: ReviewData) -> None:
    text = _needed(review, "comment")
    about = data.reviewer, review.at, review.number, data.place_px0
    standing.comments.append(Comment(data.cell_id, text, *about))


def _sign(standing: Standing, review: ReviewEntry, data: ReviewData) -> None:
    signed = Signature(
        version=data.version,
        by=data.reviewer,
        at=review.at,
        number=review.number,
        upto_row=data.upto_row,
        counts=data.counts or {},
        comment=data.comment,
        verdicts=data.verdicts,
        red_verdicts=data.red_verdicts,
        identity_digest=data.identity_digest,
        language=data.language,
    )
    standing.signatures.append(signed)
    standing.locked = True
    standing.amending = ""


def _amend(standing: Standing, review: ReviewEntry, data: ReviewData) -> None:
    reason = data.comment or "amendment"
    standing.amendments[data.version] = Amendment(data.reviewer, review.at, reason)
    standing.version = data.version
    standing.locked = False
    standing.amending = reason


def _identify(standing: Standing, review: ReviewEntry, data: ReviewData) -> None:
    standing.identified = Identification(data.reviewer, review.at, review.number)


def _remove(standing: Standing, review: ReviewEntry, data: ReviewData) -> None:
    standing.removed.add(_needed(review, "removed"))


def _mark(standing: Standing, review: ReviewEntry, data: ReviewData) -> None:
    cell_id = _needed(review, "cell_id")
    _needed(review, "marked")
    act = _act_of(standing, data)
    act.marks.append(cell_id)
    about = data.marked.model_dump(mode="json") if data.marked else {}
    standing.marks[cell_id] = Mark(
        data.reviewer, review.at, review.number, act.act, about, data.crop or ""
    )


def _assign(standing: Standing, review: ReviewEntry, data: ReviewData) -> None:
    standing.assignment = Assignment(data.assignee or "", bool(data.stat), data.reviewer, review.at)


def _second_read(standing: Standing, review: ReviewEntry, data: ReviewData) -> None:
    cell_id = _needed(review, "cell_id")
    standing.second.setdefault(data.reviewer, {})[cell_id] = _needed(review, "label")


_TAKE = {
    "reclassify": _decide,
    "confirm": _decide,
    "unidentified": _decide,
    "comment": _comment,
    "acknowledge": _acknowledge,
    "undo": _undo,
    "sign": _sign,
    "amend": _amend,
    "identify": _identify,
    "remove": _remove,
    "mark": _mark,
    "assign": _assign,
    "second_read": _second_read,
}


def fold(reviews: Iterable[ReviewEntry], upto: int | None = None) -> Standing:
    """The standing after all reviews, or after those up to and with a place in the trail."""
    standing = Standing()
    for review in reviews:
        if upto is None or review.number <= upto:
            standing.take(review)
    return standing
