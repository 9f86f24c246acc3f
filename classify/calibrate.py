"""What turns errors into probabilities and odds: fitted on labelled cells that were not trained on."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from .engine import Engine
from .oddity import fit_oddity, tables_of
from .schedule import best_temperature


@dataclass(frozen=True, slots=True)
class Fitted:
    """A scale under way (see `judge.Scale`)."""

    weight: np.ndarray
    temperature: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """Errors (n, D, K) of n cells under every draw and class, and their class numbers y (n,)."""

    errors: np.ndarray
    y: np.ndarray


def error_table(engine: Engine, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Errors (n, D, K) of images (n, 3, px, px) under all draws: the exhaustive reference's whole work."""
    columns = [
        engine.errors(images, np.broadcast_to(eps, images.shape), np.full(len(images), s, np.float32))
        for eps, s in zip(noise, sigma, strict=True)
    ]
    return np.stack(columns, axis=1)


def fit(table: ErrorTable, weight: np.ndarray, sigma: np.ndarray) -> dict[str, np.ndarray]:
    """The calibration of a model with draws of these weights and noise levels (D,), as `Model` names it.

    Temperature (D,), bias (K,), mean and spread (D, K), and what normal cells' errors are like (`oddity`).
    """
    logits = -np.cumsum(weight[:, None] * table.errors, axis=1, dtype=np.float64)
    temperature = np.array([best_temperature(logits[:, d], table.y) for d in range(len(weight))])
    bias = best_bias(logits[:, -1] / temperature[-1], table.y)
    mean, spread = own_errors(table)
    scale = {"temperature": temperature, "bias": bias, "mean": mean, "spread": spread}
    return scale | tables_of(fit_oddity(table.errors, sigma))


def best_bias(logits: np.ndarray, y: np.ndarray, shrink: float = 1e-3) -> np.ndarray:
    """What to add to the logits (n, K) so that labels y (n,) are likeliest, all classes weighing the same; mean 0."""
    k = logits.shape[1]
    share = 1 / np.bincount(y, minlength=k)[y]
    share /= share.sum()

    def loss(bias: np.ndarray) -> float:
        return -share @ log_softmax(logits + bias, axis=1)[np.arange(len(y)), y] + shrink * bias @ bias

    bias = minimize(loss, np.zeros(k)).x
    return bias - bias.mean()


def own_errors(table: ErrorTable) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (D, K) of the error that cells of a class have under it."""
    classes = range(table.errors.shape[2])
    own = [table.errors[table.y == c][:, :, c] for c in classes]
    return np.stack([e.mean(axis=0) for e in own], axis=1), np.stack([e.std(axis=0) + 1e-4 for e in own], axis=1)
