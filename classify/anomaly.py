"""How odd a cell is, from the errors of its classes."""

import numpy as np

from .card import Model
from .verdict import Anomaly


def relative(errors: np.ndarray) -> np.ndarray:
    """The paper's zeta with its sign turned: errors (n, d, K) -> (n,), high where no class explains the cell clearly better.

    Mean errors sorted and divided by their mean, zeta = sum_j (e_j - e_0) / k - sum_jl |e_l - e_j| / (k (k - 1)) over the
    k classes after the best (Deltadahl et al. 2025).
    """
    e = np.sort(errors.mean(axis=1), axis=1)
    e = e / e.mean(axis=1, keepdims=True)
    rest = e[:, 1:]
    k = rest.shape[1]
    spread = np.abs(rest[:, :, None] - rest[:, None, :]).sum(axis=(1, 2)) / max(1, k * (k - 1))
    return spread - (rest - e[:, :1]).mean(axis=1)


def absolute(errors: np.ndarray, winner: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Errors (n, d, K) of the winning class (n,) against what normal cells of it have: mean z over the draws (n,).

    `mean`, `spread` (D, K), D >= d. High where no class explains the cell well.
    """
    d = errors.shape[1]
    own = errors[np.arange(len(winner)), :, winner]
    return ((own - mean[:d, winner].T) / spread[:d, winner].T).mean(axis=1)


def raw_anomaly(errors: np.ndarray, probability: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """One number (n,) of both: to be compared with that of normal cells after as many draws."""
    doubt = -np.log(np.clip(probability.max(axis=1), 1e-6, 1 - 1e-6))
    return absolute(errors, probability.argmax(axis=1), mean, spread) + doubt


def against_normal(raw: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Share of the calibration's normal cells that are less odd; `normal` is sorted.

    1 less the p-value of split conformal testing, so at most 1 - 1 / (len + 1).
    """
    return np.searchsorted(normal, raw, side="left") / (len(normal) + 1)


def assess(model: Model, errors: np.ndarray, probability: np.ndarray) -> Anomaly:
    """The anomaly of one cell after the draws of errors (d, K), given its class probabilities (K,)."""
    e, p = errors[None], probability[None]
    raw = raw_anomaly(e, p, model.mean, model.spread)
    score = float(against_normal(raw, model.normal[len(errors) - 1])[0])
    zeta, z = float(relative(e)[0]), float(absolute(e, p.argmax(axis=1), model.mean, model.spread)[0])
    return Anomaly(score, zeta, z, reason_of(model, probability, z, score))


def reason_of(model: Model, probability: np.ndarray, z: float, score: float) -> str:
    """One sentence: what the cell is nearest to, how well that explains it, and what else it could be."""
    best, second = np.argsort(probability)[::-1][:2]
    name = model.card.classes
    fit = f"{z:.1f} spreads off what normal cells of it have" if z > 0 else "as well as it explains normal cells of it"
    return (
        f"nearest to {name[best]} (p {probability[best]:.2f}), which explains it {'worse: ' if z > 0 else ''}{fit}; "
        f"then {name[second]} (p {probability[second]:.2f}); odder than {100 * score:.1f} % of normal cells"
    )
