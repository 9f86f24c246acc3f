"""The TensorRT libraries, which share one API: `tensorrt` for data centres, `tensorrt-rtx` for RTX
cards.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Protocol, TypeVar

from classify.errors import EngineError

from .cuda import Context

T = TypeVar("T")
MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
_EXTRAS = {"tensorrt": "tensorrt", "tensorrt-rtx": "rtx"}
OLDEST = {"tensorrt": (10, 0), "tensorrt-rtx": (1, 7)}


class Kernels(Protocol):
    """The kernels that TensorRT for RTX compiles on the GPU at the first pass."""

    def serialize(self) -> bytes: ...


@dataclass(frozen=True, slots=True, eq=False)
class PlanRunner:
    """What runs a plan: a context, the bytes of device memory that it is to be given, and the
    kernels it compiles (RTX alone), to be kept for the next process.
    """

    context: Context
    memory_bytes: int
    kernels: Kernels | None = None


@dataclass(frozen=True, slots=True)
class TensorRtLibrary:
    """One of the two. RTX plans are portable: built anywhere, good for every GPU of a compute
    capability; TensorRT's are good only for the GPU they were built on."""

    name: str
    module: ModuleType

    @property
    def version(self) -> str:
        return str(self.module.__version__)

    @property
    def portable(self) -> bool:
        return self.name == "tensorrt-rtx"

    def build(self, graph: bytes, target: str) -> bytes:
        """The plan of an ONNX graph of fixed shapes: seconds for RTX, which leaves the choice of
        kernels to the GPU.

        Precision is that of the graph (strong typing); fp32 products keep their whole mantissa.

        Raises:
            EngineError: the graph or the target is refused.
        """
        trt = self.module
        builder = self.made(trt.Builder)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger_of(trt))
        if not parser.parse(graph):
            why = parser.get_error(0).desc() if parser.num_errors else self.complaint()
            raise EngineError(
                f"{self.name} {self.version} cannot read the graph: {why}",
                "is the model whole? `cytostream card`",
            )
        plan = builder.build_serialized_network(network, self.config(builder, target))
        if plan is None:
            raise EngineError(
                f"{self.name} {self.version} cannot build for {target}: {self.complaint()}",
                "try --precision f32",
            )
        return bytes(plan)

    def config(self, builder: Any, target: str) -> Any:
        config = builder.create_builder_config()
        config.clear_flag(self.module.BuilderFlag.TF32)
        config.set_flag(
            self.module.BuilderFlag.REQUIRE_USER_ALLOCATION
        )  # so that it can be recorded
        if self.portable:
            config.num_compute_capabilities = 1
            config.set_compute_capability(self.capability(target), 0)
        return config

    def capability(self, target: str) -> object:
        """The library's word for a compute capability such as sm_89.

        Raises:
            EngineError: it does not build for it.
        """
        known = {
            f"sm_{n[2:]}": v
            for n, v in self.module.ComputeCapability.__members__.items()
            if n.startswith("SM")
        }
        if target not in known:
            hint = f"one of {', '.join(known)}; other GPUs want --engine tensorrt"
            raise EngineError(f"{self.name} {self.version} does not build for {target}", hint)
        return known[target]

    def made(self, constructor: Callable[[object], T]) -> T:
        """A builder or runtime.

        Raises:
            EngineError: CUDA cannot start, where the constructor has nothing to return.
        """
        try:
            return constructor(logger_of(self.module))
        except TypeError as error:
            raise EngineError(
                f"{self.name} {self.version} cannot start CUDA: {self.complaint()}",
                "look at `nvidia-smi`, or use --engine openvino",
            ) from error

    def runner(self, plan: bytes, kept: bytes = b"") -> PlanRunner | None:
        """What runs a plan; None where the library refuses it. `kept` are kernels of an earlier
        process; those of another GPU or driver are not taken.
        """
        trt = self.module
        engine = self.made(trt.Runtime).deserialize_cuda_engine(plan)
        if engine is None:
            return None
        ours = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        kernels = None
        how = ours
        if self.portable:
            how = engine.create_runtime_config()
            how.set_execution_context_allocation_strategy(ours)
            kernels = how.create_runtime_cache()
            if kept:
                kernels.deserialize(kept)
            how.set_runtime_cache(kernels)
        context = engine.create_execution_context(how)
        return context and PlanRunner(context, engine.device_memory_size_v2, kernels)

    def complaint(self) -> str:
        return str(logger_of(self.module).last or "it gives no reason")


def open_library(name: str) -> TensorRtLibrary:
    """The library, loaded.

    Raises:
        EngineError: it is not installed, or is too old.
    """
    install = f"pip install -e '.[{_EXTRAS[name]}]'"
    try:
        module = importlib.import_module(MODULES[name])
        found = tuple(map(int, module.__version__.split(".")[:2]))
    except (ImportError, OSError, AttributeError) as error:
        raise EngineError(f"{name} is not installed ({error})", install) from error
    if found < OLDEST[name]:
        raise EngineError(f"{name} {module.__version__} is too old", install)
    return TensorRtLibrary(name, module)


@cache
def logger_of(trt: ModuleType) -> Any:
    """The one logger that the library takes in a process: silent, but it keeps the last error for
    the message to come.
    """

    # the library has no types
    class LastError(trt.ILogger):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last = ""

        def log(self, severity: object, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.last = message

    return LastError()
