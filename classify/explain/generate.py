"""Cells made by the classifier's own model, through the serving engine."""

from collections.abc import Iterator, Sequence

import numpy as np

from classify.engines import Engine
from classify.model_card import Model
from classify.pixels import to_uint8

SIGMA_MAX = 40.0
SIGMA_MIN = 0.7  # below it this net leaves noise
RHO = 7.0
POLISH_DRAWS = 16
_BATCH = 16


def sigmas(steps: int) -> np.ndarray:
    """Noise levels of a sampler, ending in 0 (Karras et al. 2022, equation 5)."""
    t = np.linspace(SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO), steps) ** RHO
    return np.append(t, 0.0).astype(np.float32)


def denoise(engine: Engine, x: np.ndarray, sigma: float, classes: np.ndarray) -> np.ndarray:
    """Denoised images (n, 3, px, px) of noisy x under one class each (n,) or a mixture of them (n,
    K).
    """
    images = engine.denoised(x, np.zeros_like(x), np.full(len(x), sigma, np.float32))
    result: np.ndarray = (
        images[np.arange(len(x)), classes]
        if classes.ndim == 1
        else np.einsum("nk,nkchw->nchw", classes, images)
    )
    return result


def sample(engine: Engine, x: np.ndarray, classes: np.ndarray, steps: int = 18) -> np.ndarray:
    """Heun's method from noise x (n, 3, px, px) at the largest noise level to images (Karras et al.
    2022, algorithm 1).
    """
    levels = sigmas(steps)
    x = x * levels[0]
    for now, then in zip(levels[:-1], levels[1:], strict=True):
        slope = (x - denoise(engine, x, now, classes)) / now
        ahead = x + (then - now) * slope
        if then > 0:
            slope = (slope + (ahead - denoise(engine, ahead, then, classes)) / then) / 2
            ahead = x + (then - now) * slope
        x = ahead
    return x


def polish(
    engine: Engine, x: np.ndarray, classes: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The mean of x (n, 3, px, px) noised and denoised again: what noise the sampler has left is
    averaged out.
    """
    total = np.zeros_like(x)
    for _ in range(POLISH_DRAWS):
        noise = rng.standard_normal(x.shape).astype(np.float32)
        total += denoise(engine, x + SIGMA_MIN * noise, SIGMA_MIN, classes)
    return total / POLISH_DRAWS


def generate_cells(
    model: Model,
    engine: Engine,
    classes: Sequence[int] | np.ndarray,
    seed: int = 0,
    steps: int = 18,
) -> Iterator[np.ndarray]:
    """8-bit images (px, px, 3) of the model's window, one a class number (or row of class weights).

    The same seed gives the same cells.
    """
    classes = np.asarray(classes)
    px = model.card.image_px
    rng = np.random.default_rng(seed)
    for start in range(0, len(classes), _BATCH):
        part = classes[start : start + _BATCH]
        noise = rng.standard_normal((len(part), 3, px, px)).astype(np.float32)
        yield from to_uint8(polish(engine, sample(engine, noise, part, steps), part, rng))
