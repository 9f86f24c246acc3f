import pytest

from stream.kafka.embedded_broker import Broker


@pytest.fixture(scope="session")
def broker():
    pytest.importorskip("noida_db", reason="the broker extra is not installed")
    with Broker() as running:
        yield running
