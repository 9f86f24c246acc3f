"""A broker that forgets: the embedded one drops open transactions on a stop, and what it
acknowledged on a kill.
"""

import pytest

from stream.kafka.consumer import read_all
from stream.kafka.embedded_broker import Broker
from stream.kafka.sink import KafkaSink
from stream.sinks.relay import send_batch, step_back
from stream.sinks.sink import SinkError
from tests.stream.making import make_events

pytestmark = pytest.mark.broker


@pytest.fixture
def own_broker():
    pytest.importorskip("noida_db", reason="the broker extra is not installed")
    with Broker() as broker:
        yield broker


@pytest.mark.parametrize("step", ["put_all", "send_offsets_to_transaction"])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_broker_restarted_within_a_transaction(
    outbox, add, kafka_for, own_broker, monkeypatch, how, step
):
    kafka, events = kafka_for(own_broker, answer_s=1, read_back=True), make_events(10)
    add(events)
    sink = KafkaSink(kafka, outbox.store_id)
    assert send_batch(outbox, sink, 5) == 5
    own_broker.stop()  # these five are on its disk
    own_broker.start()
    sink.close()
    assert send_batch(outbox, sink, 2) == 2
    done = getattr(sink._producer, step)

    def then_restart(*words):
        result = done(*words)
        getattr(own_broker, how)()
        own_broker.start()
        return result

    monkeypatch.setattr(sink._producer, step, then_restart)
    with pytest.raises(SinkError):
        send_batch(outbox, sink, 3)
    again = KafkaSink(kafka, outbox.store_id)
    step_back(outbox, again)
    while send_batch(outbox, again, 4):
        pass
    again.close()
    delivered = list(read_all(kafka))
    assert sorted(event.id for event in delivered) == sorted(event.id for event in events)


def test_without_a_loss_nothing_is_sent_again(outbox, add, kafka_for, session_broker):
    kafka, events = kafka_for(session_broker, read_back=True), make_events(20)
    add(events)
    for batch in (3, 20):
        sink = KafkaSink(kafka, outbox.store_id)
        step_back(outbox, sink)
        send_batch(outbox, sink, batch)
        sink.close()
    assert list(read_all(kafka)) == events


def test_a_broker_that_lost_everything_gets_everything_again(outbox, add, kafka_for, own_broker):
    """Without reading back too: an empty broker, or one whose place is behind, is known as soon as
    it is asked.
    """
    kafka, events = kafka_for(own_broker, answer_s=1), make_events(8)
    add(events)
    first = KafkaSink(kafka, outbox.store_id)
    send_batch(outbox, first, 8)
    own_broker.kill()
    own_broker.start()
    second = KafkaSink(kafka, outbox.store_id)
    assert step_back(outbox, second) == 8
    assert send_batch(outbox, second, 8) == 8
    assert list(read_all(kafka)) == events
    first.close()
    second.close()
