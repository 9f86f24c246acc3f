import pytest
from sink_contract import RefusalContract, SinkContract

from stream.sinks.sink import MemorySink


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
