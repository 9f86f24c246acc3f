"""Passes that are recorded on a GPU, with a CUDA that this process plays; and what is asked of
torch there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from classify import EngineError  # noqa: E402
from classify.engines import torch_cuda  # noqa: E402
from classify.engines.torch_cuda import (  # noqa: E402
    PlainPass,
    RecordedPass,
    TorchCudaEngine,
    exact_convolutions,
    open_on_gpu,
    padded_rows,
    to_levels,
    torch_precision,
)
from tests.make import tiny_model  # noqa: E402

pytestmark = pytest.mark.train


class Cuda:
    """torch.cuda over this process's memory: calls are kept in their order."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.recorded = None
        self.Stream = lambda device: SimpleNamespace(
            wait_stream=lambda other: self.calls.append(("wait", other)),
            synchronize=lambda: self.calls.append("stream synchronized"),
        )
        self.CUDAGraph = lambda: SimpleNamespace(replay=self.replay)
        self.events = 0

    def current_stream(self) -> str:
        return "current"

    @contextmanager
    def device(self, device: object) -> Iterator[None]:
        self.calls.append(("device", str(device)))
        yield
        self.calls.append("device left")

    @contextmanager
    def stream(self, stream: object) -> Iterator[None]:
        yield

    @contextmanager
    def graph(self, graph: object, stream: object) -> Iterator[None]:
        self.calls.append("recording")
        yield
        self.calls.append("recorded")

    def Event(self) -> SimpleNamespace:  # noqa: N802
        number, self.events = self.events, self.events + 1
        return SimpleNamespace(
            record=lambda: self.calls.append(("ended", number)),
            synchronize=lambda: self.calls.append(("waited for", number)),
        )

    def replay(self) -> None:
        self.calls.append("replayed")
        self.recorded.output.copy_(self.recorded.step(*self.recorded.given))


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    played = Cuda()
    monkeypatch.setattr(torch_cuda.torch, "cuda", played)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self.clone())
    return played


def test_a_pass_is_warmed_recorded_and_replayed_batch_by_batch(cuda: Cuda) -> None:
    warm: list[int] = []

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        warm.append(len(x))
        return x + 10 * y

    examples = [torch.zeros(2, 3), torch.ones(2, 1)]
    made = cuda.recorded = RecordedPass(step, examples, torch.device("cpu"))
    assert warm == [2] * 4 and made.batch == 2
    assert cuda.calls == [
        ("device", "cpu"),
        ("wait", "current"),
        "stream synchronized",
        "recording",
        "recorded",
        "device left",
    ]
    cuda.calls.clear()
    x, y = np.arange(15.0).reshape(5, 3), np.arange(5.0)[:, None]
    found = np.concatenate(list(made.each((x, y))))
    np.testing.assert_array_equal(found[:5], x + 10 * y)
    np.testing.assert_array_equal(found[5], found[4])  # padding
    batch = ["replayed", ("ended", 0)], ["replayed", ("ended", 1)]
    waits = [("waited for", 0)], [("waited for", 1)]
    assert cuda.calls == [
        ("device", "cpu"),
        *batch[0],
        *batch[1],
        *waits[0],
        *batch[0],
        *waits[1],
        *waits[0],
        "device left",
    ]


def test_an_answer_is_not_overwritten_by_the_next(cuda: Cuda) -> None:
    made = cuda.recorded = RecordedPass(lambda x: x, [torch.zeros(1, 1)], torch.device("cpu"))
    assert [one.tolist() for one in made.each((np.arange(5.0)[:, None],))] == [
        [[0.0]],
        [[1.0]],
        [[2.0]],
        [[3.0]],
        [[4.0]],
    ]


def test_a_plain_pass_runs_anew_each_time() -> None:
    seen: list[Any] = []

    def step(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.tolist())
        return 2 * x

    made = PlainPass(step, [torch.zeros(2)], torch.device("cpu"))
    found = [one.tolist() for one in made.each((np.arange(3),))]
    assert (seen, found) == ([[0, 1], [2, 2]], [[0, 2], [4, 4]])


def engine(monkeypatch: pytest.MonkeyPatch, **given: Any) -> TorchCudaEngine:
    monkeypatch.setattr(torch_cuda, "released", lambda model: torch.nn.Linear(2, 2))
    return TorchCudaEngine(tiny_model(), **{"device": "cpu", **given})


def test_what_an_engine_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    made = engine(monkeypatch)
    facts = made.name, made.version, made.precision, made.batch
    assert facts == ("torch-cuda", torch.__version__, "f32", 256)
    assert not made.net.training and not made.takes_levels and made.passes == {}
    with pytest.raises(EngineError) as refused:
        engine(monkeypatch, precision="f8")
    assert refused.value.what == "no precision 'f8'"
    assert refused.value.hint == "one of bf16, f16, f32"
    found = made.parted(np.arange(10).reshape(2, 5))
    assert [one.tolist() for one in found] == [[[0, 1, 2], [5, 6, 7]], [[3, 4], [8, 9]]]


@pytest.mark.parametrize(("precision", "low"), [("f32", False), ("bf16", True)])
def test_a_pass_is_in_the_arithmetic_asked_for(
    precision: str, low: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = engine(monkeypatch, precision=precision, batch=3)
    seen: list[Any] = []

    def function(x: torch.Tensor) -> torch.Tensor:
        kind = torch.get_autocast_dtype("cpu")
        exact = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled
        seen.append((torch.is_autocast_enabled("cpu"), exact, torch.is_inference_mode_enabled()))
        assert not low or kind == torch.bfloat16
        return x.to(torch.bfloat16)

    found = made.run("some", function, np.arange(4.0))
    assert found.dtype == np.float32 and found.tolist() == [0, 1, 2, 3]
    assert seen == [(low, (False, True), True)] * 2 and list(made.passes) == ["some"]
    made.run("some", lambda x: pytest.fail("recorded again"), np.arange(2.0))

    def broken(x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of memory\nmany lines")

    with pytest.raises(EngineError) as failed:
        made.run("other", broken, np.arange(2.0))
    assert failed.value.what == "torch on cpu: out of memory"
    assert failed.value.hint == "look at `nvidia-smi`; a run goes on with --engine openvino"
    assert made.passes == {}


def test_on_a_gpu_a_pass_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    made = engine(monkeypatch, batch=2)
    made.device = SimpleNamespace(type="cuda")
    monkeypatch.setattr(torch_cuda, "RecordedPass", lambda *given: given)
    step, examples, device = made.recorded(lambda x: x, (np.arange(5.0),))
    assert callable(step) and device is made.device
    assert [one.tolist() for one in examples] == [[0.0, 0.0]]


def test_rows_are_padded_in_the_type_that_a_pass_takes() -> None:
    for kind, kept in ((np.uint8, np.uint8), (np.int64, np.int64), (np.float64, np.float32)):
        found = padded_rows(np.array([[1, 2], [3, 4]], kind), 4)
        assert found.dtype == kept and found.flags.c_contiguous
        assert found.tolist() == [[1, 2], [3, 4], [3, 4], [3, 4]]
    pixels = np.array([-1, -0.5, 0, 0.999, 1])
    levels = to_levels(pixels)
    assert levels.dtype == np.uint8 and levels.tolist() == [0, 64, 128, 255, 255]


def test_convolutions_are_exact_inside() -> None:
    before = torch.backends.cudnn.allow_tf32
    with exact_convolutions():
        assert not torch.backends.cudnn.allow_tf32 and torch.backends.cudnn.enabled
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize(
    ("capability", "allowed", "chosen"),
    [
        ((8, 0), ("bf16", "f32"), "bf16"),
        ((7, 5), ("bf16", "f16", "f32"), "f16"),
        ((7, 0), ("f16",), "f16"),
        ((6, 9), ("bf16", "f16", "f32"), "f32"),
        ((9, 0), ("f32", "bf16"), "bf16"),
    ],
)
def test_the_fastest_arithmetic_that_card_and_device_allow(
    capability: tuple[int, int],
    allowed: tuple[str, ...],
    chosen: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    card = SimpleNamespace(precisions=allowed)
    model = SimpleNamespace(card=card)
    assert torch_precision(model, torch.device("cuda")) == chosen
    assert torch_precision(model, torch.device("cpu")) == "f32"


def test_the_engine_on_a_gpu_has_judged_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[Any] = []

    class Opened:
        def __init__(self, model: object, precision: str | None):
            judged.append(precision)

        def draw_errors_and_features(self, images: np.ndarray, draws: np.ndarray) -> None:
            judged.append((images.shape, images.any(), draws.tolist()))

    monkeypatch.setattr(torch_cuda, "TorchCudaEngine", Opened)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineError) as refused:
        open_on_gpu(tiny_model())
    assert refused.value.what == "this torch has no CUDA"
    assert refused.value.hint == "install torch from its CUDA index"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert isinstance(open_on_gpu(tiny_model(), "f16"), Opened)
    assert judged == ["f16", ((1, 3, 16, 16), False, [0])]
