"""The events of single cells: what a model calls them, and why they are worth a look."""

import base64
from dataclasses import dataclass
from datetime import datetime

from classify import Verdict
from ingest import Slide
from segment import Cell, RedCell, cell_id
from stream.events.alert import Alert

from .event import (
    Event,
    Provenance,
    make_event,
    payload_data,
)
from .event_types import (
    ALERT,
    CELL,
    RED,
)
from .payloads import (
    AlertData,
    AnomalyData,
    CellData,
    JsonObject,
    RedData,
)


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
    data = payload_data(
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
    return make_event(CELL, stamp, cell.slide_id, about, data, at)


def red_event(slide: Slide, cell: RedCell, said: RedSaid, stamp: Provenance) -> Event:
    """The event of a judged red cell, timed now.

    Raises:
        EventError: a measurement that is not a number.
    """
    name = cell_id(slide.slide_id, cell.x_px0, cell.y_px0)
    data = payload_data(
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
    return make_event(RED, stamp, slide.slide_id, (name, said.model_hash), data)


def alert_event(
    slide: Slide, cell: Cell, verdict: Verdict, alert: Alert, stamp: Provenance
) -> Event:
    """The event of one alert, timed now.

    Raises:
        EventError: a score that is not a number.
    """
    data = payload_data(
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
    return make_event(
        ALERT, stamp, cell.slide_id, (cell.cell_id, alert.rule, stamp.model_hash), data
    )


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
