"""The TensorRT engine, for both libraries.

Building for RTX needs no GPU and is tested; running either needs one, which the machines this was
built on do not have. There the pass over pinned memory ran on an emulated device only, and
`tensorrt` itself was never installed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import numpy as np

from classify.errors import EngineError
from classify.model_card import GRAPH, Model

from .cuda import Device, FixedPass, open_device
from .engine import JUDGED, SEPARATOR
from .plan_cache import PlanKey, PlanStore
from .tensorrt_library import TensorRtLibrary, open_library

_BATCH = 64
BESIDE = "engines"
_KEPT = Path(".cache", "cytostream", "engines")
PRECISIONS = ("f16", "bf16", "f32")
SM_WITH_HALF = 80  # compute capability
DIGEST_CHARS = 16


class TensorRtEngine:
    """Batches of one fixed size, the last one padded: with several sizes, other kernels would round
    a pair differently.
    """

    def __init__(
        self,
        model: Model,
        library: TensorRtLibrary,
        device: Device,
        store: PlanStore,
        precision: str,
        batch: int = _BATCH,
    ):
        self.name = library.name
        self.version = library.version
        self.precision = precision
        self.batch = batch
        self.model = model
        self.library = library
        self.device = device
        self.store = store
        self.plans: dict[str, str] = {}
        self.passes: dict[str, FixedPass] = {}
        self.pass_of(JUDGED)  # fail here, not in the middle of a slide

    def errors(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run(JUDGED, images, noise, sigma)[0]

    def errors_and_features(
        self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        errors, features = self.run(JUDGED, images, noise, sigma)
        return errors, features

    def denoised(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run("denoised", images, noise, sigma)[0]

    def features(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run("features", images, noise, sigma)[0]

    def run(
        self, output: str, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray
    ) -> list[np.ndarray]:
        """The outputs that `output` names, in its order."""
        step = self.pass_of(output)
        parts = [slice(i, i + self.batch) for i in range(0, len(images), self.batch)]
        found = [step(image=images[p], noise=noise[p], sigma=sigma[p]) for p in parts]
        return [np.concatenate(column) for column in zip(*found, strict=True)]

    def pass_of(self, output: str) -> FixedPass:
        if output not in self.passes:
            self.passes[output] = self.open_pass(output)
        return self.passes[output]

    def open_pass(self, output: str) -> FixedPass:
        device = self.device
        target = device.target if self.library.portable else f"{device.name} {device.target}"
        key = key_of(self.library, self.model, target, self.precision, self.batch, output)
        build = partial(build_plan, self.library, self.model, key)
        kept = f"{key.file_name}-{device.name}-{device.driver}"
        plan = self.store.get(key, build)
        runner = self.library.runner(plan, self.store.kernels(kept))
        if runner is None:
            plan = self.store.rebuilt(key, build)
            runner = self.library.runner(plan)
        if runner is None:
            raise EngineError(
                f"{key.library} refuses the engine it built: {self.library.complaint()}",
                "is the driver recent?",
            )
        self.plans[output] = sha256(plan).hexdigest()[:DIGEST_CHARS]
        inputs, outputs = shapes_of(self.model, self.batch, output)
        made = FixedPass(device, runner.context, inputs, outputs, runner.memory_bytes)
        if runner.kernels:
            self.store.keep_kernels(kept, bytes(runner.kernels.serialize()))
        return made

    @property
    def plan(self) -> str:
        """Digest of the plan that judges: plans of one graph differ from machine to machine."""
        return self.plans[JUDGED]


def open_tensorrt(
    model: Model, name: str, precision: str | None, tell: Callable[[str], None]
) -> TensorRtEngine:
    """The engine on the first GPU. Plans are looked for beside the model (`MODEL/engines`),
    then in the user's `.cache/cytostream/engines`, and built there if absent: in seconds (RTX) or
    minutes.

    Raises:
        EngineError: package, driver or GPU is missing, or the library cannot build or run the
        graph.
    """
    library = open_library(name)
    device = open_device()
    store = PlanStore(Path.home() / _KEPT, (model.graph.parent / BESIDE,), tell)
    chosen = checked(precision or tensorrt_precision(model, device.target))
    return TensorRtEngine(model, library, device, store, chosen)


def tensorrt_precision(model: Model, target: str) -> str:
    """The fastest arithmetic that the card allows and a GPU of a compute capability (sm_89) has:
    fp32 below sm_80, which has no bf16.
    """
    if int(target.removeprefix("sm_")) < SM_WITH_HALF:
        return "f32"
    return next((p for p in model.card.precisions if p in PRECISIONS), "f32")


def checked(precision: str) -> str:
    if precision not in PRECISIONS:
        raise EngineError(f"no precision {precision!r}", f"one of {', '.join(PRECISIONS)}")
    return precision


def shapes_of(
    model: Model, batch: int, output: str
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Shapes of the inputs and of the outputs by name."""
    px = model.card.image_px
    k = len(model.card.classes)
    image = (batch, 3, px, px)
    outputs = {
        "errors": (batch, k),
        "denoised": (batch, k, 3, px, px),
        "features": (batch, model.card.features),
    }
    inputs = {"image": image, "noise": image, "sigma": (batch,)}
    return inputs, {name: outputs[name] for name in output.split(SEPARATOR)}


def key_of(
    library: TensorRtLibrary, model: Model, target: str, precision: str, batch: int, output: str
) -> PlanKey:
    return PlanKey(
        model.card.sha256[GRAPH],
        f"{library.name} {library.version}",
        target,
        precision,
        batch,
        output,
    )


def build_plan(library: TensorRtLibrary, model: Model, key: PlanKey) -> bytes:
    """The plan that a key describes.

    Raises:
        EngineError: onnx is not installed, or the library refuses the graph.
    """
    try:
        from .onnx_lowering import specialised  # a plan that is there already runs without onnx
    except ImportError as error:
        raise EngineError(
            "an engine is to be built, and onnx is not installed", "pip install onnx"
        ) from error
    graph = specialised(model.graph, key.output, key.batch, key.precision)
    return library.build(graph.SerializeToString(), key.target)


@dataclass(frozen=True, slots=True)
class Compiled:
    """`seconds` is the build; None where the plan was there already."""

    path: Path
    megabytes: float
    seconds: float | None


def compile_ahead(
    model: Model,
    name: str,
    target: str,
    folder: Path,
    precision: str | None = None,
    batch: int = _BATCH,
) -> Compiled:
    """The judge's plan for a compute capability such as sm_89, built in `folder` with no GPU.

    Only what judging runs; `denoised`, for generating, is built at its first use.

    Raises:
        EngineError: the library is not installed, builds only on the GPU that is to run the plan,
        or does not know the target.
    """
    if name != "tensorrt-rtx":
        raise EngineError(
            f"{name} is not built ahead of time",
            "tensorrt-rtx is; the others build at their first run",
        )
    library = open_library(name)
    store = PlanStore(folder)
    library.capability(target)
    key = key_of(
        library,
        model,
        target,
        checked(precision or tensorrt_precision(model, target)),
        batch,
        JUDGED,
    )
    took: list[float] = []

    def build() -> bytes:
        start = perf_counter()
        plan = build_plan(library, model, key)
        took.append(perf_counter() - start)
        return plan

    plan = store.get(key, build)
    return Compiled(store.folder / key.file_name, len(plan) / 1e6, took[0] if took else None)
