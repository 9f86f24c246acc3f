"""The relay against sinks that fail as told."""

import threading
from functools import partial

import pytest

from ingest import StoreError
from stream.events.codec import from_line
from stream.sinks.relay import Relay, send_batch
from stream.sinks.sink import EventRefusedError, MemorySink, SinkError, SinkFencedError
from tests.stream.making import make_events
from tests.stream.sending import open_jsonl, send_all, send_killed

WAIT_S = 10.0


class FailingSink(MemorySink):
    """Raises the scripted errors, one a `send`, then delivers; `tried` after each failure."""

    def __init__(self, errors, delivered=None):
        super().__init__([] if delivered is None else delivered)
        self.errors = iter(errors)
        self.tried = threading.Event()
        self.closed = False

    def send(self, batch):
        if error := next(self.errors, None):
            self.tried.set()
            raise error(batch) if callable(error) else error
        super().send(batch)

    def close(self):
        self.closed = True


@pytest.fixture
def start(outbox):
    relays = []

    def start(sink, **settings):
        relays.append(Relay(outbox, sink, **settings).start())
        return relays[-1]

    yield start
    for relay in relays:
        assert relay.stop(WAIT_S)


def test_events_of_before_and_after_the_start_arrive_in_order(start, add):
    sink, events = MemorySink([]), make_events(25)
    add(events[:10])
    relay = start(sink, batch=4)
    assert relay.drain(WAIT_S) == 0
    for event in events[10:]:
        add([event])
    assert relay.drain(WAIT_S) == 0
    assert sink.delivered == events
    assert relay.moved == 25


def test_a_sink_that_fails_delays_and_loses_nothing(start, add, monkeypatch):
    monkeypatch.setattr("stream.sinks.relay._FIRST_PAUSE_S", 0.001)
    sink, events = FailingSink([SinkError("down")] * 5), make_events(10)
    add(events)
    relay = start(sink, batch=3)
    assert relay.drain(WAIT_S) == 0
    assert sink.delivered == events
    assert relay.trouble is None


def test_drain_says_what_is_left(start, add):
    sink = FailingSink([SinkError("down", "start it")] * 1000)
    add(make_events(7))
    relay = start(sink)
    assert sink.tried.wait(WAIT_S)
    assert relay.drain(0.05) == 7
    assert str(relay.trouble) == "down (start it)"


def test_a_refused_event_does_not_hold_up_the_rest(start, add, outbox):
    sink, events = (
        FailingSink([lambda batch: EventRefusedError(batch[2].seq, "too large")]),
        make_events(6),
    )
    add(events)
    relay = start(sink)
    assert relay.drain(WAIT_S) == 0
    *delivered, letter = sink.delivered
    assert delivered == events[:2] + events[3:]
    assert letter.payload().event_id == events[2].id
    assert [(row.event, row.reason) for row in outbox.refused(sink.name)] == [
        (events[2], "too large")
    ]


def test_a_refused_last_event_does_not_come_back(start, add, outbox):
    sink = FailingSink([lambda batch: EventRefusedError(batch[-1].seq, "too large")])
    add(make_events(1))
    assert start(sink).drain(WAIT_S) == 0
    assert [event.kind for event in sink.delivered] == ["dead"]


def test_a_fenced_relay_stops_and_keeps_the_events(start, add):
    sink = FailingSink([SinkFencedError("taken over")])
    add(make_events(3))
    relay = start(sink)
    assert relay.drain(WAIT_S) == 3
    assert isinstance(relay.trouble, SinkFencedError)


def test_a_crash_between_send_and_mark_sends_nothing_twice(outbox, add, monkeypatch):
    sink, events = MemorySink([]), make_events(5)
    add(events)

    def crash(*_):
        raise StoreError("power cut")

    with monkeypatch.context() as patched, pytest.raises(StoreError):
        patched.setattr(outbox, "mark_sent", crash)
        send_batch(outbox, sink, 3)
    assert outbox.count_unsent(sink.name) == 5
    while send_batch(outbox, sink, 2):
        pass
    assert sink.delivered == events


def test_a_process_killed_while_it_writes_a_file_leaves_each_event_once(outbox, add, tmp_path):
    events, path = make_events(2000), tmp_path / "events.jsonl"
    add(events)
    send_killed(outbox.path, partial(open_jsonl, path), kills=6, longest_s=0.1)
    send_all(outbox.path, partial(open_jsonl, path))
    assert [from_line(line) for line in path.read_text().splitlines()] == events


def test_stop_ends_at_once_and_closes_the_sink(start):
    sink = FailingSink([])
    relay = start(sink)
    relay.drain(WAIT_S)
    assert relay.stop(WAIT_S)
    assert sink.closed


def test_stop_does_not_wait_for_a_long_pause(start, add, monkeypatch):
    monkeypatch.setattr("stream.sinks.relay._FIRST_PAUSE_S", 60.0)
    monkeypatch.setattr("stream.sinks.relay._LONGEST_PAUSE_S", 60.0)
    sink = FailingSink([SinkError("down")] * 9)
    add(make_events(1))
    relay = start(sink)
    assert sink.tried.wait(WAIT_S)
    assert relay.stop(WAIT_S)
    assert relay.drain(WAIT_S) == 1


def test_two_sinks_each_get_everything(start, add):
    first, second, events = MemorySink([]), MemorySink([]), make_events(9)
    add(events)
    assert [start(sink).drain(WAIT_S) for sink in (first, second)] == [0, 0]
    assert first.delivered == second.delivered == events
