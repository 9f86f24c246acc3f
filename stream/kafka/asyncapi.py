"""The AsyncAPI 3.0 document, from the models: what a consumer needs to know of topics, headers and
payloads.
"""

import json
from importlib.metadata import version
from pathlib import Path

from stream.config import Kafka
from stream.events import EVENT_TYPES, event_schemas

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


def asyncapi(config: Kafka | None = None) -> dict:
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


def _channel(kind: str, topic: str, config: Kafka) -> dict:
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


def _operation(kind: str) -> dict:
    return {"action": "send", "channel": {"$ref": f"#/channels/{kind}"}}


def _message(name: str) -> dict:
    return {
        "name": name,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": "the slide's id"}}},
    }


def _headers() -> dict:
    texts = {name: {"type": "string", "description": about} for name, about in _HEADERS.items()}
    return {
        "type": "object",
        "properties": texts,
        "required": [name for name in _HEADERS if name != "ce_replayof"],
    }


def _inlined(schema: dict) -> dict:
    """The schema with its own definitions in their places: a reference would be looked up in the
    whole document.
    """
    parts = schema.get("$defs", {})

    def put_in(node: object) -> object:
        if isinstance(node, list):
            return [put_in(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return {
                **put_in(parts[node["$ref"].rsplit("/", 1)[1]]),
                **{k: v for k, v in node.items() if k != "$ref"},
            }
        return {name: put_in(value) for name, value in node.items() if name != "$defs"}

    return put_in(schema)
