"""What runs the net. The judge sees this protocol; the choice is the command's."""

from typing import Protocol

import numpy as np

from .card import Model
from .errors import EngineError

NAMES = ("auto", "openvino")


class Engine(Protocol):
    """`name` and `precision` go into the provenance; `batch` is how many (cell, draw) pairs a pass takes."""

    name: str
    precision: str
    batch: int

    def errors(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """Errors (n, K) float32 of clean images (n, 3, px, px) in [-1, 1] under every class, for any n >= 1.

        A pair's errors do not depend on what else is in the batch, to the last bit.
        """

    def denoised(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        """The denoised image (n, K, 3, px, px) under every class."""


def open_engine(model: Model, name: str = "auto", precision: str | None = None) -> Engine:
    """The named engine, compiled for this machine.

    Raises:
        EngineError: it is not known or does not work here.
    """
    if name not in NAMES:
        raise EngineError(f"no engine {name!r}", f"one of {', '.join(NAMES)}")
    from .engine_openvino import OpenVinoEngine  # an engine is loaded only where one runs

    return OpenVinoEngine(model, precision)
