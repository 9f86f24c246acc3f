"""What every sink does. A test module inherits `SinkContract` and says how to open a sink and what
its target received.
"""

from datetime import UTC, datetime

import pytest

from stream.events.event import Event
from stream.events.event_types import CELL
from stream.sinks.sink import EventRefusedError
from stream.store.outbox_record import OutboxRecord


def make_event(number: int, slide: str = "s1", text: str = "x") -> Event:
    return Event(
        f"{slide}-e{number}",
        CELL,
        "test",
        slide,
        datetime(2026, 1, 2, tzinfo=UTC),
        {"number": number, "text": text},
    )


def records(first: int, last: int) -> list[OutboxRecord]:
    return [OutboxRecord.of(number, make_event(number)) for number in range(first, last + 1)]


class SinkContract:
    """`open_sink` gives a new sink on the same target each time; `received` the events a consumer
    of the target sees.
    """

    def test_delivers_in_order(self, open_sink, received):
        sink = open_sink()
        sink.send(records(1, 3))
        sink.send(records(4, 5))
        assert received() == [make_event(number) for number in range(1, 6)]

    def test_an_empty_batch_is_nothing(self, open_sink, received):
        open_sink().send([])
        assert received() == []

    def test_the_same_batch_again_is_delivered_once(self, open_sink, received):
        sink = open_sink()
        sink.send(records(1, 3))
        sink.send(records(1, 3))
        assert [event.id for event in received()] == ["s1-e1", "s1-e2", "s1-e3"]

    def test_a_new_sink_delivers_only_what_the_old_one_had_not(self, open_sink, received):
        old = open_sink()
        old.send(records(1, 3))
        old.close()
        new = open_sink()
        new.send(records(1, 2))
        new.send(records(3, 5))
        assert [event.data["number"] for event in received()] == [1, 2, 3, 4, 5]

    def test_the_name_is_the_targets(self, open_sink):
        first = open_sink()
        first.close()
        assert open_sink().name == first.name

    def test_close_twice(self, open_sink):
        sink = open_sink()
        sink.close()
        sink.close()


class RefusalContract:
    """For sinks with a size limit of 1 MB an event."""

    def test_a_refused_event_is_named_and_the_rest_goes(self, open_sink, received):
        sink = open_sink()
        big = OutboxRecord.of(2, make_event(2, text="y" * 2_000_000))
        with pytest.raises(EventRefusedError) as refused:
            sink.send([*records(1, 1), big, *records(3, 4)])
        assert refused.value.seq == 2
        sink.send([*records(1, 1), *records(3, 4)])
        assert [event.data["number"] for event in received()] == [1, 3, 4]
