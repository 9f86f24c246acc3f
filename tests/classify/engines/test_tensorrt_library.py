"""What is asked of TensorRT's libraries, call by call, of a library that only keeps the calls."""

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from classify import EngineError
from classify.engines import tensorrt_library
from classify.engines.tensorrt_library import PlanRunner, TensorRtLibrary, logger_of, open_library


class Recorded:
    """An object of the library: each call is kept, and answers what `answers` has for it."""

    def __init__(self, name: str, calls: list[Any], answers: dict[str, Any]):
        self._name, self._calls, self._answers = name, calls, answers

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        whole = f"{self._name}.{name}"
        if whole in self._answers and not callable(self._answers[whole]):
            return self._answers[whole]

        def called(*given: Any) -> Any:
            self._calls.append((whole, *map(worded, given)))
            if whole in self._answers:
                return self._answers[whole]()
            return Recorded(name.removeprefix("create_"), self._calls, self._answers)

        return called

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            self._calls.append((f"{self._name}.{name} =", value))
        object.__setattr__(self, name, value)


def worded(value: Any) -> Any:
    return value._name if isinstance(value, Recorded) else value


class Logger:
    Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2)


def library(
    name: str = "tensorrt-rtx", refused: str = "", **answers: Any
) -> tuple[TensorRtLibrary, list[Any]]:
    calls: list[Any] = []
    known = {key.replace("__", "."): value for key, value in answers.items()}
    known = {"parser.parse": lambda: True, "builder.build_serialized_network": bytes} | known

    def made(kind: str) -> Any:
        def constructor(*given: Any) -> Recorded:
            logger = given[-1]
            calls.append((kind, *map(worded, given[:-1])))
            if refused:
                logger.log(Logger.Severity.ERROR, refused)
                raise TypeError("nullptr")
            return Recorded(kind, calls, known)

        return constructor

    module = SimpleNamespace(
        __version__="10.3.0",
        ILogger=Logger,
        Builder=made("builder"),
        Runtime=made("runtime"),
        OnnxParser=made("parser"),
        NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=3),
        BuilderFlag=SimpleNamespace(TF32="tf32", REQUIRE_USER_ALLOCATION="user"),
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="managed"),
        ComputeCapability=SimpleNamespace(
            __members__={"NONE": 0, "SM75": 75, "SM89": 89, "SM120": 120}
        ),
    )
    # a module is what a logger is kept for, and a namespace cannot be
    package = ModuleType("trt")
    package.__dict__.update(vars(module))
    return TensorRtLibrary(name, package), calls


BUILT = [
    ("builder",),
    ("builder.create_network", 8),
    ("parser", "network"),
    ("parser.parse", b"graph"),
    ("builder.create_builder_config",),
    ("builder_config.clear_flag", "tf32"),
    ("builder_config.set_flag", "user"),
]
PORTABLE = [
    ("builder_config.num_compute_capabilities =", 1),
    ("builder_config.set_compute_capability", 89, 0),
]
LAST = [("builder.build_serialized_network", "network", "builder_config")]


@pytest.mark.parametrize(("name", "more"), [("tensorrt", []), ("tensorrt-rtx", PORTABLE)])
def test_a_plan_is_built(name: str, more: list[Any]) -> None:
    made, calls = library(name, builder__build_serialized_network=lambda: bytearray(b"plan"))
    plan = made.build(b"graph", "sm_89")
    assert (plan, type(plan), calls) == (b"plan", bytes, BUILT + more + LAST)
    assert (made.version, made.portable) == ("10.3.0", name == "tensorrt-rtx")


def refusal(made: TensorRtLibrary, target: str = "sm_89") -> tuple[str, str]:
    with pytest.raises(EngineError) as refused:
        made.build(b"graph", target)
    return refused.value.what, refused.value.hint


def test_what_cannot_be_built_is_said_with_the_library_s_own_words() -> None:
    class Fault:
        def desc(self) -> str:
            return "no such node"

    hint = "is the model whole? `cytostream card`"
    unread = {"parser__parse": lambda: False, "parser__get_error": Fault}
    made, calls = library(**unread, parser__num_errors=2)
    assert refusal(made) == ("tensorrt-rtx 10.3.0 cannot read the graph: no such node", hint)
    assert calls[-1] == ("parser.get_error", 0)
    made, _ = library(**unread, parser__num_errors=0)
    assert refusal(made)[0].endswith("cannot read the graph: it gives no reason")
    made, _ = library(builder__build_serialized_network=lambda: None)
    logger_of(made.module).log(Logger.Severity.INTERNAL_ERROR, "no kernel")
    logger_of(made.module).log(Logger.Severity.WARNING, "slow")
    what = "tensorrt-rtx 10.3.0 cannot build for sm_89: no kernel"
    assert refusal(made) == (what, "try --precision f32")
    what = "tensorrt-rtx 10.3.0 does not build for sm_90"
    hint = "one of sm_75, sm_89, sm_120; other GPUs want --engine tensorrt"
    assert refusal(library()[0], "sm_90") == (what, hint)
    made, _ = library(refused="no device")
    what = "tensorrt-rtx 10.3.0 cannot start CUDA: no device"
    assert refusal(made) == (what, "look at `nvidia-smi`, or use --engine openvino")


def test_one_logger_a_library() -> None:
    (first, _), (other, _) = library(), library()
    assert logger_of(first.module) is logger_of(first.module) is not logger_of(other.module)


@pytest.mark.parametrize("kept", [b"", b"kernels"])
def test_an_rtx_plan_is_run_with_the_kernels_that_were_kept(kept: bytes) -> None:
    made, calls = library()
    runner = made.runner(b"plan", kept)
    loaded = [("runtime_cache.deserialize", kept)] if kept else []
    assert calls == [
        ("runtime",),
        ("runtime.deserialize_cuda_engine", b"plan"),
        ("deserialize_cuda_engine.create_runtime_config",),
        ("runtime_config.set_execution_context_allocation_strategy", "managed"),
        ("runtime_config.create_runtime_cache",),
        *loaded,
        ("runtime_config.set_runtime_cache", "runtime_cache"),
        ("deserialize_cuda_engine.create_execution_context", "runtime_config"),
    ]
    assert isinstance(runner, PlanRunner)
    assert worded(runner.context) == "execution_context"
    assert worded(runner.kernels) == "runtime_cache"


def test_a_plan_of_tensorrt_has_no_kernels_to_keep() -> None:
    made, calls = library("tensorrt", deserialize_cuda_engine__device_memory_size_v2=4096)
    runner = made.runner(b"plan", b"kernels")
    assert calls[2:] == [("deserialize_cuda_engine.create_execution_context", "managed")]
    assert runner is not None and (runner.memory_bytes, runner.kernels) == (4096, None)


@pytest.mark.parametrize("missing", ["runtime", "deserialize_cuda_engine"])
def test_a_plan_that_is_refused_has_no_runner(missing: str) -> None:
    call = {"runtime": "runtime__deserialize_cuda_engine"}
    name = call.get(missing, "deserialize_cuda_engine__create_execution_context")
    assert library(**{name: lambda: None})[0].runner(b"plan") is None


@pytest.mark.parametrize(
    ("name", "version", "extra", "too_old"),
    [
        ("tensorrt", "10.0.1", "tensorrt", False),
        ("tensorrt", "9.9.9", "tensorrt", True),
        ("tensorrt-rtx", "1.7.1.116", "rtx", False),
        ("tensorrt-rtx", "1.6.9", "rtx", True),
    ],
)
def test_the_oldest_libraries(
    name: str, version: str, extra: str, too_old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType(name)
    module.__version__ = version
    asked: list[str] = []

    def imported(package: str) -> ModuleType:
        asked.append(package)
        return module

    monkeypatch.setattr(tensorrt_library.importlib, "import_module", imported)
    if not too_old:
        assert open_library(name) == TensorRtLibrary(name, module)
    else:
        with pytest.raises(EngineError) as refused:
            open_library(name)
        assert refused.value.what == f"{name} {version} is too old"
        assert refused.value.hint == f"pip install -e '.[{extra}]'"
    assert asked == [name.replace("-", "_")]
