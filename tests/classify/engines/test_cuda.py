"""The CUDA runtime as the engines use it, played by this process: which GPU, and what is freed."""

from types import SimpleNamespace

import numpy as np
import pytest

from classify import EngineError
from classify.engines import cuda as gpu
from classify.engines.cuda import DRIVER, Device, FixedPass, Pinned, done, open_device
from tests.contracts.emulated_gpu import EmulatedCuda


class Runtime(EmulatedCuda):
    """A machine with some GPUs; the calls are noted in their order."""

    def __init__(self, count: int = 2, status: int = 0, driver: int = 13020):
        super().__init__()
        self.count, self.status, self.version = count, status, driver
        self.calls: list[tuple] = []
        self.full = False

    def cudaGetDeviceCount(self):  # noqa: N802
        return self.status, self.count

    def cudaDriverGetVersion(self):  # noqa: N802
        return 0, self.version

    def cudaGetDeviceProperties(self, number):  # noqa: N802
        return 0, SimpleNamespace(major=8 + number, minor=9, name=f"GPU {number}".encode())

    def cudaMalloc(self, nbytes):  # noqa: N802
        return (2, 0) if self.full else super().cudaMalloc(nbytes)

    def cudaMemcpyAsync(self, to, source, nbytes, kind, stream):  # noqa: N802
        self.calls.append(("copy", nbytes, kind, stream))
        return super().cudaMemcpyAsync(to, source, nbytes, kind, stream)


@pytest.mark.parametrize("number", [0, 1])
def test_the_gpu_of_a_number(number: int) -> None:
    runtime = Runtime()
    found = open_device(runtime, number)
    assert found == Device(runtime, f"GPU {number}", f"sm_{8 + number}9", number, 13020)
    assert runtime.device == number and open_device(runtime).number == 0


@pytest.mark.parametrize(
    ("runtime", "number", "what", "hint"),
    [
        (Runtime(2), 2, "no GPU 2", "--device 0 to 1 on this machine"),
        (Runtime(1), 1, "no GPU 1", "--device 0 to 0 on this machine"),
        (
            Runtime(0),
            0,
            "no NVIDIA GPU that CUDA can use: unspecified launch failure",
            DRIVER,
        ),
        (Runtime(1, 35, 0), 0, "no NVIDIA GPU that CUDA can use: there is no driver", DRIVER),
    ],
)
def test_a_gpu_that_is_not_there(runtime: Runtime, number: int, what: str, hint: str) -> None:
    with pytest.raises(EngineError) as refused:
        open_device(runtime, number)
    assert (refused.value.what, refused.value.hint) == (what, hint)


def test_a_call_that_fails_says_what_to_do() -> None:
    runtime = Runtime()
    assert (done(runtime, (0,)), done(runtime, (0, 5)), done(runtime, (0, 5, 6))) == (None, 5, 5)
    with pytest.raises(EngineError) as failed:
        done(runtime, (719,))
    assert failed.value.what == "CUDA: unspecified launch failure"
    assert failed.value.hint == "look at `nvidia-smi`; a run goes on with --engine openvino"


def test_no_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(gpu.importlib, "import_module", absent)
    with pytest.raises(EngineError) as refused:
        open_device()
    assert refused.value.what == "no CUDA bindings: No module named 'cuda.bindings.runtime'"
    assert refused.value.hint == "pip install -e '.[rtx]' or -e '.[tensorrt]'"


def test_pinned_memory_is_whole_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime()
    buffer = Pinned(runtime, (2, 3))
    assert buffer.nbytes == 24 and buffer.host.dtype == np.float32
    assert buffer.host.tolist() == [[1, 1, 1], [1, 1, 1]]
    buffer.host[1] = 7
    assert runtime.memory[buffer.address].view(np.float32).tolist() == [1, 1, 1, 7, 7, 7]
    assert len(runtime.memory) == 2
    buffer.free()
    assert runtime.memory == {}
    monkeypatch.setattr(runtime, "cudaMallocHost", lambda n: EmulatedCuda.cudaMalloc(runtime, n))
    runtime.full = True
    with pytest.raises(EngineError):
        Pinned(runtime, (2, 3))
    assert runtime.memory == {}


class Doubling:
    """A context whose output is twice its input."""

    def __init__(self, runtime: Runtime, capturable: bool = True, tensors: int = 2):
        self.runtime, self.capturable, self.tensors = runtime, capturable, tensors
        self.addresses: dict[str, int] = {}
        self.scratch = (0, 0)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return len(self.addresses) <= self.tensors

    def set_device_memory(self, address: int, size: int) -> None:
        self.scratch = (address, size)

    def is_stream_capturable(self, stream: int) -> bool:
        return self.capturable and stream == 7

    def execute_async_v3(self, stream: int) -> bool:
        a, b = (self.runtime.memory[self.addresses[n]].view(np.float32) for n in ("x", "y"))
        self.runtime.do(lambda: np.copyto(b, 2 * a))
        return stream == 7


@pytest.mark.parametrize("capturable", [True, False])
def test_a_pass_copies_in_runs_and_copies_out(capturable: bool) -> None:
    runtime = Runtime()
    device = Device(runtime, "GPU", "sm_89", 1, 0)
    context = Doubling(runtime, capturable)
    made = FixedPass(device, context, {"x": (4, 2)}, {"y": (4, 2)}, memory_bytes=100)
    assert context.scratch[1] == 100 and context.scratch[0] in runtime.memory
    assert (made.graph is not None) is capturable
    first = len(runtime.calls)
    assert first == 2 * (1 + capturable)
    runtime.device = 0
    (found,) = made(x=np.array([[1, 2], [3, 4], [5, 6]], np.float32))
    assert found.tolist() == [[2, 4], [6, 8], [10, 12]] and runtime.device == 1
    assert made.inputs["x"].host[3].tolist() == [5, 6], "padding is of real values"
    assert runtime.launches == capturable and len(runtime.calls) - first == 2 * (not capturable)
    assert runtime.calls[0] == ("copy", 32, 1, 7) and runtime.calls[1] == ("copy", 32, 2, 7)
    kept = found.copy()
    made(x=np.zeros((4, 2), np.float32))
    assert np.array_equal(found, kept), "an answer is not overwritten by the next"
    made.free()
    assert (runtime.memory, runtime.made) == ({}, {})


def test_without_memory_of_its_own_a_context_is_given_none() -> None:
    runtime = Runtime()
    context = Doubling(runtime)
    device = Device(runtime, "GPU", "sm_89", 0, 0)
    FixedPass(device, context, {"x": (1, 2)}, {"y": (1, 2)})
    assert context.scratch == (0, 0) and len(runtime.memory) == 4


@pytest.mark.parametrize("memory_bytes", [0, 64])
def test_an_engine_without_a_tensor_is_refused(memory_bytes: int) -> None:
    runtime = Runtime()
    device = Device(runtime, "GPU", "sm_89", 0, 0)
    with pytest.raises(EngineError) as refused:
        FixedPass(device, Doubling(runtime, tensors=1), {"x": (1, 2)}, {"y": (1, 2)}, memory_bytes)
    assert refused.value.what == "the engine has no tensor 'y'"
    assert refused.value.hint == "delete it; it is built again"
    assert (runtime.memory, runtime.made) == ({}, {})


def test_an_engine_that_does_not_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime()
    monkeypatch.setattr(Doubling, "execute_async_v3", lambda self, stream: False)
    with pytest.raises(EngineError) as refused:
        FixedPass(
            Device(runtime, "GPU", "sm_89", 0, 0), Doubling(runtime), {"x": (1, 2)}, {"y": (1, 2)}
        )
    assert refused.value.what == "the engine does not run on this GPU"
    assert refused.value.hint == "see `cytostream doctor`, or use --engine openvino"
    assert (runtime.memory, runtime.made) == ({}, {})
