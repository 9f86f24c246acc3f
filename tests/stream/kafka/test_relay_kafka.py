"""The relay against a real broker, with everything killed in turn."""

import threading
from collections import Counter
from functools import partial

import pytest

from stream.kafka.consumer import follow, read_all
from stream.kafka.embedded_broker import Broker
from stream.kafka.sink import KafkaSink
from stream.sinks.relay import Relay, send_batch
from tests.stream.making import make_events
from tests.stream.sending import WAIT_S, open_kafka, send_all, send_killed

pytestmark = pytest.mark.broker
ANSWER_S = 60  # of Apache Kafka on a busy machine


@pytest.fixture
def own_broker():
    """A broker to stop and kill."""
    pytest.importorskip("noida_db", reason="the broker extra is not installed")
    broker = Broker()
    yield broker
    broker.close()


@pytest.fixture(params=["session_broker", "apache"])
def broker(request):
    """The embedded one, and Apache Kafka where it is."""
    return request.getfixturevalue(request.param)


@pytest.mark.timeout(400)  # Apache Kafka starts with the first of them
def test_a_relay_killed_at_random_points_delivers_each_event_once(outbox, add, kafka_for, broker):
    kafka = kafka_for(broker, answer_s=ANSWER_S)
    events = make_events(3000 if isinstance(broker, Broker) else 600)  # outlast the kills
    add(events)

    open_sink = partial(open_kafka, kafka)
    send_killed(outbox.path, open_sink, kills=5, longest_s=0.1)
    assert 0 < outbox.count_unsent(open_sink(outbox).name) < len(events)
    send_all(outbox.path, open_sink)
    assert list(read_all(kafka)) == events


@pytest.mark.parametrize("after", ["put_all", "send_offsets_to_transaction", "commit_transaction"])
def test_a_relay_that_dies_at_any_step_of_a_transaction(
    outbox, add, kafka_for, broker, monkeypatch, after
):
    kafka, events = kafka_for(broker, answer_s=ANSWER_S), make_events(30)
    add(events)
    first = KafkaSink(kafka, outbox.store_id)
    assert send_batch(outbox, first, 10) == 10
    monkeypatch.setattr(first._producer, after, _then_die(getattr(first._producer, after)))
    with pytest.raises(PowerCut):
        send_batch(outbox, first, 10)
    second = KafkaSink(kafka, outbox.store_id)
    while send_batch(outbox, second, 7):
        pass
    assert list(read_all(kafka)) == events
    first.close()
    second.close()


class PowerCut(BaseException):
    pass


def _then_die(step):
    def step_then_die(*arguments):
        step(*arguments)
        raise PowerCut

    return step_then_die


def test_a_broker_that_comes_late_gets_everything(outbox, add, kafka_for, own_broker):
    kafka, events = kafka_for(own_broker), make_events(50)
    add(events)
    with Relay(outbox, KafkaSink(kafka, outbox.store_id)) as relay:
        assert relay.drain(0.3) == 50
        assert "is the broker up" in str(relay.trouble)
        own_broker.start()
        assert relay.drain(WAIT_S) == 0
    assert list(read_all(kafka)) == events


def test_a_broker_that_goes_away_half_way_and_comes_back(outbox, add, kafka_for, own_broker):
    own_broker.start()
    kafka, events = kafka_for(own_broker, answer_s=1), make_events(60)
    with Relay(outbox, KafkaSink(kafka, outbox.store_id), batch=10) as relay:
        add(events[:30])
        assert relay.drain(WAIT_S) == 0
        own_broker.stop()
        add(events[30:])
        assert relay.drain(0.2) == 30
        own_broker.start()
        assert relay.drain(WAIT_S) == 0
    assert list(read_all(kafka)) == events


def test_a_broker_killed_in_the_middle_of_a_transaction_does_not_hang_the_sender(
    outbox, add, kafka_for, own_broker, monkeypatch
):
    own_broker.start()
    kafka = kafka_for(own_broker, answer_s=1)
    sink = KafkaSink(kafka, outbox.store_id)
    add(make_events(10))
    send_batch(outbox, sink, 5)
    offsets = sink._producer.send_offsets_to_transaction
    monkeypatch.setattr(
        sink._producer, "send_offsets_to_transaction", lambda *a: (offsets(*a), own_broker.kill())
    )
    threads = threading.active_count()
    with pytest.raises(Exception, match="coordinator does not answer.*is the broker up"):
        send_batch(outbox, sink, 5)
    assert outbox.count_unsent(sink.name) == 5
    assert threading.active_count() < threads


def test_follow_gives_events_as_they_come(outbox, add, kafka_for, session_broker):
    kafka, events, stop = kafka_for(session_broker), make_events(20), threading.Event()
    seen = []
    with Relay(outbox, KafkaSink(kafka, outbox.store_id)) as relay:
        add(events[:5])
        assert relay.drain(WAIT_S) == 0
        for event in follow(kafka, ["cells"], from_beginning=True, stop=stop):
            seen.append(event)
            if len(seen) == 5:
                add(events[5:])
            if len(seen) == 20:
                stop.set()
    assert Counter(event.id for event in seen) == Counter(event.id for event in events)


def test_what_another_program_wrote_is_skipped(kafka_for, session_broker, caplog):
    from kafka import KafkaProducer

    kafka = kafka_for(session_broker)
    KafkaSink(kafka, "s").send([])
    with KafkaProducer(bootstrap_servers=kafka.bootstrap) as other:
        other.send(kafka.topics.cells, b"hello").get(WAIT_S)
    assert list(read_all(kafka)) == []
    assert "another program" in caplog.text
