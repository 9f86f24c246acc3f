"""The TensorRT engine: on an emulated GPU wherever onnx is, on a real one where there is one."""

from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from classify import EngineError, load_model
from classify.engines.cuda import Device, open_device
from classify.engines.openvino import OpenVinoEngine
from classify.engines.plan_cache import PlanStore
from classify.engines.tensorrt import TensorRtEngine, tensorrt_precision
from classify.engines.tensorrt_library import TensorRtLibrary, open_library
from tests.contracts.emulated_gpu import EmulatedCuda, EmulatedLibrary
from tests.contracts.engine_contract import EngineContract, inputs


@pytest.fixture
def model(tmp_path):
    pytest.importorskip(
        "onnx", reason="onnx is not installed (the rtx, tensorrt and train extras have it)"
    )
    from tests.tiny_graph import tiny_model_with_graph

    return tiny_model_with_graph(tmp_path / "model")


@pytest.fixture
def cuda():
    return EmulatedCuda()


@pytest.fixture
def told():
    return []


@pytest.fixture
def opened(model, cuda, tmp_path, told):
    def open_one(library=None, precision="f32", batch=8):
        store = PlanStore(tmp_path / "plans", tell=told.append)
        device = Device(cuda, "Emulated", "sm_89", number=1, driver=13020)
        return TensorRtEngine(
            model, library or EmulatedLibrary(cuda), device, store, precision, batch
        )

    return open_one


class TestOnAnEmulatedGpu(EngineContract):
    @pytest.fixture(params=["f32", "f16", "bf16"])
    def engine(self, opened, request):
        return opened(precision=request.param)

    def test_it_computes_what_openvino_does(self, engine, model):
        given = inputs(model, 11)
        reference = OpenVinoEngine(model, "f32")
        tolerance = {"f32": 1e-5, "f16": 2e-3, "bf16": 2e-2}[engine.precision]
        np.testing.assert_allclose(engine.errors(*given), reference.errors(*given), rtol=tolerance)

    def test_one_launch_a_batch(self, engine, model, cuda):
        before = cuda.launches
        engine.errors(*inputs(model, 17))
        assert cuda.launches - before == 3


def test_two_engines_share_a_plan(opened, cuda):
    library = EmulatedLibrary(cuda)
    opened(library), opened(library), opened(library, precision="f16")
    assert library.builds == 2


def test_a_plan_that_the_library_refuses_is_built_again(opened, cuda, told):
    library = EmulatedLibrary(cuda, refusals=1)
    opened(library)
    assert (
        library.builds == 2
        and len(told) == 1
        and "refuses this engine; building it again" in told[0]
    )


def test_a_library_that_refuses_its_own_plan(opened, cuda):
    with pytest.raises(EngineError, match="made for another driver"):
        opened(EmulatedLibrary(cuda, refusals=2))


def test_a_context_that_cannot_be_recorded_is_asked_anew_each_time(opened, model, cuda):
    engine = opened(EmulatedLibrary(cuda, capturable=False))
    reference = OpenVinoEngine(model, "f32")
    given = inputs(model, 17)
    np.testing.assert_allclose(engine.errors(*given), reference.errors(*given), rtol=1e-5)
    assert cuda.launches == 0


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_pass_that_cannot_be_made_leaves_nothing_behind(opened, cuda, fails_at):
    with pytest.raises(EngineError, match="does not run on this GPU"):
        opened(EmulatedLibrary(cuda, fails_at=fails_at))
    assert (cuda.memory, cuda.made, cuda.recording) == ({}, {}, None)


def test_kernels_are_kept_for_the_next_process_on_the_same_gpu(opened, cuda):
    library = EmulatedLibrary(cuda)
    opened(library), opened(library)
    assert library.kept == [b"", b"kernels"]


def test_it_runs_on_the_gpu_of_its_number_in_every_thread(opened, model, cuda):
    engine = opened()
    cuda.device = 0
    engine.errors(*inputs(model, 1))
    assert cuda.device == 1


def test_the_digest_of_the_plan_is_known(opened):
    assert len(opened().plan) == 16 and opened().plan != opened(precision="f16").plan


def test_fp32_below_compute_capability_8(model):
    half = model.card.model_copy(update={"precisions": ("bf16", "f32")})
    model = replace(model, card=half)
    assert [tensorrt_precision(model, t) for t in ("sm_75", "sm_80", "sm_120")] == [
        "f32",
        "bf16",
        "bf16",
    ]


def test_a_library_that_cannot_start_cuda(cuda):
    def nothing(logger):
        raise TypeError("pybind11::init(): factory function returned nullptr")

    library = TensorRtLibrary("tensorrt-rtx", fake_module())
    with pytest.raises(EngineError, match="cannot start CUDA"):
        library.made(nothing)


def fake_module():
    class Logger:
        Severity = SimpleNamespace(ERROR=1, INTERNAL_ERROR=2)

    module = ModuleType("fake_tensorrt")
    module.__version__, module.ILogger = "0", Logger
    return module


def test_a_gpu_that_fails_on_the_way(opened, model, cuda):
    engine = opened()
    cuda.broken = True
    with pytest.raises(EngineError, match="unspecified launch failure"):
        engine.errors(*inputs(model, 1))


@pytest.fixture(scope="module", params=["tensorrt", "tensorrt-rtx"])
def on_gpu(request, tmp_path_factory):
    shipped = load_model()
    try:
        library, device = open_library(request.param), open_device()
        store = PlanStore(tmp_path_factory.mktemp("plans"))
        precision = tensorrt_precision(shipped, device.target)
        return shipped, TensorRtEngine(shipped, library, device, store, precision)
    except EngineError as error:
        pytest.skip(str(error))


class TestOnAGpu(EngineContract):
    @pytest.fixture
    def model(self, on_gpu):
        return on_gpu[0]

    @pytest.fixture
    def engine(self, on_gpu):
        return on_gpu[1]

    def test_it_agrees_with_fp32(self, engine, model):
        given = inputs(model, 32)
        ours, reference = engine.errors(*given), OpenVinoEngine(model, "f32").errors(*given)
        np.testing.assert_allclose(ours, reference, rtol=2e-2)
