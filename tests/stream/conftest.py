import uuid

import pytest

from stream.config import Kafka, Topics
from stream.kafka.embedded_broker import Broker
from stream.store.outbox import Outbox


@pytest.fixture
def outbox(tmp_path):
    with Outbox(tmp_path / "store" / "state.db") as outbox:
        yield outbox


@pytest.fixture
def add(outbox):
    def add(events):
        with outbox.transaction() as tx:
            tx.add(events)

    return add


@pytest.fixture(scope="session")
def session_broker():
    pytest.importorskip("noida_db", reason="the broker extra is not installed")
    with Broker() as running:
        yield running


@pytest.fixture
def kafka_for():
    """The config of a broker, with topics of the test's own."""

    def kafka_for(broker, **settings):
        name = uuid.uuid4().hex
        topics = Topics(**{kind: f"{kind}-{name}" for kind in Topics.model_fields})
        return Kafka(
            bootstrap=broker.bootstrap, topics=topics, **{"linger_ms": 0, "answer_s": 5, **settings}
        )

    return kafka_for
