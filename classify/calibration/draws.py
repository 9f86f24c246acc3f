"""The draws of a model: an ordered list of (noise level, noise, turn), the same for all cells and
all classes.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy  # loads scipy.optimize where something is fitted
from scipy.special import log_softmax

from classify.pixels import TURNS

SIGMA_RANGE = (0.05, 1.25)
PULL = 0.02  # of fitted weights towards those that training found


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Noise levels `sigma` (D,), unit noises `noise` (D, 3, px, px), and which `turn` (D,) of the
    cell each sees, 0 to 7.

    A cell is the same cell however it lies: with little noise draws would be alike if they all saw
    it lie in one way.
    """

    sigma: np.ndarray
    noise: np.ndarray
    turn: np.ndarray


def candidates(count: int, image_px: int, seed: int = 0) -> Draws:
    """Noise levels log-spaced over where classes part, noises of half-precision values, one turn
    after the other.
    """
    rng = np.random.default_rng(seed)
    noise = (
        rng.standard_normal((count, 3, image_px, image_px)).astype(np.float16).astype(np.float32)
    )
    return Draws(
        np.geomspace(*SIGMA_RANGE, count).astype(np.float32), noise, np.arange(count) % TURNS
    )


def best_temperature(logits: np.ndarray, y: np.ndarray, bias: np.ndarray | float = 0.0) -> float:
    """The temperature under which softmax of logits (n, K) / temperature + bias (K,) is likeliest
    for labels y (n,) (Guo et al. 2017).
    """

    def loss(log_t: float) -> float:
        result: float = -log_softmax(logits / np.exp(log_t) + bias, axis=1)[
            np.arange(len(y)), y
        ].mean()
        return result

    return float(
        np.exp(scipy.optimize.minimize_scalar(loss, bounds=(-6.0, 6.0), method="bounded").x)
    )


def log_loss(logits: np.ndarray, y: np.ndarray) -> float:
    t = best_temperature(logits, y)
    return float(-log_softmax(logits / t, axis=1)[np.arange(len(y)), y].mean())


def order(errors: np.ndarray, weight: np.ndarray, y: np.ndarray, count: int) -> list[int]:
    """Greedy order of draws, by turns for what a cell is and for how anomalous it is.

    Each first, third, ... lowers most the log loss of what has been added up so far. Each second,
    fourth, ... is the one whose errors the earlier draws' foretell worst: an anomalous cell shows
    where its errors are not those that normal cells would have. errors (cells, D, K) of labelled
    cells, weight (D,): returns `count` draw numbers.
    """
    chosen: list[int] = []
    total = np.zeros((errors.shape[0], errors.shape[2]))
    while len(chosen) < count:
        rest = [d for d in range(errors.shape[1]) if d not in chosen]
        if len(chosen) % 2:
            best = rest[int(np.argmax([unforetold(errors, d, chosen) for d in rest]))]
        else:
            best = rest[
                int(np.argmin([log_loss(total - weight[d] * errors[:, d], y) for d in rest]))
            ]
        chosen.append(best)
        total -= weight[best] * errors[:, best]
    return chosen


def weigh(errors: np.ndarray, weight: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Weights (D,) at which the draws' errors (cells, D, K) tell the labels y best together, near
    multiples of those given.

    Training weighs each draw as if it stood alone; draws of much noise err alike, and added up they
    would outvote the others.
    """

    def loss(change: np.ndarray) -> float:
        logits = -np.einsum("d,ndk->nk", weight * np.exp(change), errors)
        result: float = (
            -log_softmax(logits, axis=1)[np.arange(len(y)), y].mean() + PULL * change.var()
        )
        return result

    result: np.ndarray = weight * np.exp(
        scipy.optimize.minimize(
            loss, np.zeros(len(weight)), method="L-BFGS-B", bounds=[(-4, 2)] * len(weight)
        ).x
    )
    return result


def unforetold(errors: np.ndarray, draw: int, known: list[int]) -> float:
    """Share of the variance of a draw's errors (cells, K) that a linear regression on the known
    draws' errors leaves.
    """
    target = errors[:, draw] - errors[:, draw].mean(axis=0)
    given = errors[:, known].reshape(len(errors), -1)
    given = given - given.mean(axis=0)
    left = target - given @ np.linalg.lstsq(given, target, rcond=1e-4)[0]
    return float(((left**2).sum(axis=0) / (target**2).sum(axis=0)).mean())


def random_draws(count: int, image_px: int, seed: int) -> Draws:
    """Noise levels log-uniform over the candidates' range, any noises and turns: what chosen draws
    are compared with.
    """
    low, high = SIGMA_RANGE
    rng = np.random.default_rng(seed)
    sigma = np.exp(rng.uniform(math.log(low), math.log(high), count)).astype(np.float32)
    noise = rng.standard_normal((count, 3, image_px, image_px)).astype(np.float32)
    return Draws(sigma, noise, rng.integers(TURNS, size=count))


def weight_of(sigma: np.ndarray, known: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """a(sigma) (n,) of any noise levels, log-linear as that of the known ones (D,)."""
    return np.exp(np.polyval(np.polyfit(np.log(known), np.log(weight), 1), np.log(sigma)))
