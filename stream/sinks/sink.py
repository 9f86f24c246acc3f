"""The seam to whatever takes events: a Sink, what it is handed, and how it refuses."""

from collections.abc import Sequence
from typing import Protocol

from ingest import CytostreamError
from stream.events import Event
from stream.store import OutboxRecord


class SinkError(CytostreamError):
    """The sink cannot take events now; nothing is lost, the same batch may be sent again."""


class SinkFencedError(SinkError):
    """Another process has taken over this sink: stop, do not send again."""


class EventRefusedError(CytostreamError):
    """The sink will never take this one event; send the batch again without it."""

    def __init__(self, seq: int, reason: str):
        self.seq = seq
        self.reason = reason
        super().__init__(f"event {seq} refused: {reason}")

    def __reduce__(self) -> tuple[type["EventRefusedError"], tuple[str | int, ...]]:
        return type(self), (self.seq, self.reason)


class Sink(Protocol):
    """Takes events in order, each once.

    `send` has delivered the whole batch when it returns. Where it raises, the caller sends the same
    batch again, to this sink or, after a crash, to a new one on the same target: what had been
    delivered after all is not delivered twice.
    """

    @property
    def name(self) -> str:
        """The target, the same for every process that sends there."""

    def place(self) -> int | None:
        """The last `seq` that the target has, where it can tell; less than what was sent is a
        target that has lost some.

        Raises:
            SinkError: not now.
        """

    def send(self, batch: Sequence[OutboxRecord]) -> None:
        """Delivers a batch, in ascending `seq`.

        Raises:
            SinkError: not now.
            SinkFencedError: no more.
            EventRefusedError: not this event.
        """

    def close(self) -> None:
        """Gives everything back, until the next `send`; more than once does no harm."""


class MemorySink:
    """A sink for tests: delivers into a list that outlives it, by event id."""

    def __init__(self, delivered: list[Event], max_bytes: int = 1_000_000):
        self.name = f"memory:{id(delivered)}"
        self.delivered = delivered
        self.broken: SinkError | None = None
        self._max_bytes = max_bytes

    def place(self) -> None:
        """A list loses nothing."""

    def send(self, batch: Sequence[OutboxRecord]) -> None:
        if self.broken:
            raise self.broken
        for record in batch:
            if (size := len(record.value)) > self._max_bytes:
                raise EventRefusedError(record.seq, f"{size} bytes, at most {self._max_bytes}")
        there = {event.id for event in self.delivered}
        self.delivered += [record.event for record in batch if record.id not in there]

    def close(self) -> None:
        """Nothing to give back."""
