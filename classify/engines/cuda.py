"""The GPU, through the CUDA runtime: pinned memory, and one fixed pass recorded as a CUDA graph.

Written against cuda-bindings 13.5 and run only on an emulated device so far: the machines this was
built on have no GPU.
"""

import importlib
from dataclasses import dataclass
from math import prod
from types import ModuleType
from typing import Protocol

import numpy as np

from classify.errors import EngineError

DRIVER = "install an NVIDIA driver that supports CUDA 13 (580 or newer), or use --engine openvino"
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Device:
    """The first GPU that CUDA shows (CUDA_VISIBLE_DEVICES chooses). `cuda` is the runtime's
    module.
    """

    cuda: ModuleType
    name: str
    target: str


def open_device(cuda: ModuleType | None = None) -> Device:
    """The GPU and its compute capability, such as sm_89.

    Raises:
        EngineError: no bindings, no driver, or no GPU.
    """
    cuda = cuda or load_cuda()
    error, count = cuda.cudaGetDeviceCount()
    if error != cuda.cudaError_t.cudaSuccess or count < 1:
        driver = cuda.cudaDriverGetVersion()[1]  # 13020 is CUDA 13.2; 0 where there is none
        why = says(cuda, error) if driver else "there is no driver"
        raise EngineError(f"no NVIDIA GPU that CUDA can use: {why}", DRIVER)
    facts = done(cuda, cuda.cudaGetDeviceProperties(0))
    return Device(cuda, facts.name.decode(), f"sm_{facts.major}{facts.minor}")


def load_cuda() -> ModuleType:
    try:
        return importlib.import_module("cuda.bindings.runtime")
    except (ImportError, OSError) as error:
        raise EngineError(
            f"no CUDA bindings: {error}", "pip install -e '.[rtx]' or -e '.[tensorrt]'"
        ) from error


def says(cuda: ModuleType, error: object) -> str:
    return cuda.cudaGetErrorString(error)[1].decode()


def done(cuda: ModuleType, answer: tuple) -> object:
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

    def execute_async_v3(self, stream: int) -> bool: ...


class Pinned:
    """Page-locked host memory as float32, with its twin on the device. Both live as long as the
    process.
    """

    def __init__(self, cuda: ModuleType, shape: tuple[int, ...]):
        self.nbytes = prod(shape) * FLOAT_BYTES
        address = int(done(cuda, cuda.cudaMallocHost(self.nbytes)))
        self.__array_interface__ = {
            "data": (address, False),
            "shape": shape,
            "typestr": "<f4",
            "version": 3,
        }
        self.host = np.asarray(self)
        self.device = int(done(cuda, cuda.cudaMalloc(self.nbytes)))
        self.host[...] = 1  # a pass over it before the first real one must meet no log of zero


class FixedPass:
    """One pass of fixed shapes: copy in, run, copy out, recorded once and replayed."""

    def __init__(
        self,
        cuda: ModuleType,
        context: Context,
        inputs: dict[str, tuple],
        outputs: dict[str, tuple],
    ):
        self.cuda = cuda
        self.context = context
        self.inputs = {name: Pinned(cuda, shape) for name, shape in inputs.items()}
        self.outputs = {name: Pinned(cuda, shape) for name, shape in outputs.items()}
        self.stream = done(cuda, cuda.cudaStreamCreate())
        for name, buffer in {**self.inputs, **self.outputs}.items():
            if not context.set_tensor_address(name, buffer.device):
                raise EngineError(
                    f"the engine has no tensor {name!r}", "delete it; it is built again"
                )
        self.enqueue()  # a first pass outside the recording, for what the library sets up lazily
        done(cuda, cuda.cudaStreamSynchronize(self.stream))
        self.graph = self.recorded()

    def __call__(self, **arrays: np.ndarray) -> list[np.ndarray]:
        """The outputs, copied out of pinned memory. Inputs of n rows, at most the fixed number; the
        rest is padding.
        """
        n = min(map(len, arrays.values()))
        for name, values in arrays.items():
            self.inputs[name].host[:n] = values
            self.inputs[name].host[n:] = values[-1]
        done(self.cuda, self.cuda.cudaGraphLaunch(self.graph, self.stream))
        done(self.cuda, self.cuda.cudaStreamSynchronize(self.stream))
        return [output.host[:n].copy() for output in self.outputs.values()]

    def enqueue(self) -> None:
        kinds = self.cuda.cudaMemcpyKind
        for b in self.inputs.values():
            self.copy(b.device, b.host.ctypes.data, b.nbytes, kinds.cudaMemcpyHostToDevice)
        if not self.context.execute_async_v3(int(self.stream)):
            raise EngineError(
                "the engine does not run on this GPU",
                "see `cytostream doctor`, or use --engine openvino",
            )
        for b in self.outputs.values():
            self.copy(b.host.ctypes.data, b.device, b.nbytes, kinds.cudaMemcpyDeviceToHost)

    def copy(self, to: int, source: int, nbytes: int, kind: object) -> None:
        done(self.cuda, self.cuda.cudaMemcpyAsync(to, source, nbytes, kind, self.stream))

    def recorded(self) -> object:
        cuda = self.cuda
        done(
            cuda,
            cuda.cudaStreamBeginCapture(
                self.stream, cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
            ),
        )
        self.enqueue()
        graph = done(cuda, cuda.cudaStreamEndCapture(self.stream))
        return done(cuda, cuda.cudaGraphInstantiate(graph, 0))
