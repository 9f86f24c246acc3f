"""From errors or features to probabilities and scores, fitted on cells that were not trained on
(numpy and scipy alone).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, softmax

from classify.anomaly import Oddity, scores
from classify.calibration import ErrorTable, best_temperature
from classify.model_card import ClassEntry

_FLOOR = 1e-300
_LEAST_LEFT = 1e-12


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """Errors (n, D, K) to probabilities: softmax(-sum_d weight e / temperature + bias)."""

    weight: np.ndarray
    temperature: float
    bias: np.ndarray

    def probability(self, errors: np.ndarray) -> np.ndarray:
        """Class probabilities (n, K) after all draws."""
        evidence = -np.einsum("d,ndk->nk", self.weight, errors, dtype=np.float64)
        result: np.ndarray = softmax(evidence / self.temperature + self.bias, axis=1)
        return result


@dataclass(frozen=True, slots=True)
class Scores:
    """Of n cells: probabilities (n, K) and, by the name of the score, the anomaly score of
    each (n,).
    """

    probability: np.ndarray
    odd: dict[str, np.ndarray]

    @property
    def predicted(self) -> np.ndarray:
        result: np.ndarray = self.probability.argmax(axis=1)
        return result

    @property
    def confidence(self) -> np.ndarray:
        result: np.ndarray = self.probability.max(axis=1)
        return result


def search_scores(
    probability: np.ndarray, classes: tuple[str, ...], taxonomy: dict[str, ClassEntry]
) -> dict[str, np.ndarray]:
    """How much each cell (n,) looks like a class that is not normal, by the name of the score, from
    class probabilities (n, K): the probability of that class, those beside it left out.
    """
    found = {}
    for name, entry in taxonomy.items():
        if entry.normal or name not in classes:
            continue
        own = probability[:, classes.index(name)]
        near = sum(probability[:, classes.index(c)] for c in entry.beside if c in classes)
        found[f"search for {name}"] = own / np.maximum(1 - near, _LEAST_LEFT)
    return found


def centred(probability: np.ndarray, home: np.ndarray) -> np.ndarray:
    """Class numbers (n,) of a set's probabilities (n, K) once each class has the mean log evidence
    that it has at `home` (m, K).

    An adaptation to cells without labels: it takes for granted that the set holds the classes in
    about the shares of home.
    """
    here, there = (np.log(np.maximum(p, _FLOOR)) for p in (probability, home))
    result: np.ndarray = (here - here.mean(axis=0) + there.mean(axis=0)).argmax(axis=1)
    return result


def score_scale_of(
    table: ErrorTable, weight: np.ndarray, bias: np.ndarray | None = None
) -> ScoreScale:
    """Weights as they are, and the temperature; the class biases are the priors of a taxonomy (K,)
    or none, and never fitted, as `calibrate.fit` says why.
    """
    logits = -np.einsum("d,ndk->nk", weight, table.errors, dtype=np.float64)
    prior = np.zeros(logits.shape[1]) if bias is None else bias
    return ScoreScale(weight, best_temperature(logits, table.y, prior), prior)


def bare(weight: np.ndarray, classes: int) -> ScoreScale:
    """No calibration: for labels alone, where every labelled cell counts."""
    return ScoreScale(weight, 1.0, np.zeros(classes))


def ours(errors: np.ndarray, scale: ScoreScale, oddity: Oddity | None) -> Scores:
    """Scores of a denoiser's errors (n, D, K): `oddity`'s three and what they come to together."""
    p = scale.probability(errors)
    if oddity is None:
        return Scores(p, {})
    relative, least, pattern = scores(errors, oddity.sigma, oddity.centre[-1], oddity.whitening[-1])
    return Scores(
        p,
        {
            "relative": relative,
            "absolute": least,
            "pattern": pattern,
            "combined": oddity.raw(errors),
        },
    )


@dataclass(frozen=True, slots=True)
class Nearness:
    """Class means (K, F) and the inverse (F, F) of the covariance they share (Lee et al. 2018)."""

    means: np.ndarray
    inverse: np.ndarray

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distance (n,) of features (n, F) to the nearest class."""
        away = features[:, None].astype(np.float64) - self.means
        result: np.ndarray = np.einsum(
            "nkf,fg,nkg->nk", away, self.inverse, away, optimize=True
        ).min(axis=1)
        return result


def fit_nearness(features: np.ndarray, y: np.ndarray) -> Nearness:
    """Of features (n, F) and class numbers (n,); with few cells the covariance is drawn towards its
    diagonal.
    """
    features = features.astype(np.float64)
    means = {c: features[y == c].mean(axis=0) for c in np.unique(y)}
    spread = np.cov((features - np.stack([means[c] for c in y])).T, bias=True)
    share = features.shape[1] / (features.shape[1] + len(y))
    shrunk = (1 - share) * spread + share * np.diag(np.diag(spread) + 1e-9)
    return Nearness(np.stack(list(means.values())), np.linalg.inv(shrunk))


def discriminative(
    features: np.ndarray, logits: np.ndarray, scale: ScoreScale, nearness: Nearness | None
) -> Scores:
    """Scores of a classifier's features (n, F) and logits (n, K).

    One less the greatest softmax, the energy (Liu et al. 2020), and the Mahalanobis distance of the
    features.
    """
    p = scale.probability(-logits[:, None])
    odd = {"softmax": 1 - p.max(axis=1), "energy": -logsumexp(logits, axis=1)}
    return Scores(
        p, odd if nearness is None else odd | {"Mahalanobis": nearness.distance(features)}
    )
