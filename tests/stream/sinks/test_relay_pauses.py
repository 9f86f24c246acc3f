"""How long a relay waits before it asks an absent sink again, by a clock that does not run."""

import pytest

from stream.sinks.relay import Relay
from stream.sinks.sink import MemorySink, SinkError


class Clock:
    """Stands for the event that ends the relay: notes each wait, and ends it after some."""

    def __init__(self, rounds):
        self.waits, self.rounds = [], rounds

    def wait(self, seconds):
        self.waits.append(seconds)
        return len(self.waits) > self.rounds

    def is_set(self):
        return len(self.waits) > self.rounds

    def set(self):
        self.rounds = 0


class AbsentSink(MemorySink):
    """Takes nothing for the first tries."""

    def __init__(self, tries):
        super().__init__([])
        self.tries = tries

    def send(self, batch):
        self.tries -= 1
        if self.tries >= 0:
            raise SinkError("no broker", "start it")
        super().send(batch)


@pytest.fixture
def pauses(outbox, add, monkeypatch):
    """The waits of a relay whose sink is absent for so many tries."""
    monkeypatch.setattr("stream.sinks.relay.random.uniform", lambda low, high: high)

    def pauses(tries, rounds):
        from tests.stream.making import make_events

        add(make_events(2))
        relay = Relay(outbox, AbsentSink(tries))
        relay._more.wait = lambda seconds: None
        relay._stopping = Clock(rounds)
        relay._run()
        return relay._stopping.waits, relay

    return pauses


def test_pauses_double_up_to_a_limit(pauses):
    waits, relay = pauses(tries=99, rounds=9)
    assert waits == pytest.approx([0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0])
    assert "no broker" in str(relay.trouble)


def test_a_sink_that_is_back_is_asked_without_a_pause(pauses):
    waits, relay = pauses(tries=3, rounds=6)
    assert waits == pytest.approx([0, 0.1, 0.2, 0.4, 0, 0, 0])
    assert relay.trouble is None and relay.moved == 2
