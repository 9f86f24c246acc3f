"""An event as it waits in the outbox."""

from dataclasses import dataclass

from stream.events import EVENT_TYPES, Event, from_record, to_record


@dataclass(frozen=True, slots=True)
class OutboxRecord:
    """An event as a Kafka record, encoded once, and its place in the outbox; `seq` grows
    strictly.
    """

    seq: int
    id: str
    type: str
    key: bytes
    headers: list[tuple[str, bytes]]
    value: bytes

    @classmethod
    def of(cls, seq: int, event: Event) -> "OutboxRecord":
        return cls(seq, event.id, event.type, *to_record(event))

    @property
    def kind(self) -> str:
        return EVENT_TYPES[self.type].topic

    @property
    def event(self) -> Event:
        return from_record(self.headers, self.value)
