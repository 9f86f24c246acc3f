"""A light head on frozen features: regularised logistic regression of a class against the rest."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

NEWTON_STEPS = 50
SOLVED = 1e-9
FREE = 1e-9  # what the intercept is held back by: next to nothing
LEAST_SCALE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class TaughtHead:
    """`centre`, `scale`, `weights` (F,) of normalised features, and `intercept`."""

    centre: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercept: float

    def evidence(self, features: np.ndarray) -> np.ndarray:
        """Log odds (n,) of the class against the rest, were both equally frequent, of features
        (n, F).
        """
        standard = (normalised(features) - self.centre) / self.scale
        found: np.ndarray = standard @ self.weights + self.intercept
        return found


def normalised(features: np.ndarray) -> np.ndarray:
    """Each cell's features (n, F) at mean 0 and spread 1 (layer normalisation): how strongly a cell
    is stained then counts less.
    """
    whole = features.astype(np.float64)
    spread = whole.std(axis=1, keepdims=True)
    found: np.ndarray = (whole - whole.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-6)
    return found


def fit_head(cells: np.ndarray, normal: np.ndarray, penalty: float) -> TaughtHead:
    """The head of a class from features of its cells (n, F) and of normal cells (m, F).

    Both sides weigh the same, however many they are; `penalty` is half the weight of the squared
    length beside the mean loss.
    """
    rest = normalised(normal)
    centre = rest.mean(axis=0)
    scale = np.maximum(rest.std(axis=0), LEAST_SCALE)
    x = (np.concatenate([normalised(cells), rest]) - centre) / scale
    sign = np.concatenate([np.ones(len(cells)), -np.ones(len(rest))])
    share = np.where(sign > 0, 0.5 / len(cells), 0.5 / len(rest))
    weights, intercept = logistic(x, sign, share, penalty)
    return TaughtHead(centre, scale, weights, intercept)


def logistic(
    x: np.ndarray, sign: np.ndarray, share: np.ndarray, penalty: float
) -> tuple[np.ndarray, float]:
    """Weights (F,) and intercept of least logistic loss over rows x (n, F) of signs +1 and -1 (n,),
    each of weight `share` (n,); by Newton's method, in the space of the rows where they are few.
    """
    basis = None
    if len(x) < x.shape[1]:
        left, size, basis = np.linalg.svd(x, full_matrices=False)
        x = left * size
    rows = np.column_stack([x, np.ones(len(x))])
    shrink = np.append(np.full(x.shape[1], penalty), FREE)

    def loss(free: np.ndarray) -> float:
        size = share @ np.logaddexp(0, -sign * (rows @ free))
        return float(size + shrink @ free**2 / 2)

    free = np.zeros(len(shrink))
    for _ in range(NEWTON_STEPS):
        miss = expit(-sign * (rows @ free))
        slope = shrink * free - (sign * share * miss) @ rows
        curve = rows.T @ ((share * miss * (1 - miss))[:, None] * rows) + np.diag(shrink)
        step = np.linalg.solve(curve, slope)
        gain = slope @ step
        if gain < SOLVED:
            break
        whole = loss(free)
        length = 1.0
        while loss(free - length * step) > whole - 0.1 * length * gain and length > SOLVED:
            length /= 2
        free = free - length * step
    weights = free[:-1] if basis is None else free[:-1] @ basis
    return weights, float(free[-1])
