"""The GPU, through the CUDA runtime: pinned memory, and one fixed pass recorded as a CUDA graph.

Written against cuda-bindings 13.5 and run only on an emulated device so far: the machines this was
built on have no GPU.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from classify.errors import EngineError

DRIVER = "install an NVIDIA driver that supports CUDA 13 (580 or newer), or use --engine openvino"
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU by its number among those that CUDA shows (CUDA_VISIBLE_DEVICES chooses), with its
    compute capability, such as sm_89, and its driver's version. `cuda` is the runtime's module.
    """

    cuda: ModuleType
    name: str
    target: str
    number: int
    driver: int


def open_device(cuda: ModuleType | None = None, number: int = 0) -> Device:
    """The GPU of a number.

    Raises:
        EngineError: no bindings, no driver, or no such GPU.
    """
    cuda = cuda or load_cuda()
    error, count = cuda.cudaGetDeviceCount()
    if error != cuda.cudaError_t.cudaSuccess or count < 1:
        driver = cuda.cudaDriverGetVersion()[1]  # 13020 is CUDA 13.2; 0 where there is none
        why = says(cuda, error) if driver else "there is no driver"
        raise EngineError(f"no NVIDIA GPU that CUDA can use: {why}", DRIVER)
    if number >= count:
        raise EngineError(f"no GPU {number}", f"--device 0 to {count - 1} on this machine")
    done(cuda, cuda.cudaSetDevice(number))
    facts = done(cuda, cuda.cudaGetDeviceProperties(number))
    driver = done(cuda, cuda.cudaDriverGetVersion())
    target = f"sm_{facts.major}{facts.minor}"
    return Device(cuda, facts.name.decode(), target, number, int(driver))


def load_cuda() -> ModuleType:
    try:
        return importlib.import_module("cuda.bindings.runtime")
    except (ImportError, OSError) as error:
        raise EngineError(
            f"no CUDA bindings: {error}", "pip install -e '.[rtx]' or -e '.[tensorrt]'"
        ) from error


def says(cuda: ModuleType, error: object) -> str:
    return str(cuda.cudaGetErrorString(error)[1].decode())


def done(cuda: ModuleType, answer: tuple[Any, ...]) -> Any:
    """What a call gives, after looking at its status.

    Raises:
        EngineError: it failed.
    """
    error, *values = answer
    if error != cuda.cudaError_t.cudaSuccess:
        raise EngineError(
            f"CUDA: {says(cuda, error)}",
            "look at `nvidia-smi`; a run goes on with --engine openvino",
        )
    return values[0] if values else None


class Context(Protocol):
    """What a pass needs of a TensorRT execution context."""

    def set_tensor_address(self, name: str, address: int) -> bool: ...

    def set_device_memory(self, address: int, size: int) -> None: ...

    def is_stream_capturable(self, stream: int) -> bool: ...

    def execute_async_v3(self, stream: int) -> bool: ...


class Pinned:
    """Page-locked host memory as float32, with its twin on the device, until `free`."""

    def __init__(self, cuda: ModuleType, shape: tuple[int, ...]):
        self.cuda = cuda
        self.nbytes = prod(shape) * FLOAT_BYTES
        self.address = int(done(cuda, cuda.cudaMallocHost(self.nbytes)))
        try:
            self.device = int(done(cuda, cuda.cudaMalloc(self.nbytes)))
        except EngineError:
            cuda.cudaFreeHost(self.address)
            raise
        self.__array_interface__ = {
            "data": (self.address, False),
            "shape": shape,
            "typestr": "<f4",
            "version": 3,
        }
        self.host = np.asarray(self)
        self.host[...] = 1  # a pass over it before the first real one must meet no log of zero

    def free(self) -> None:
        self.cuda.cudaFreeHost(self.address)
        self.cuda.cudaFree(self.device)


class FixedPass:
    """One pass of fixed shapes: copy in, run, copy out; recorded once and replayed where the
    context can be recorded, else asked for anew each time. `memory_bytes` of device memory are
    the context's own. What it has taken is freed where it cannot be made.
    """

    def __init__(
        self,
        device: Device,
        context: Context,
        inputs: dict[str, tuple[int, ...]],
        outputs: dict[str, tuple[int, ...]],
        memory_bytes: int = 0,
    ):
        self.cuda = device.cuda
        self.number = device.number
        self.context = context
        self.taken: list[Callable[[], object]] = []
        try:
            self.prepare(inputs, outputs, memory_bytes)
        except BaseException:
            self.free()
            raise

    def prepare(
        self,
        inputs: dict[str, tuple[int, ...]],
        outputs: dict[str, tuple[int, ...]],
        memory_bytes: int,
    ) -> None:
        cuda = self.cuda
        done(cuda, cuda.cudaSetDevice(self.number))
        self.inputs = {name: self.pinned(shape) for name, shape in inputs.items()}
        self.outputs = {name: self.pinned(shape) for name, shape in outputs.items()}
        self.stream = done(cuda, cuda.cudaStreamCreate())
        self.taken.append(lambda: cuda.cudaStreamDestroy(self.stream))
        if memory_bytes:
            scratch = int(done(cuda, cuda.cudaMalloc(memory_bytes)))
            self.taken.append(lambda: cuda.cudaFree(scratch))
            self.context.set_device_memory(scratch, memory_bytes)
        for name, buffer in {**self.inputs, **self.outputs}.items():
            if not self.context.set_tensor_address(name, buffer.device):
                raise EngineError(
                    f"the engine has no tensor {name!r}", "delete it; it is built again"
                )
        self.enqueue()  # a first pass outside the recording, for what the library sets up lazily
        done(cuda, cuda.cudaStreamSynchronize(self.stream))
        capturable = self.context.is_stream_capturable(int(self.stream))
        self.graph = self.recorded() if capturable else None

    def pinned(self, shape: tuple[int, ...]) -> Pinned:
        buffer = Pinned(self.cuda, shape)
        self.taken.append(buffer.free)
        return buffer

    def free(self) -> None:
        """Give back all memory, last taken first."""
        while self.taken:
            self.taken.pop()()

    def __call__(self, **arrays: np.ndarray) -> list[np.ndarray]:
        """The outputs, copied out of pinned memory. Inputs of n rows, at most the fixed number; the
        rest is padding.
        """
        done(self.cuda, self.cuda.cudaSetDevice(self.number))  # a thread begins on the first one
        n = min(map(len, arrays.values()))
        for name, values in arrays.items():
            self.inputs[name].host[:n] = values
            self.inputs[name].host[n:] = values[-1]
        if self.graph is None:
            self.enqueue()
        else:
            done(self.cuda, self.cuda.cudaGraphLaunch(self.graph, self.stream))
        done(self.cuda, self.cuda.cudaStreamSynchronize(self.stream))
        return [output.host[:n].copy() for output in self.outputs.values()]

    def enqueue(self) -> None:
        kinds = self.cuda.cudaMemcpyKind
        for b in self.inputs.values():
            self.copy(b.device, b.address, b.nbytes, kinds.cudaMemcpyHostToDevice)
        if not self.context.execute_async_v3(int(self.stream)):
            raise EngineError(
                "the engine does not run on this GPU",
                "see `cytostream doctor`, or use --engine openvino",
            )
        for b in self.outputs.values():
            self.copy(b.address, b.device, b.nbytes, kinds.cudaMemcpyDeviceToHost)

    def copy(self, to: int, source: int, nbytes: int, kind: object) -> None:
        done(self.cuda, self.cuda.cudaMemcpyAsync(to, source, nbytes, kind, self.stream))

    def recorded(self) -> object:
        """The pass as a graph.

        Raises:
            EngineError: it cannot be recorded; the stream is then no longer recording.
        """
        cuda = self.cuda
        mode = cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        done(cuda, cuda.cudaStreamBeginCapture(self.stream, mode))
        try:
            self.enqueue()
        except BaseException:
            cuda.cudaStreamEndCapture(self.stream)
            raise
        graph = done(cuda, cuda.cudaStreamEndCapture(self.stream))
        made = done(cuda, cuda.cudaGraphInstantiate(graph, 0))
        self.taken.append(lambda: cuda.cudaGraphExecDestroy(made))
        cuda.cudaGraphDestroy(graph)
        return made
