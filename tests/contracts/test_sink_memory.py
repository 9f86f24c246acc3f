import pytest

from stream.sinks.sink import MemorySink
from tests.contracts.sink_contract import RefusalContract, SinkContract


class TestMemorySink(SinkContract, RefusalContract):
    @pytest.fixture
    def delivered(self):
        return []

    @pytest.fixture
    def open_sink(self, delivered):
        return lambda: MemorySink(delivered)

    @pytest.fixture
    def received(self, delivered):
        return lambda: delivered
