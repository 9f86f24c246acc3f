"""What a relay does, step by step, without a thread: what it asks of outbox and sink, what it says
of it, and how it ends.
"""

import logging
import threading

import pytest

from ingest import StoreError
from stream.sinks import relay as relay_module
from stream.sinks.relay import Relay, send_batch, step_back
from stream.sinks.sink import EventRefusedError, MemorySink, SinkError, SinkFencedError
from tests.stream.making import make_events


class KnownSink(MemorySink):
    """Knows how far it is, and writes down what it is asked; `faults` are raised in order."""

    def __init__(self, place=None, faults=()):
        super().__init__([])
        self.name, self.at, self.faults, self.asked = "known", place, list(faults), []

    def place(self):
        self.asked.append("place")
        return self.at

    def send(self, batch):
        self.asked.append(f"send {[record.seq for record in batch]}")
        if self.faults and (fault := self.faults.pop(0)):
            raise fault
        super().send(batch)

    def close(self):
        self.asked.append("close")


@pytest.fixture
def five(add, caplog):
    caplog.set_level(logging.INFO, "stream")
    events = make_events(5)
    add(events)
    return events


def logged(caplog):
    return [
        (one.getMessage(), one.__dict__.get("sink"), one.__dict__.get("count"))
        for one in caplog.records
    ]


def test_a_batch_is_sent_marked_and_told_of(outbox, five, caplog):
    sink = KnownSink()
    assert [send_batch(outbox, sink, 3) for _ in range(3)] == [3, 2, 0]
    assert sink.asked == ["send [1, 2, 3]", "send [4, 5]"] and sink.delivered == five
    assert logged(caplog) == [("sent 3 events", "known", 3), ("sent 2 events", "known", 2)]
    assert [one.event_id for one in caplog.records] == [five[2].id, five[4].id]
    assert outbox.sent("known") == 5


def test_a_refused_event_is_put_aside_and_nothing_is_marked(outbox, five, caplog):
    sink = KnownSink(faults=[EventRefusedError(2, "too large")])
    assert send_batch(outbox, sink, 3) == 1
    assert (outbox.sent("known"), logged(caplog)) == (0, [])
    assert [(one.event, one.reason) for one in outbox.refused("known")] == [(five[1], "too large")]
    assert [one.seq for one in outbox.unsent("known", 9)] == [1, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("sent", "place", "again"),
    [(0, 0, 0), (4, None, 0), (4, 4, 0), (4, 5, 0), (4, 3, 1), (4, 0, 4)],
)
def test_a_target_that_has_lost_some_gets_them_again(outbox, five, caplog, sent, place, again):
    if sent:
        outbox.mark_sent("known", sent)
    sink = KnownSink(place)
    assert step_back(outbox, sink) == again
    assert sink.asked == (["place"] if sent else [])
    assert outbox.sent("known") == (place if again else sent)
    said = f"known may have lost some of {again} events; what is not there is sent again"
    assert logged(caplog) == ([(said, None, None)] if again else [])


def test_a_gap_that_the_sink_refuses_is_not_gone_through_again(outbox, five, caplog):
    """Nothing waits behind the place: then nothing is said, though it is marked."""
    outbox.mark_sent("known", 5)
    outbox.put_aside("known", 5, "too large")
    outbox.mark_sent("known", 6)
    outbox.put_aside("known", 6, "too large")
    assert step_back(outbox, KnownSink(4)) == 0
    assert (outbox.sent("known"), logged(caplog)) == (4, [])


class Steps:
    """A relay that is led by hand; `waits` are those for further events."""

    def __init__(self, outbox, sink, monkeypatch, **settings):
        self.waits = []
        self.relay = Relay(outbox, sink, **settings)
        monkeypatch.setattr(self.relay._more, "wait", self.waits.append)

    def pauses(self, *before):
        return [self.relay._next_pause(pause_s) for pause_s in before]


@pytest.fixture
def led(outbox, monkeypatch):
    def led(sink, **settings):
        return Steps(outbox, sink, monkeypatch, **settings)

    return led


def test_it_asks_the_place_once_then_sends_until_nothing_waits(led, five):
    sink = KnownSink(0)
    one = led(sink, batch=4)
    told = []
    one.relay._tell = lambda: told.append(one.relay.moved)
    assert not one.relay.ready.is_set()
    assert one.pauses(0, 0, 0, 0) == [0.0] * 4 and told == [4, 5, 5, 5]
    assert sink.asked == ["send [1, 2, 3, 4]", "send [5]"] and one.relay.moved == 5
    assert one.waits == [0.2, 0.2]
    assert one.relay.ready.is_set() and one.relay.trouble is None


def test_it_does_not_wait_for_more_where_it_is_to_end(led, five):
    one = led(KnownSink())
    one.relay._stopping.set()
    assert one.pauses(0, 0) == [0.0, 0.0] and one.waits == []


def test_after_an_error_it_pauses_longer_and_asks_for_the_place_again(led, five, outbox):
    sink = KnownSink(2, [SinkError("down", "start it"), StoreError("disk full"), SinkError("down")])
    outbox.mark_sent("known", 3)
    one = led(sink)
    assert one.pauses(0.0) == [0.1] and str(one.relay.trouble) == "down (start it)"
    assert one.pauses(0.1, 4.0) == [0.2, 5.0] and one.relay.moved == 0
    outbox.mark_sent("known", 3)
    assert one.pauses(3.0) == [0.0] and one.relay.trouble is None and one.relay.moved == 3
    assert sink.asked == ["place", "send [3, 4, 5]"] * 4 and one.waits == []


def test_without_the_lease_it_stands_by_and_gives_the_sink_back(led, five, outbox, monkeypatch):
    sink = KnownSink(0)
    one = led(sink)
    monkeypatch.setattr(outbox.leases, "take", lambda name: False)
    assert one.pauses(0) == [0.0] and one.relay.ready.is_set()
    assert (sink.asked, one.waits, one.relay.moved) == ([], [0.2], 0)
    monkeypatch.undo()
    monkeypatch.setattr(one.relay._more, "wait", one.waits.append)
    assert one.pauses(0) == [0.0]
    taken = []
    monkeypatch.setattr(outbox.leases, "take", lambda name: bool(taken.append(name)))
    assert one.pauses(0, 0) == [0.0, 0.0]
    assert sink.asked == ["send [1, 2, 3, 4, 5]", "close"] and taken == ["relay known"] * 2
    outbox.mark_sent("known", 5)
    monkeypatch.undo()
    monkeypatch.setattr(one.relay._more, "wait", one.waits.append)
    assert one.pauses(0) == [0.0] and sink.asked[-2:] == ["place", "send [1, 2, 3, 4, 5]"]


@pytest.mark.parametrize("holds", [True, False])
def test_a_sink_that_another_has_taken_over_ends_only_who_still_relays(
    led, five, outbox, monkeypatch, holds
):
    one = led(KnownSink(faults=[SinkFencedError("taken over", "stop")]))
    monkeypatch.setattr(outbox.leases, "holds", lambda name: holds and name == "relay known")
    if holds:
        with pytest.raises(SinkFencedError):
            one.pauses(0)
    else:
        assert one.pauses(3.0) == [0.1]
    assert one.relay.trouble is None


def test_a_pause_is_a_little_shorter_by_chance_and_the_look_comes_after_the_flag(
    led, five, monkeypatch
):
    """A commit between the look and the wait leaves the flag set."""
    asked, seen = [], []
    monkeypatch.setattr(
        relay_module.random, "uniform", lambda low, high: asked.append((low, high)) or low
    )
    one = led(KnownSink())
    looks = iter([3.0, 5.0, 0.0])

    def next_pause(pause_s):
        seen.append((pause_s, one.relay._more.is_set()))
        one.relay._more.set()
        return next(looks)

    waits = []
    one.relay._next_pause = next_pause
    one.relay._stopping.wait = lambda seconds: waits.append(seconds) or len(waits) > 3
    one.relay._run()
    assert asked == [(0.7, 1.0)] * 4
    assert waits == pytest.approx([0.0, 2.1, 3.5, 0.0])
    assert seen == [(0.0, False), (3.0, False), (5.0, False)]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SinkFencedError("taken over", "stop"), "taken over (stop)"),
        (
            ZeroDivisionError("by zero"),
            "the relay stopped: ZeroDivisionError: by zero (the events wait in the store)",
        ),
    ],
)
def test_its_end_is_never_unheard(led, five, error, said):
    one, heard = led(KnownSink()), []

    def fail(_):
        raise error

    one.relay._next_pause = fail
    one.relay._tell = lambda: heard.append(str(one.relay.trouble))
    one.relay._run()
    assert heard == [said]


class Thread:
    """Stands for the thread of a relay: it ends with so many joins."""

    def __init__(self, joins):
        self.left, self.waited = joins, []

    def is_alive(self):
        return self.left > 0

    def join(self, timeout_s):
        self.waited.append(timeout_s)
        self.left -= 1


@pytest.mark.parametrize(("joins", "ended", "waited"), [(0, True, []), (1, True, [30.0])])
def test_the_end_closes_the_sink_and_gives_the_lease_back(led, outbox, joins, ended, waited):
    sink = KnownSink()
    one = led(sink).relay
    outbox.leases.take("relay known")
    one._thread = Thread(joins)
    assert one.stop() is ended and one._thread.waited == waited
    assert sink.asked == ["close"] and outbox.leases.holder("relay known") is None
    assert one._stopping.is_set() and one._more.is_set()


def test_a_batch_that_takes_too_long_keeps_sink_and_lease(led, outbox):
    sink = KnownSink()
    one = led(sink).relay
    outbox.leases.take("relay known")
    one._thread = Thread(2)
    assert one.stop(0.5) is False and one._thread.waited == [0.5]
    assert sink.asked == [] and outbox.leases.holder("relay known")


def test_a_full_disk_does_not_hinder_the_end(led, outbox, monkeypatch):
    def full(name):
        raise StoreError("disk full")

    monkeypatch.setattr(outbox.leases, "give", full)
    assert led(KnownSink()).relay.stop() is True


def test_waiting_for_the_rest_ends_with_it_with_the_thread_or_with_the_time(led, five, outbox):
    one = led(KnownSink()).relay
    asked = []

    class Progress(threading.Condition):
        def wait_for(self, is_over, timeout_s):
            asked.append((is_over(), timeout_s))

    one._progress = Progress()
    one._thread = Thread(1)
    assert one.drain(7.0) == 5
    one._thread = Thread(0)
    assert one.drain(7.0) == 5
    one._thread = Thread(1)
    outbox.mark_sent("known", 5)
    assert one.drain(0.5) == 0
    assert asked == [(False, 7.0), (True, 7.0), (True, 0.5)]


def test_a_commit_wakes_it_and_its_thread_ends_with_the_process(led, add, five):
    one = led(KnownSink()).relay
    assert not one._more.is_set() and one.moved == 0
    add(make_events(1))
    assert one._more.is_set()
    assert one._thread.daemon and one._thread.name == "relay" and one.name == "known"
    with one as started:
        assert started is one and one._thread.is_alive()
    assert not one._thread.is_alive() and one._sink.asked[-1] == "close"
