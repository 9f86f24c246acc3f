"""The torch-CUDA engine: on the CPU, where its passes are not recorded, and on a GPU where there
is one.
"""

from dataclasses import replace

import numpy as np
import pytest

from classify import EngineError, load_model
from classify.engines import draw_errors_and_features
from classify.engines.openvino import OpenVinoEngine
from tests.contracts.engine_contract import EngineContract, inputs
from tests.make import tiny_model

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("onnx", reason="the train extra is not installed")

from classify.engines.torch_cuda import TorchCudaEngine, open_on_gpu  # noqa: E402
from classify.network import Denoiser, NetworkConfig  # noqa: E402

pytestmark = pytest.mark.train


def small_net(model):
    torch.manual_seed(0)
    shape = NetworkConfig(classes=3, image_px=16, channels=(16, 32), blocks=(1, 1))
    net = Denoiser(shape)
    torch.nn.init.normal_(net.heads.weight, std=0.1)
    return net


class DrawContract(EngineContract):
    def test_draws_by_their_number(self, engine, model):
        """The noise on the device, and 8-bit levels in place of pixels, change nothing."""
        rng = np.random.default_rng(3)
        draws = rng.integers(0, len(model.sigma), 5)
        levels = rng.integers(0, 256, (5, *model.noise.shape[1:]))
        images = (levels / 127.5 - 1).astype(np.float32)
        by_number = draw_errors_and_features(engine, model, images, draws)
        given = engine.errors_and_features(images, model.noise[draws], model.sigma[draws])
        tolerance = 1e-5 if engine.precision == "f32" else 2e-2
        np.testing.assert_allclose(by_number[0], given[0], rtol=tolerance)
        np.testing.assert_allclose(by_number[1], given[1], rtol=tolerance, atol=tolerance)


@pytest.fixture
def one_thread():
    """A small net is no quicker on more, and much slower where they wait for a core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[16, 96], ids=["levels", "resampled"])
def small_model(request, monkeypatch, one_thread):
    """Of a small net, which sees a crop's own pixels, or resampled ones."""
    monkeypatch.setattr("classify.engines.torch_cuda.released", small_net)
    model = tiny_model()
    card = model.card.model_copy(update={"window_px": request.param, "feature_count": 32})
    return replace(model, card=card)


@pytest.fixture(scope="module")
def shipped():
    return load_model()


@pytest.fixture(scope="module", params=["f32", None])
def on_gpu(request, shipped):
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    return open_on_gpu(shipped, request.param)


class TestOnTheCpu(DrawContract):
    @pytest.fixture
    def model(self, small_model):
        return small_model

    @pytest.fixture
    def engine(self, small_model):
        return TorchCudaEngine(small_model, batch=8, device="cpu")

    def test_it_computes_what_the_net_does(self, engine, model):
        given = inputs(model, 11)
        with torch.inference_mode():
            errors = small_net(model).eval().errors(*map(torch.from_numpy, given))
        np.testing.assert_allclose(engine.errors(*given), errors.numpy(), rtol=1e-5)

    def test_a_fault_of_torch_is_one_line(self, engine, monkeypatch):
        def broken(*_):
            raise RuntimeError("CUDA error: out of memory\nmany more lines")

        monkeypatch.setattr(engine, "judged_draws", broken)
        monkeypatch.setattr(engine, "passes", {})
        with pytest.raises(EngineError, match="out of memory") as failed:
            engine.draw_errors_and_features(np.zeros_like(engine.model.noise[:1]), np.zeros(1, int))
        assert "\n" not in str(failed.value.what)


class TestOnAGpu(DrawContract):
    @pytest.fixture
    def model(self, shipped):
        return shipped

    @pytest.fixture
    def engine(self, on_gpu):
        return on_gpu

    def test_it_agrees_with_fp32(self, engine, model):
        given = inputs(model, 32)
        reference = OpenVinoEngine(model, "f32").errors(*given)
        np.testing.assert_allclose(engine.errors(*given), reference, rtol=2e-2)

    def test_two_buffers_keep_the_batches_apart(self, engine, model):
        given = inputs(model, 5 * engine.batch + 3)
        whole = engine.errors(*given)
        for start in range(0, len(whole), engine.batch):
            part = engine.errors(*(x[start : start + engine.batch] for x in given))
            np.testing.assert_array_equal(part, whole[start : start + engine.batch])
