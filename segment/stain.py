"""Stain of one slide: thresholds and vectors fitted once, used for every tile of it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Stain:
    background_rgb: tuple[int, int, int]


def fit_stain(samples: list[np.ndarray], background_rgb: tuple[int, int, int], mpp: float) -> Stain:
    raise NotImplementedError
