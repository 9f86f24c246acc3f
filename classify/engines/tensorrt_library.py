"""The TensorRT libraries, which share one API: `tensorrt` for data centres, `tensorrt-rtx` for RTX
cards.
"""

import importlib
from dataclasses import dataclass
from functools import cache
from types import ModuleType

from classify.errors import EngineError

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
_EXTRAS = {"tensorrt": "tensorrt", "tensorrt-rtx": "rtx"}
OLDEST = {"tensorrt": (10, 0), "tensorrt-rtx": (1, 7)}


@dataclass(frozen=True, slots=True)
class TensorRtLibrary:
    """One of the two. RTX plans are portable: built anywhere, good for every GPU of a compute
    capability; TensorRT's are good only for the GPU they were built on."""

    name: str
    module: ModuleType

    @property
    def version(self) -> str:
        return self.module.__version__

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
        builder = trt.Builder(logger_of(trt))
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

    def config(self, builder: object, target: str) -> object:
        config = builder.create_builder_config()
        config.clear_flag(self.module.BuilderFlag.TF32)
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

    def context(self, plan: bytes) -> object | None:
        """What runs a plan; None where the library refuses it."""
        runtime = self.module.Runtime(logger_of(self.module))
        engine = runtime.deserialize_cuda_engine(plan)
        return engine and engine.create_execution_context()

    def complaint(self) -> str:
        return logger_of(self.module).last or "it gives no reason"


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
def logger_of(trt: ModuleType) -> object:
    """The one logger that the library takes in a process: silent, but it keeps the last error for
    the message to come.
    """

    class LastError(trt.ILogger):
        def __init__(self):
            trt.ILogger.__init__(self)
            self.last = ""

        def log(self, severity: object, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.last = message

    return LastError()
