import pytest

from tests.contracts.engine_contract import EngineContract
from tests.make import BrightnessEngine, tiny_model


class TestFakeEngine(EngineContract):
    @pytest.fixture
    def model(self):
        return tiny_model()

    @pytest.fixture
    def engine(self):
        return BrightnessEngine()
