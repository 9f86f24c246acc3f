import pytest

from stream.config import Kafka
from stream.kafka.consumer import read_all
from stream.kafka.sink import KafkaSink
from stream.sinks.sink import SinkError, SinkFencedError
from stream.store.outbox_record import OutboxRecord
from tests.contracts.kafka_contract import KafkaContract, kafka_sinks, own_topics
from tests.contracts.sink_contract import make_event, records

pytestmark = pytest.mark.broker


@pytest.fixture
def config(broker):
    return Kafka(bootstrap=broker.bootstrap, topics=own_topics(), linger_ms=0, answer_s=5)


@pytest.fixture
def open_sink(config):
    with kafka_sinks(config) as open_one:
        yield open_one


@pytest.fixture
def received(config):
    return lambda: list(read_all(config))


class TestKafkaSink(KafkaContract):
    pass


def test_two_stores_send_side_by_side(open_sink, received):
    first, second = open_sink("a"), open_sink("b")
    for sink, slide in ((first, "s1"), (second, "s2")):
        sink.send([OutboxRecord.of(1, make_event(1, slide))])
    assert {event.id for event in received()} == {"s1-e1", "s2-e1"}


def test_what_a_dead_relay_had_begun_is_not_seen(open_sink, received, monkeypatch):
    old = open_sink()
    old.send(records(1, 1))
    monkeypatch.setattr(old._producer, "commit_transaction", lambda: None)
    old.send(records(2, 3))
    open_sink().send(records(2, 4))
    assert [event.data["number"] for event in received()] == [1, 2, 3, 4]


def test_a_copied_store_does_not_send(open_sink, received):
    open_sink().send(records(1, 3))
    with pytest.raises(SinkFencedError, match="copy"):
        open_sink().send([OutboxRecord.of(3, make_event(33)), OutboxRecord.of(4, make_event(44))])
    assert len(received()) == 3


def test_many_slides_keep_their_order(open_sink, received):
    batch = [
        OutboxRecord.of(number, make_event(number, f"s{number % 3}")) for number in range(1, 400)
    ]
    open_sink().send(batch)
    events = received()
    for slide in ("s0", "s1", "s2"):
        numbers = [event.data["number"] for event in events if event.subject == slide]
        assert numbers == sorted(numbers) and len(numbers) == 133


def test_an_absent_broker_is_one_line_with_what_to_do():
    sink = KafkaSink(Kafka(bootstrap="127.0.0.1:1", answer_s=0.5), "s")
    with pytest.raises(SinkError, match="127.0.0.1:1.*is the broker up") as failed:
        sink.send(records(1, 1))
    assert "\n" not in str(failed.value)


def test_a_wrong_setting_is_one_line(broker):
    unchecked = {"security": {"no_such_key": "x"}}  # the configuration refuses it where it is read
    sink = KafkaSink(Kafka(bootstrap=broker.bootstrap).model_copy(update=unchecked), "s")
    with pytest.raises(SinkError, match=r"no_such_key.*check \[kafka\]"):
        sink.send(records(1, 1))
