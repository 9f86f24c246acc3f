import numpy as np
import pytest

from classify import EngineError, load_model, open_engine
from classify.engines.openvino import OpenVinoEngine
from tests.contracts.engine_contract import EngineContract, inputs

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def torch_engine(model):
    pytest.importorskip("torch", reason="the train extra is not installed")
    pytest.importorskip("onnx", reason="the train extra is not installed")
    return open_engine(model, "torch")


class TestTorch(EngineContract):
    @pytest.fixture
    def engine(self, torch_engine):
        return torch_engine

    def test_it_computes_what_openvino_does(self, engine, model):
        given, fast = inputs(model, 5), OpenVinoEngine(model, "f32")
        np.testing.assert_allclose(engine.errors(*given), fast.errors(*given), rtol=1e-4)
        np.testing.assert_allclose(engine.denoised(*given), fast.denoised(*given), atol=1e-4)

    def test_it_is_fp32_only(self, engine, model):
        with pytest.raises(EngineError, match="no bf16"):
            open_engine(model, "torch", "bf16")
