"""What runs the net. The judge sees this protocol; the choice is the command's."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Protocol, cast, runtime_checkable

import numpy as np

from classify.errors import EngineError
from classify.model_card import Model

SEPARATOR = "+"
JUDGED = "errors+features"  # the outputs of the pass that judges
# One more engine is a module with a function as `OpenFunction`, its test, and a line here. A module
# is imported when its engine is opened. `auto` tries them in this order, torch only by its name.
ENGINES: Mapping[str, str] = {
    "tensorrt": "classify.engines.tensorrt:open_tensorrt",
    "tensorrt-rtx": "classify.engines.tensorrt:open_tensorrt",
    "torch-cuda": "classify.engines.driver:open_torch_cuda",
    "openvino": "classify.engines.openvino:open_openvino",
    "torch": "classify.engines.torch:open_torch",
}
BY_NAME_ALONE = ("torch",)
ENGINE_NAMES = ("auto", *ENGINES)
EXTRAS = {  # what pip installs
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "rtx",
    "torch-cuda": "train",
    "torch": "train",
}


class Engine(Protocol):
    """`name` and `precision` go into the provenance; `batch` is how many (cell, draw) pairs a pass
    takes.
    """

    name: str
    version: str
    precision: str
    batch: int

    def errors(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """Errors (n, K) float32 of clean images (n, 3, px, px) in [-1, 1] under every class, for
        any n >= 1.

        A pair's errors do not depend on what else is in the batch, to the last bit.
        """

    def errors_and_features(
        self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What `errors` and `features` give, of one pass; the errors are the same to the last
        bit.
        """

    def denoised(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """The denoised image (n, K, 3, px, px) under every class."""

    def features(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """What the trunk makes of each noisy image (n, C), pooled over its pixels."""


@runtime_checkable
class DrawEngine(Protocol):
    """An engine that has the noise of the model's draws at hand, so that it need not travel."""

    def draw_errors_and_features(
        self, images: np.ndarray, draws: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `Engine.errors_and_features`, of the model's draws of these numbers (n,)."""


def draw_errors_and_features(
    engine: Engine, model: Model, images: np.ndarray, draws: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Errors (n, K) and features (n, F) of clean images (n, 3, px, px), under the model's draws of
    numbers (n,).
    """
    if isinstance(engine, DrawEngine):
        return engine.draw_errors_and_features(images, draws)
    return engine.errors_and_features(images, model.noise[draws], model.sigma[draws])


class OpenFunction(Protocol):
    """Opens an engine by its name, in the arithmetic asked for; a line a notice goes to `tell`.

    Raises:
        EngineError: it does not work here.
    """

    def __call__(
        self, model: Model, name: str, precision: str | None, tell: Callable[[str], None]
    ) -> Engine: ...


def silent(line: str) -> None:
    """Tells nobody."""


def open_engine(
    model: Model,
    name: str = "auto",
    precision: str | None = None,
    tell: Callable[[str], None] = silent,
    engines: Mapping[str, str] = ENGINES,
) -> Engine:
    """The named engine, compiled for this machine; `auto` is the best that works.

    `tell` is given one line on which engine was chosen and why not a better one, and one where a
    broken cache was mended.

    Raises:
        EngineError: it is not known or does not work here.
    """
    if name != "auto":
        return open_named(model, name, precision, tell, engines)
    refused = []
    for candidate in engines:
        if candidate in BY_NAME_ALONE:
            continue
        try:
            engine = open_named(model, candidate, precision, tell, engines)
        except EngineError as error:
            refused.append(error.what)
            continue
        except Exception as error:  # a library's own fault must not stop a run on another engine
            refused.append(f"{candidate} fails: {first_line(error)}")
            continue
        tell("; ".join([f"engine {engine.name} {engine.version}, {engine.precision}", *refused]))
        return engine
    raise EngineError(
        f"no engine works here: {'; '.join(refused)}", "pip install --force-reinstall cytostream"
    )


def first_line(error: Exception) -> str:
    """The kind of an error and the first line of its text."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def open_named(
    model: Model,
    name: str,
    precision: str | None,
    tell: Callable[[str], None],
    engines: Mapping[str, str] = ENGINES,
) -> Engine:
    """The engine of a name.

    Raises:
        EngineError: it is not known, a package is missing, or it does not work here.
    """
    if name not in engines:
        raise EngineError(f"no engine {name!r}", f"one of auto, {', '.join(engines)}")
    module, _, function = engines[name].partition(":")
    try:
        opener = cast(OpenFunction, getattr(import_module(module), function))
    except ImportError as error:
        hint = f"pip install -e '.[{EXTRAS.get(name, 'test')}]'"
        raise EngineError(f"the {name} engine needs a package: {error}", hint) from error
    return opener(model, name, precision, tell)
