"""The events of a whole slide: its status, its alerts, its failures."""

from collections.abc import Sequence
from pathlib import Path

from ingest import Failure, Slide
from stream.events.alert import SlideAlert

from .event import Event, Provenance, make_event, payload_data, private_digest
from .event_types import (
    FAILURE,
    SLIDE,
    SLIDE_ALERT,
)
from .failure_codes import UNKNOWN, FixedText, text_of
from .payloads import (
    FailureData,
    JsonObject,
    Progress,
    SlideAlertData,
    SlideData,
    Status,
)


def slide_alert_event(slide_id: str, alert: SlideAlert, stamp: Provenance) -> Event:
    """The event of an alert about a whole slide, timed now; one a slide and rule.

    Raises:
        EventError: a score that is not a number.
    """
    facts = {name: getattr(alert, name) for name in SlideAlert.__slots__}
    data = payload_data(SlideAlertData, slide_id=slide_id, model_hash=stamp.model_hash, **facts)
    return make_event(SLIDE_ALERT, stamp, slide_id, (alert.rule, stamp.model_hash), data)


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
    data = payload_data(
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
    return make_event(SLIDE, stamp, slide.slide_id, about, data)


def failure_event(failure: Failure, stamp: Provenance, path: Path | None = None) -> Event:
    """The event of a failure, timed now: its code and a fixed sentence, no text of a reader.

    A failure with no slide id (the file is no slide) takes a digest of the path as its subject,
    which nobody can compute from a guess of the name.
    """
    about_file = str(path.absolute()) if path else failure.what
    digest = None if failure.slide_id else private_digest(stamp, about_file)
    said = _said(failure, stamp)
    data = payload_data(
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
    return make_event(FAILURE, stamp, subject, (failure.stage, place, stamp.model_hash), data)


def _said(failure: Failure, stamp: Provenance) -> FixedText:
    if stamp.share_names:
        return FixedText(failure.what, failure.hint)
    said = text_of(failure.code)
    return FixedText(f"{said.what}: {failure.figures}", said.hint) if failure.figures else said
