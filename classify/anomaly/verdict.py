"""How odd a cell is, from the errors of its classes."""

import numpy as np

from classify.model_card import Model
from classify.verdict import Anomaly

from .score import oddity_of, relative


def absolute(
    errors: np.ndarray, winner: np.ndarray, mean: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """Errors (n, d, K) of the winning class (n,) against what normal cells of it have: mean z over
    the draws (n,).

    `mean`, `spread` (D, K), D >= d. High where no class explains the cell well.
    """
    d = errors.shape[1]
    own = errors[np.arange(len(winner)), :, winner]
    return ((own - mean[:d, winner].T) / spread[:d, winner].T).mean(axis=1)


def assess(model: Model, errors: np.ndarray, probability: np.ndarray) -> Anomaly:
    """The anomaly of one cell after the draws of errors (d, K), given its class probabilities
    (K,).
    """
    e = errors[None]
    winner = probability[None].argmax(axis=1)
    score = 1 - float(oddity_of(model).p_value(e)[0])
    zeta = float(relative(e)[0])
    z = float(absolute(e, winner, model.mean, model.spread)[0])
    return Anomaly(score, zeta, z, reason_of(model, probability, z, score))


def reason_of(model: Model, probability: np.ndarray, z: float, score: float) -> str:
    """One sentence: what the cell is nearest to, how well that explains it, and what else it could
    be.
    """
    best, second = np.argsort(probability)[::-1][:2]
    name = model.card.classes
    fit = (
        f"{z:.1f} spreads off what normal cells of it have"
        if z > 0
        else "as well as it explains normal cells of it"
    )
    return (
        f"nearest to {name[best]} (p {probability[best]:.2f}), which explains it "
        f"{'worse: ' if z > 0 else ''}{fit}; "
        f"then {name[second]} (p {probability[second]:.2f}); {per_thousand(1 - score)} in 1,000 "
        "normal cells are as odd"
    )


def per_thousand(share: float) -> str:
    """A share as so many in a thousand, for a sentence.

    Example:
        >>> per_thousand(0.4801), per_thousand(0.00076), per_thousand(1e-9)
        ('480', '0.76', 'fewer than 0.001')
    """
    n = 1000 * share
    return "fewer than 0.001" if n < 0.001 else f"{n:.0f}" if n >= 10 else f"{n:.2g}"
