"""How anomalous a cell is, from the errors of its classes."""

from dataclasses import dataclass

import numpy as np

from classify.model_card import Model
from classify.verdict import Anomaly

from .score import Oddity, relative


def absolute(
    errors: np.ndarray, winner: np.ndarray, mean: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """Errors (n, d, K) of the winning class (n,) against what normal cells of it have: mean z over
    the draws (n,).

    `mean`, `spread` (D, K), D >= d. High where no class explains the cell well.
    """
    d = errors.shape[1]
    own = errors[np.arange(len(winner)), :, winner]
    z = np.ascontiguousarray((own - mean[:d, winner].T) / spread[:d, winner].T)
    result: np.ndarray = z.mean(axis=1)
    return result


@dataclass(frozen=True, slots=True, eq=False)
class AnomalyScores:
    """Of n cells (n,): as `Anomaly` has them."""

    score: np.ndarray
    relative: np.ndarray
    absolute: np.ndarray

    def part(self, rows: np.ndarray) -> "AnomalyScores":
        return AnomalyScores(self.score[rows], self.relative[rows], self.absolute[rows])


def assess(
    model: Model, oddity: Oddity, errors: np.ndarray, probability: np.ndarray
) -> AnomalyScores:
    """The anomaly of cells after the draws of errors (n, d, K), given their class probabilities
    (n, K).
    """
    winner = probability.argmax(axis=1)
    return AnomalyScores(
        1 - oddity.p_value(errors),
        relative(errors),
        absolute(errors, winner, model.mean, model.spread),
    )


def anomaly_of(model: Model, scores: AnomalyScores, probability: np.ndarray, row: int) -> Anomaly:
    """The anomaly of the cell of one row, with its reason, given its probabilities (K,)."""
    score = float(scores.score[row])
    z = float(scores.absolute[row])
    return Anomaly(score, float(scores.relative[row]), z, reason_of(model, probability, z, score))


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
        "normal cells are as anomalous"
    )


def per_thousand(share: float) -> str:
    """A share as so many in a thousand, for a sentence.

    Example:
        >>> per_thousand(0.4801), per_thousand(0.00076), per_thousand(1e-9)
        ('480', '0.76', 'fewer than 0.001')
    """
    n = 1000 * share
    return "fewer than 0.001" if n < 0.001 else f"{n:.0f}" if n >= 10 else f"{n:.2g}"
