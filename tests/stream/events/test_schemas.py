"""What a consumer may rely on: released schemas stay true, and the AsyncAPI document is enough to
read the topics.
"""

import json
from pathlib import Path

import jsonschema
import pytest
from kafka import KafkaConsumer, TopicPartition

from ingest import Failure
from stream.alerts.cell_rules import alerts_of
from stream.config import Alerts, Kafka
from stream.events.act_events import access_event, dead_letter_event, review_event
from stream.events.alert import SlideAlert
from stream.events.cell_events import alert_event
from stream.events.event import replayed
from stream.events.event_types import EVENT_TYPES, event_schemas
from stream.events.payloads import Progress
from stream.events.slide_events import failure_event, slide_alert_event, slide_event
from stream.kafka.asyncapi import asyncapi
from stream.kafka.sink import KafkaSink
from stream.sinks.relay import send_batch
from tests.stream.making import STAMP, make_cell, make_events, make_slide, make_verdict

RELEASED = sorted((Path(__file__).parent / "released").glob("*/*.json"))
WORDS = {
    "title",
    "description",
    "examples",
    "$id",
    "additionalProperties",
}  # for people; and a consumer ignores what is new


def one_of_each():
    slide, cell, verdict = make_slide(), make_cell(), make_verdict(1.0)
    cells = make_events(3)
    return [
        *cells,
        replayed(cells[0], "monday"),
        alert_event(slide, cell, verdict, alerts_of(cell, verdict, Alerts())[0], STAMP),
        slide_event(slide, "running", STAMP, Progress(tiles=4)),
        slide_event(slide, "done", STAMP, Progress(cells=3), counts={"neutrophil": 3}),
        failure_event(Failure("s1", "read", "torn", box_px0=(0, 0, 9, 9)), STAMP),
        slide_alert_event(
            "s1", SlideAlert("drift", "urgent", 9.0, 5.0, "more odd cells", 900, "scanner-1"), STAMP
        ),
        review_event("s1", "acknowledge", "anna", STAMP, alert_id="a1"),
        dead_letter_event(cells[0], 2_000_000, "too large", "kafka:b"),
        access_event(
            "login",
            STAMP,
            {"number": 1, "previous": "0" * 64, "store": "s"},
            account="anna",
            by="anna",
        ),
    ]


def bare(schema, root):
    """A schema without words, its references followed."""
    if isinstance(schema, list):
        return [bare(item, root) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return bare(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
    return {
        name: bare(value, root) for name, value in schema.items() if name not in WORDS | {"$defs"}
    }


def differences(old, new, at=""):
    """Where a consumer of `old` would misread `new`: a field gone, changed, or no more always
    there; a word that is unknown.
    """
    for name, value in old.get("properties", {}).items():
        now = new.get("properties", {}).get(name)
        if now is None:
            yield f"{at}.{name} is gone"
        elif value.get("properties"):
            yield from differences(value, now, f"{at}.{name}")
        elif value != now:
            yield f"{at}.{name} has changed"
    yield from (
        f"{at}.{name} is no more required"
        for name in set(old.get("required", [])) - set(new.get("required", []))
    )


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_released_schema_is_only_added_to(path):
    old, new = json.loads(path.read_text()), event_schemas()[path.stem]
    assert not list(differences(bare(old, old), bare(new, new)))


def test_the_comparison_sees_a_change():
    old = {
        "properties": {"a": {"type": "string"}, "b": {"properties": {"c": {"type": "integer"}}}},
        "required": ["a"],
    }
    new = {"properties": {"a": {"type": "integer"}, "b": {"properties": {"d": {}}}}, "required": []}
    assert set(differences(old, new)) == {
        ".a has changed",
        ".b.c is gone",
        ".a is no more required",
    }


@pytest.mark.parametrize("event", one_of_each(), ids=lambda event: event.type)
def test_every_event_validates_against_its_schema(event):
    jsonschema.Draft202012Validator(event_schemas()[event.type]).validate(event.data)


def test_a_wrong_event_does_not():
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {**make_events(1)[0].data, "x_px0": "left"}, event_schemas()["cytostream.cell.v1"]
        )


def test_the_document_names_every_topic_and_message():
    document = asyncapi(Kafka(security={"security_protocol": "SSL"}))
    assert {channel["address"] for channel in document["channels"].values()} == set(
        Kafka().topics.model_dump().values()
    )
    assert {
        name for channel in document["channels"].values() for name in channel["messages"]
    } == set(EVENT_TYPES)
    assert document["servers"]["kafka"]["protocol"] == "kafka-secure"
    assert "$defs" not in json.dumps(document)


def resolve(document, node):
    """The one thing that a reader of AsyncAPI must do: follow a reference."""
    while "$ref" in node:
        found = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


@pytest.mark.broker
def test_a_consumer_written_from_the_document_alone_reads_every_event(
    outbox, add, kafka_for, session_broker
):
    config, events = kafka_for(session_broker), one_of_each()
    add(events)
    sink = KafkaSink(config, outbox.store_id)
    while send_batch(outbox, sink, 5):
        pass
    sink.close()
    document = json.loads(json.dumps(asyncapi(config)))
    read = {}
    for channel in document["channels"].values():
        consumer = KafkaConsumer(
            bootstrap_servers=document["servers"]["kafka"]["host"],
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        parts = [
            TopicPartition(channel["address"], n)
            for n in range(channel["bindings"]["kafka"]["partitions"])
        ]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        while any(consumer.position(part) < end for part, end in ends.items()):
            for records in consumer.poll(200).values():
                for record in records:
                    headers = {name: value.decode() for name, value in record.headers}
                    message = resolve(document, channel["messages"][headers["ce_type"]])
                    jsonschema.validate(headers, resolve(document, message["headers"]))
                    jsonschema.validate(
                        json.loads(record.value), resolve(document, message["payload"])
                    )
                    assert record.key.decode() == headers["ce_subject"]
                    read[headers["ce_id"]] = headers["ce_type"]
        consumer.close()
    assert read == {event.id: event.type for event in events}
