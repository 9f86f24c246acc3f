"""The sink on Apache Kafka itself, where its jars are (`tests/apache_kafka.py`)."""

import uuid

import pytest

from stream.config import Kafka, Topics
from stream.kafka.consumer import read_all
from stream.kafka.sink import KafkaSink
from stream.sinks.sink import SinkFencedError
from tests.apache_kafka import ApacheBroker, why_no_kafka
from tests.contracts.sink_contract import RefusalContract, SinkContract, records

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(400),  # a start on a busy machine
    pytest.mark.skipif(bool(why_no_kafka()), reason=why_no_kafka()),
]


@pytest.fixture(scope="module")
def apache():
    broker = ApacheBroker()
    try:
        yield broker.start()
    finally:
        broker.close()


@pytest.fixture
def config(apache):
    name = uuid.uuid4().hex
    topics = Topics(**{kind: f"{kind}-{name}" for kind in Topics.model_fields})
    return Kafka(
        bootstrap=apache.bootstrap, topics=topics, linger_ms=0, answer_s=60, read_back=False
    )


@pytest.fixture
def open_sink(config):
    sinks = []

    def open_one(store_id="store-1"):
        sinks.append(KafkaSink(config, f"{store_id}-{config.topics.cells}"))
        return sinks[-1]

    yield open_one
    for sink in sinks:
        sink.close()


@pytest.fixture
def received(config):
    return lambda: list(read_all(config))


class TestApacheKafkaSink(SinkContract, RefusalContract):
    pass


def test_a_second_relay_of_the_store_fences_the_first_on_apache_kafka(open_sink, received):
    old, new = open_sink(), open_sink()
    old.send(records(1, 2))
    new.send(records(3, 3))
    with pytest.raises(SinkFencedError, match="another run"):
        old.send(records(4, 4))
    new.send(records(4, 4))
    assert [event.data["number"] for event in received()] == [1, 2, 3, 4]
