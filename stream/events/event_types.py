"""The types of events, one table: name, payload, topic, and the sentence that a person reads.

One more type is a model in `payloads`, its test, and a line in `EVENT_TYPES`; its schema, the
topics' contents and `cytostream tail` follow from that.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema

from .payloads import (
    AccessData,
    AlertData,
    CellData,
    DeadLetterData,
    FailureData,
    JsonObject,
    Payload,
    RedData,
    ReviewData,
    SlideAlertData,
    SlideData,
)

CELL = "cytostream.cell.v1"
ALERT = "cytostream.alert.v1"
SLIDE = "cytostream.slide.v1"
FAILURE = "cytostream.failure.v1"
SLIDE_ALERT = "cytostream.slidealert.v1"
REVIEW = "cytostream.review.v1"
DEAD = "cytostream.deadletter.v1"
ACCESS = "cytostream.access.v1"
RED = "cytostream.red.v1"


@dataclass(frozen=True, slots=True)
class EventType:
    """A CloudEvents type, the model of its data, the topic it goes to, and its data as one line for
    a person.
    """

    name: str
    payload: type[Payload]
    topic: str
    sentence: Callable[[JsonObject], str]


def _cell_sentence(data: JsonObject) -> str:
    return (
        f"cell    {data['label']:<12} p {data['scores'][data['label']]:.2f}  at "
        f"{data['x_px0']},{data['y_px0']}"
    )


def _alert_sentence(data: JsonObject) -> str:
    return f"ALERT   {data['label']:<12} at {data['x_px0']},{data['y_px0']}: {data['reason']}"


def _slide_sentence(data: JsonObject) -> str:
    counts = "  ".join(f"{k} {v}" for k, v in Counter(data["counts"] or {}).most_common())
    return f"slide   {data['status']}  {data['progress']['cells']} cells  {counts}"


def _failure_sentence(data: JsonObject) -> str:
    return f"failure {data['stage']}: {data['what']} -> {data['hint']}"


def _review_sentence(data: JsonObject) -> str:
    return (
        f"review  {data['reviewer']}: {data['action']} {data['label'] or ''} "
        f"{data['comment'] or ''}"
    )


def _access_sentence(data: JsonObject) -> str:
    return f"access  {data['account']}: {data['action']}, by {data['by']}"


def _red_sentence(data: JsonObject) -> str:
    return (
        f"red     {data['label']:<12} {data['probability']:.2f}  at {data['x_px0']},{data['y_px0']}"
    )


def _slide_alert_sentence(data: JsonObject) -> str:
    return f"ALERT   {data['severity']:<12} {data['reason']}"


def _dead_letter_sentence(data: JsonObject) -> str:
    return f"refused {data['event_type']}: {data['reason']}"


EVENT_TYPES: dict[str, EventType] = {
    of.name: of
    for of in (
        EventType(CELL, CellData, "cells", _cell_sentence),
        EventType(ALERT, AlertData, "alerts", _alert_sentence),
        EventType(SLIDE, SlideData, "slides", _slide_sentence),
        EventType(FAILURE, FailureData, "failures", _failure_sentence),
        EventType(SLIDE_ALERT, SlideAlertData, "alerts", _slide_alert_sentence),
        EventType(REVIEW, ReviewData, "reviews", _review_sentence),
        EventType(DEAD, DeadLetterData, "dead", _dead_letter_sentence),
        EventType(ACCESS, AccessData, "reviews", _access_sentence),
        EventType(RED, RedData, "red", _red_sentence),
    )
}
TOPICS = tuple(dict.fromkeys(of.topic for of in EVENT_TYPES.values()))


class _Open(GenerateJsonSchema):
    """A consumer must ignore a field that it does not know, so that one can be added; only our own
    models forbid it. Descriptions are one line, however the docstring is wrapped.
    """

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        made.pop("additionalProperties", None)
        if "description" in made:
            made["description"] = " ".join(made["description"].split())
        return made


def event_schemas(types: Iterable[EventType] = EVENT_TYPES.values()) -> dict[str, JsonObject]:
    """The JSON Schema of each event type's data."""
    return {
        of.name: {
            "$id": f"urn:{of.name.replace('.', ':')}",
            **of.payload.model_json_schema(schema_generator=_Open),
        }
        for of in types
    }


def write_schemas(folder: Path) -> list[Path]:
    """Writes one `<type>.json` an event type into `folder`; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {folder / f"{name}.json": schema for name, schema in event_schemas().items()}
    for path, schema in paths.items():
        path.write_text(json.dumps(schema, indent=2) + "\n")
    return list(paths)
