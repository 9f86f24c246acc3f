"""The sink on Apache Kafka itself, where its jars are (`tests/apache_kafka.py`)."""

import pytest

from stream.config import Kafka
from stream.kafka.consumer import read_all
from tests.apache_kafka import why_no_kafka
from tests.contracts.kafka_contract import KafkaContract, kafka_sinks, own_topics

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(400),  # a start on a busy machine
    pytest.mark.skipif(bool(why_no_kafka()), reason=why_no_kafka()),
]


@pytest.fixture
def config(apache):
    return Kafka(
        bootstrap=apache.bootstrap, topics=own_topics(), linger_ms=0, answer_s=60, read_back=False
    )


@pytest.fixture
def open_sink(config):
    with kafka_sinks(config) as open_one:
        yield open_one


@pytest.fixture
def received(config):
    return lambda: list(read_all(config))


class TestApacheKafkaSink(KafkaContract):
    pass
