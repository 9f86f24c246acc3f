"""Events as bytes, both forms of CloudEvents 1.0: a structured JSON line, and the binary mode of a
Kafka record.
"""

from datetime import UTC

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.exceptions import BaseCloudEventException
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from .event import Event, EventError
from .event_types import EVENT_TYPES

REPLAY = "replayof"  # the one extension attribute: the id of the event that this one repeats
_JSON = JSONFormat()
_BAD = (BaseCloudEventException, ValueError, TypeError, KeyError, AttributeError)


def to_line(event: Event) -> str:
    """One JSON object with id, type, source, subject, time, data, specversion; no newline."""
    return _JSON.write(_cloud_event(event)).decode()


def from_line(line: str | bytes) -> Event:
    """The inverse of `to_line`.

    Raises:
        EventError: not a cytostream event.
    """
    try:
        return _event(_JSON.read(CloudEvent, line))
    except _BAD as error:
        raise EventError(
            f"not an event: {error}", "the line is torn, or another program wrote it"
        ) from error


def to_record(event: Event) -> tuple[bytes, list[tuple[str, bytes]], bytes]:
    """Key (the subject), headers (`ce_id`, ..., `content-type`) and JSON value of a Kafka
    record.
    """
    message = to_binary(_cloud_event(event), _JSON, lambda _: event.subject)
    return event.subject.encode(), list(message.headers.items()), message.value


def from_record(headers: list[tuple[str, bytes]], value: bytes) -> Event:
    """The inverse of `to_record`.

    Raises:
        EventError: not a cytostream event.
    """
    try:
        return _event(from_binary(KafkaMessage(dict(headers), None, value), _JSON, CloudEvent))
    except _BAD as error:
        raise EventError(
            f"not an event: {error}", "another program writes to this topic"
        ) from error


def _cloud_event(event: Event) -> CloudEvent:
    attributes = {
        name: getattr(event, name) for name in ("id", "type", "source", "subject", "time")
    }
    marked = {REPLAY: event.replay_of} if event.replay_of else {}
    return CloudEvent({**attributes, "datacontenttype": "application/json", **marked}, event.data)


def _event(cloud: BaseCloudEvent) -> Event:
    data = cloud.get_data()
    kind = cloud.get_type()
    if kind not in EVENT_TYPES or not isinstance(data, dict):
        raise ValueError(f"type {kind!r} with {type(data).__name__} data")
    at = cloud.get_time()
    subject = cloud.get_subject()
    if at is None or subject is None:
        raise ValueError("no time or no subject")
    return Event(
        cloud.get_id(),
        kind,
        cloud.get_source(),
        subject,
        at.astimezone(UTC),
        data,
        cloud.get_extension(REPLAY),
    )
