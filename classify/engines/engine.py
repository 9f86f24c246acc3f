"""What runs the net. The judge sees this protocol; the choice is the command's."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from classify.errors import EngineError
from classify.model_card import Model

BEST_FIRST = ("tensorrt", "tensorrt-rtx", "openvino")
ENGINE_NAMES = ("auto", *BEST_FIRST, "torch")


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

    def denoised(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """The denoised image (n, K, 3, px, px) under every class."""

    def features(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """What the trunk makes of each noisy image (n, C), pooled over its pixels."""


def silent(line: str) -> None:
    """Tells nobody."""


def open_engine(
    model: Model,
    name: str = "auto",
    precision: str | None = None,
    tell: Callable[[str], None] = silent,
) -> Engine:
    """The named engine, compiled for this machine; `auto` is the best that works.

    `tell` is given one line on which engine was chosen and why not a better one, and one where a
    broken cache was mended.

    Raises:
        EngineError: it is not known or does not work here.
    """
    if name not in ENGINE_NAMES:
        raise EngineError(f"no engine {name!r}", f"one of {', '.join(ENGINE_NAMES)}")
    if name != "auto":
        return open_named(model, name, precision, tell)
    refused = []
    for candidate in BEST_FIRST:
        try:
            engine = open_named(model, candidate, precision, tell)
        except EngineError as error:
            refused.append(error.what)
            continue
        tell("; ".join([f"engine {engine.name} {engine.version}, {engine.precision}", *refused]))
        return engine
    raise EngineError(
        f"no engine works here: {'; '.join(refused)}", "pip install --force-reinstall cytostream"
    )


def open_named(
    model: Model, name: str, precision: str | None, tell: Callable[[str], None]
) -> Engine:
    if name == "openvino":  # an engine is loaded only where one runs
        from .openvino import OpenVinoEngine

        return OpenVinoEngine(model, precision)
    if name == "torch":
        return reference(model, precision)
    from .tensorrt import open_tensorrt

    return open_tensorrt(model, name, precision, tell)


def reference(model: Model, precision: str | None) -> Engine:
    try:
        from .torch import TorchEngine
    except ImportError as error:
        raise EngineError(
            f"the torch engine needs the training side: {error}", "pip install -e '.[train]'"
        ) from error
    return TorchEngine(model, precision)
