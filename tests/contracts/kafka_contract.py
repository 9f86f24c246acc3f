"""What the Kafka sink does on every broker that it is tested against."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from stream.config import Kafka, Topics
from stream.kafka.sink import KafkaSink
from stream.sinks.sink import SinkFencedError
from tests.contracts.sink_contract import RefusalContract, SinkContract, records


def own_topics() -> Topics:
    """Topics that no other test has."""
    name = uuid.uuid4().hex
    return Topics(**{kind: f"{kind}-{name}" for kind in Topics.model_fields})


@contextmanager
def kafka_sinks(config: Kafka) -> Iterator[Callable[..., KafkaSink]]:
    """What opens sinks of stores by name, which are closed at the end."""
    with ExitStack() as stack:

        def open_one(store_id="store-1"):
            sink = KafkaSink(config, f"{store_id}-{config.topics.cells}")
            stack.callback(sink.close)
            return sink

        yield open_one


class KafkaContract(SinkContract, RefusalContract):
    def test_a_second_relay_of_the_store_fences_the_first(self, open_sink, received):
        old, new = open_sink(), open_sink()
        old.send(records(1, 2))
        new.send(records(3, 3))
        with pytest.raises(SinkFencedError, match="another run"):
            old.send(records(4, 4))
        new.send(records(4, 4))
        assert [event.data["number"] for event in received()] == [1, 2, 3, 4]
