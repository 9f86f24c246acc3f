"""The AsyncAPI 3.0 document, from the models: what a consumer needs to know of topics, headers and
payloads.
"""

import json
from importlib.metadata import version
from pathlib import Path

from stream.config import Kafka
from stream.events import EVENT_TYPES, JsonObject, event_schemas

ABOUT = {
    "cells": "One event a classified cell, in the order in which a slide's cells were decided.",
    "alerts": "Cells, and slides, that a person should look at.",
    "slides": "Status and progress of slides, and their differential count at the end.",
    "failures": "What could not be read or scored, and what to do next.",
    "reviews": "The audit trail: decisions on cells, alerts and slides, logins, accounts.",
    "dead": "Which events the broker refused, and why.",
    "red": "One event a judged red cell of the sampled fields, at the end of a slide.",
}
_HEADERS = {
    "ce_id": "the same for the same event, however often it is sent: drop a second copy by it "
    "where you cannot read committed",
    "ce_type": "which schema the value has",
    "ce_source": "the lab and scanner",
    "ce_subject": "the slide's id; also the record's key, so that a slide's events keep their "
    "order",
    "ce_time": "when it was decided, RFC 3339",
    "ce_specversion": "of CloudEvents: 1.0",
    "ce_replayof": "only of an event that was sent again on demand: the ce_id of the first",
    "content-type": "application/json",
}


def asyncapi(config: Kafka | None = None) -> JsonObject:
    """The document, with the broker and topics of a configuration."""
    config = config or Kafka()
    topics = config.topics.model_dump()
    payloads = event_schemas()
    channels = {kind: _channel(kind, topic, config) for kind, topic in topics.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "cytostream events",
            "version": version("cytostream"),
            "license": {"name": "Apache-2.0"},
            "description": "CloudEvents 1.0 in the binary mode of Kafka. Read committed: then "
            "each event is there exactly once.",
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": config.bootstrap, "protocol": _protocol(config)}},
        "channels": channels,
        "operations": {f"send-{kind}": _operation(kind) for kind in channels},
        "components": {
            "messages": {name: _message(name) for name in payloads},
            "schemas": {
                **{name: _inlined(schema) for name, schema in payloads.items()},
                "headers": _headers(),
            },
        },
    }


def write_asyncapi(path: Path, config: Kafka | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asyncapi(config), indent=2) + "\n")


def _protocol(config: Kafka) -> str:
    return "kafka-secure" if "SSL" in str(config.security.get("security_protocol", "")) else "kafka"


def _channel(kind: str, topic: str, config: Kafka) -> JsonObject:
    keep_ms = int(config.retention_days * 86_400_000)
    made = {
        "topic": topic,
        "partitions": config.partitions,
        "topicConfiguration": {"retention.ms": keep_ms},
    }
    messages = {
        name: {"$ref": f"#/components/messages/{name}"}
        for name, of in EVENT_TYPES.items()
        if of.topic == kind
    }
    return {
        "address": topic,
        "description": ABOUT[kind],
        "messages": messages,
        "bindings": {"kafka": made},
    }


def _operation(kind: str) -> JsonObject:
    return {"action": "send", "channel": {"$ref": f"#/channels/{kind}"}}


def _message(name: str) -> JsonObject:
    return {
        "name": name,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": "the slide's id"}}},
    }


def _headers() -> JsonObject:
    texts = {name: {"type": "string", "description": about} for name, about in _HEADERS.items()}
    return {
        "type": "object",
        "properties": texts,
        "required": [name for name in _HEADERS if name != "ce_replayof"],
    }


def _inlined(schema: JsonObject) -> JsonObject:
    """The schema with its own definitions in their places: a reference would be looked up in the
    whole document.
    """
    parts = schema.get("$defs", {})

    def put_in(node: JsonObject) -> JsonObject:
        if "$ref" in node:
            rest = {name: value for name, value in node.items() if name != "$ref"}
            return {**put_in(parts[node["$ref"].rsplit("/", 1)[1]]), **rest}
        return {name: put_into(value) for name, value in node.items() if name != "$defs"}

    def put_into(value: object) -> object:
        if isinstance(value, list):
            return [put_into(item) for item in value]
        return put_in(value) if isinstance(value, dict) else value

    return put_in(schema)
