"""What turns errors into probabilities and odds: fitted on labelled cells that were not
trained on.
"""

from dataclasses import dataclass

import numpy as np

from classify.anomaly import fit_oddity, tables_of
from classify.engines import Engine
from classify.model_card import Model
from classify.pixels import turned

from .draws import Draws, best_temperature


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


def error_table(engine: Engine, images: np.ndarray, draws: Draws | Model) -> np.ndarray:
    """Errors (n, D, K) of images (n, 3, px, px) under all draws: the exhaustive reference's whole
    work.
    """
    columns = [
        engine.errors(
            turned(images, turn),
            np.broadcast_to(noise, images.shape),
            np.full(len(images), sigma, np.float32),
        )
        for sigma, noise, turn in zip(draws.sigma, draws.noise, draws.turn, strict=True)
    ]
    return np.stack(columns, axis=1)


def fit(
    table: ErrorTable,
    weight: np.ndarray,
    sigma: np.ndarray,
    normal: np.ndarray,
    bias: np.ndarray,
    part_weights: tuple[float, float, float],
) -> dict[str, np.ndarray]:
    """The calibration of a model with draws of these weights and noise levels (D,), as `Model`
    names it; `part_weights` are those of the three anomaly scores.

    Temperature (D,), bias (K,), mean and spread (D, K), and what the errors of cells of the
    `normal` classes (K,) are like (`anomaly.score`).

    Notes:
        What is no cell to count is left out of the anomaly score: red cells and borders are so
        plain that they lie near its centre anyway; learnt on, they would make smudges and the like
        plain too. The bias is the logarithm of the taxonomy's prior, not fitted: one fitted at home
        gained little there and lost much in other laboratories. A laboratory's own labelled cells
        may change it (`laboratory.recalibrate`).
    """
    logits = -np.cumsum(weight[:, None] * table.errors, axis=1, dtype=np.float64)
    temperature = np.array(
        [best_temperature(logits[:, d], table.y, bias) for d in range(len(weight))]
    )
    mean, spread = own_errors(table)
    scale = {
        "temperature": temperature,
        "bias": bias,
        "mean": mean,
        "spread": spread,
    }
    errors = table.errors[normal[table.y]]
    return scale | tables_of(fit_oddity(errors, sigma, part_weights=part_weights))


def own_errors(table: ErrorTable) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (D, K) of the error that cells of a class have under it."""
    classes = range(table.errors.shape[2])
    own = [table.errors[table.y == c][:, :, c] for c in classes]
    return np.stack([e.mean(axis=0) for e in own], axis=1), np.stack(
        [e.std(axis=0) + 1e-4 for e in own], axis=1
    )
