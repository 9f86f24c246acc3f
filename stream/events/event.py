"""The events that are sent: CloudEvents 1.0 with ids that a re-run repeats.

An id is a digest of type, slide and what the event is about (and of the model, where the model has
a part in it), so that a consumer which cannot read committed drops a second copy by its id. File
names and paths may name a patient: they are not sent unless `Provenance.share_names` is set, in
texts too. Nor are codes of the specimen unless `Provenance.share_codes` is set.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from classify import Verdict
from ingest import CytostreamError, Failure, Slide
from segment import Cell, RedCell, cell_id
from stream.events.alert import Alert, SlideAlert

from .event_types import (
    ACCESS,
    ALERT,
    CELL,
    DEAD,
    EVENT_TYPES,
    FAILURE,
    RED,
    REVIEW,
    SLIDE,
    SLIDE_ALERT,
)
from .failure_codes import UNKNOWN, FixedText, text_of
from .payloads import (
    AccessAction,
    AccessData,
    Action,
    AlertData,
    AnomalyData,
    CellData,
    DeadLetterData,
    FailureData,
    JsonObject,
    Payload,
    Progress,
    RedData,
    ReviewData,
    ShareCodes,
    SlideAlertData,
    SlideData,
    SpecimenData,
    Status,
)


class EventError(CytostreamError):
    """An event that cannot be built or read."""


@dataclass(frozen=True, slots=True)
class Event:
    """One CloudEvent; `subject` is the slide id, `time` is aware, `data` holds JSON values only.

    `replay_of` is the id of the event that this one repeats on demand, None for an original.
    """

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    data: JsonObject
    replay_of: str | None = None

    @property
    def kind(self) -> str:
        """Which topic it belongs to: cells, alerts, slides, failures, reviews, dead or red."""
        return EVENT_TYPES[self.type].topic

    def payload(self) -> Payload:
        """The data, checked against the type's model."""
        return EVENT_TYPES[self.type].payload.model_validate(self.data)

    def sentence(self) -> str:
        """The data in one line for a person."""
        return EVENT_TYPES[self.type].sentence(self.data)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who sends: the CloudEvents source, the model and configuration behind a result, package
    versions.
    """

    source: str
    model_hash: str = ""
    config_hash: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    share_names: bool = False
    share_codes: ShareCodes = "none"
    set_id: str | None = None
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class RedSaid:
    """What a red-cell model calls a cell, with its probability and anomaly score."""

    label: str
    probability: float
    anomaly: float
    model_hash: str


def cell_event(
    slide: Slide,
    cell: Cell,
    verdict: Verdict,
    stamp: Provenance,
    at: datetime | None = None,
    marked_by: str | None = None,
) -> Event:
    """The event of a classified cell; `marked_by` is who has marked it, where no run found it.

    Raises:
        EventError: a score that is not a number.
    """
    data = _data(
        CellData,
        **_place(slide, cell, stamp),
        label=verdict.label,
        scores=verdict.scores,
        draws=verdict.draws,
        parent=verdict.parent or None,
        parents=verdict.parents or None,
        decided=verdict.decided,
        may_be=verdict.may_be,
        outcome=verdict.outcome,
        taught=verdict.taught,
        standard_label=verdict.standard_label or None,
        anomaly=_anomaly(verdict),
        marked_by=marked_by,
    )
    about: tuple[object, ...] = (cell.cell_id, stamp.model_hash)
    if marked_by and at:  # a cell that is marked once more is another event
        about = (*about, marked_by, at.isoformat())
    return _event(CELL, stamp, cell.slide_id, about, data, at)


def red_event(slide: Slide, cell: RedCell, said: RedSaid, stamp: Provenance) -> Event:
    """The event of a judged red cell, timed now.

    Raises:
        EventError: a measurement that is not a number.
    """
    name = cell_id(slide.slide_id, cell.x_px0, cell.y_px0)
    data = _data(
        RedData,
        slide_id=slide.slide_id,
        cell_id=name,
        kind="rbc",
        mpp=slide.mpp,
        model_hash=said.model_hash,
        **_extent(cell),
        label=said.label,
        probability=float(said.probability),
        anomaly=float(said.anomaly),
        roundness=float(cell.roundness),
        pallor=float(cell.pallor),
    )
    return _event(RED, stamp, slide.slide_id, (name, said.model_hash), data)


def alert_event(
    slide: Slide, cell: Cell, verdict: Verdict, alert: Alert, stamp: Provenance
) -> Event:
    """The event of one alert, timed now.

    Raises:
        EventError: a score that is not a number.
    """
    data = _data(
        AlertData,
        **_place(slide, cell, stamp),
        label=verdict.label,
        rule=alert.rule,
        severity=alert.severity,
        score=alert.score,
        threshold=alert.threshold,
        reason=alert.reason,
        thumbnail_png=base64.b64encode(alert.thumbnail_png).decode(),
        morphology=alert.morphology,
    )
    return _event(ALERT, stamp, cell.slide_id, (cell.cell_id, alert.rule, stamp.model_hash), data)


def slide_alert_event(slide_id: str, alert: SlideAlert, stamp: Provenance) -> Event:
    """The event of an alert about a whole slide, timed now; one a slide and rule.

    Raises:
        EventError: a score that is not a number.
    """
    facts = {name: getattr(alert, name) for name in SlideAlert.__slots__}
    data = _data(SlideAlertData, slide_id=slide_id, model_hash=stamp.model_hash, **facts)
    return _event(SLIDE_ALERT, stamp, slide_id, (alert.rule, stamp.model_hash), data)


def review_event(
    slide_id: str, action: Action, reviewer: str, stamp: Provenance, **about: Any
) -> Event:
    """The event of what a person decided, timed now: `cell_id`, `alert_id`, `label`, `was`,
    `comment`, `version` as they apply.

    Raises:
        EventError: an unknown action or field.
    """
    data = _data(ReviewData, slide_id=slide_id, action=action, reviewer=reviewer, **about)
    return _act_event(REVIEW, stamp, slide_id, (action, reviewer), data, *sorted(about.items()))


def access_event(
    action: AccessAction, stamp: Provenance, chain: Mapping[str, str | int], **about: str
) -> Event:
    """The event of a login or a change of an account, timed now; `chain` is its place in the audit
    trail.

    Raises:
        EventError: an unknown action or field.
    """
    data = _data(AccessData, action=action, **about, **chain)
    subject = f"store-{chain['store']}"
    return _act_event(ACCESS, stamp, subject, (action, chain["number"]), data)


def dead_letter_event(refused: Event, size_bytes: int, reason: str, sink: str) -> Event:
    """The event about one that a sink refused; one a sink and event."""
    about = {"event_id": refused.id, "event_type": refused.type, "slide_id": refused.subject}
    data = _data(DeadLetterData, **about, size_bytes=size_bytes, reason=reason)
    return Event(
        _digest(DEAD, refused.id, sink),
        DEAD,
        refused.source,
        refused.subject,
        datetime.now(UTC),
        data,
    )


def replayed(event: Event, occasion: str) -> Event:
    """The same event once more, on demand: an id of its own an occasion, marked with the id of the
    original.
    """
    original = event.replay_of or event.id
    return replace(event, id=_digest("replay", original, occasion), replay_of=original)


def slide_event(
    slide: Slide,
    status: Status,
    stamp: Provenance,
    progress: Progress | None = None,
    counts: dict[str, int] | None = None,
    failure: Failure | None = None,
    unfit: Sequence[str] | None = None,
    red_cells: JsonObject | None = None,
) -> Event:
    """The event of a slide's status, timed now; one id a status and progress, so a repeated status
    is one event.
    """
    progress = progress or Progress()
    data = _data(
        SlideData,
        slide_id=slide.slide_id,
        status=status,
        width_px0=slide.width_px0,
        height_px0=slide.height_px0,
        mpp=slide.mpp,
        vendor=slide.vendor,
        scanner=slide.scanner,
        reader=slide.reader,
        progress=progress,
        counts=counts,
        reason=_said(failure, stamp).what if failure else None,
        unfit=unfit,
        red_cells=red_cells,
        name=slide.path.name if stamp.share_names else None,
        path=str(slide.path) if stamp.share_names else None,
        model_hash=stamp.model_hash,
        config_hash=stamp.config_hash,
        versions=stamp.versions,
        set_id=private_digest(stamp, stamp.set_id) if stamp.set_id else None,
    )
    about = (status, stamp.model_hash, stamp.config_hash, progress.model_dump_json())
    return _event(SLIDE, stamp, slide.slide_id, about, data)


def failure_event(failure: Failure, stamp: Provenance, path: Path | None = None) -> Event:
    """The event of a failure, timed now: its code and a fixed sentence, no text of a reader.

    A failure with no slide id (the file is no slide) takes a digest of the path as its subject,
    which nobody can compute from a guess of the name.
    """
    about_file = str(path.absolute()) if path else failure.what
    digest = None if failure.slide_id else private_digest(stamp, about_file)
    said = _said(failure, stamp)
    data = _data(
        FailureData,
        slide_id=failure.slide_id or None,
        file_digest=digest,
        stage=failure.stage,
        box_px0=failure.box_px0,
        what=said.what,
        hint=said.hint,
        path=str(path) if path and stamp.share_names else None,
        code=failure.code or UNKNOWN,
    )
    place = failure.box_px0 or private_digest(stamp, failure.what)
    subject = failure.slide_id or f"file-{digest}"
    return _event(FAILURE, stamp, subject, (failure.stage, place, stamp.model_hash), data)


def with_specimen(event: Event, codes: Mapping[str, str], stamp: Provenance) -> Event:
    """The event with the codes of its specimen, as far as `stamp.share_codes` lets them out."""
    said = specimen_of(codes, stamp)
    return replace(event, data={**event.data, "specimen": said}) if said else event


def specimen_of(codes: Mapping[str, str], stamp: Provenance) -> JsonObject | None:
    """Codes by name as `SpecimenData` has them; None where none are known or may be sent."""
    if stamp.share_codes == "none" or not codes:
        return None
    hashed = stamp.share_codes == "hashed"
    said = {name: private_digest(stamp, code) if hashed else code for name, code in codes.items()}
    return _data(SpecimenData, hashed=hashed, **said)


def private_digest(stamp: Provenance, text: str) -> str:
    """A digest that only who has the store's secret can compute (HMAC)."""
    return hmac.new(stamp.secret.encode(), text.encode(errors="replace"), "blake2b").hexdigest()[
        :32
    ]


def _said(failure: Failure, stamp: Provenance) -> FixedText:
    if stamp.share_names:
        return FixedText(failure.what, failure.hint)
    said = text_of(failure.code)
    return FixedText(f"{said.what}: {failure.figures}", said.hint) if failure.figures else said


def _place(slide: Slide, cell: Cell, stamp: Provenance) -> JsonObject:
    return {
        "slide_id": cell.slide_id,
        "cell_id": cell.cell_id,
        "kind": cell.kind,
        "mpp": slide.mpp,
        "model_hash": stamp.model_hash,
        **_extent(cell),
    }


def _extent(cell: Cell | RedCell) -> JsonObject:
    return {
        "x_px0": int(cell.x_px0),
        "y_px0": int(cell.y_px0),
        "box_px0": tuple(map(int, cell.box_px0)),
        "area_um2": float(cell.area_um2),
    }


def _anomaly(verdict: Verdict) -> JsonObject:
    anomaly = verdict.anomaly
    return {name: getattr(anomaly, name) for name in AnomalyData.model_fields}


def _data(model: type[Payload], **values: Any) -> JsonObject:
    try:
        return model(**values).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors()[0]
        raise EventError(
            f"{model.__name__}.{'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from error


def _event(
    kind: str,
    stamp: Provenance,
    subject: str,
    about: tuple[object, ...],
    data: JsonObject,
    at: datetime | None = None,
) -> Event:
    return Event(
        _digest(kind, subject, *about), kind, stamp.source, subject, at or datetime.now(UTC), data
    )


def _act_event(
    kind: str,
    stamp: Provenance,
    subject: str,
    act: tuple[object, ...],
    data: JsonObject,
    *about: object,
) -> Event:
    """What a person has done now: the same act at another time is another event."""
    at = datetime.now(UTC)
    return _event(kind, stamp, subject, (*act, at.isoformat(), *about), data, at)


def _digest(*parts: object) -> str:
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()
