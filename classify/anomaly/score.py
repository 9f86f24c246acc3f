"""How anomalous a cell's errors are among those of normal cells, learnt on normal cells alone,
after any number of draws.

Three questions, each a p-value against normal cells after as many draws, put together by Fisher's
method and set against normal cells once more, so that what the three share does no harm:
does no class explain the cell clearly better than the rest (`relative`, the paper's); does no class
explain it well (`least`); do the classes explain it as they do no normal cell, be it too ill or too
well (`pattern`).
"""

from dataclasses import dataclass, field

import numpy as np

from classify.errors import ModelError
from classify.model_card import Model

from .conformal import fit_tail, p_values

# Chosen on pbc/val and deepapl by `cytostream evaluate`: figures of these cells are not held out.
BANDS = 4
DETAIL = 0.12
_SHRINK = 0.05  # of the covariance towards its diagonal
FOLDS = 5
ANOMALY_WEIGHTS = (
    0.5,
    1.0,
    1.0,
)  # relative, least, pattern: what lies between two classes is first of all undecided, not odd
_FLOOR = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Oddity:
    """Of D draws, K classes, F = BANDS * K features, n normal cells.

    `sigma` (D,); `centre` (D, F) and `covariance` (D, F, F) of the features after 1 .. D draws,
    and the covariance's `whitening`;
    `parts` (D, 3, n) sorted scores of normal cells and `part_tails` (D, 3, 3); `normal` (D, n)
    sorted and `tail` (D, 3) of all three together, in which each has its weight of `part_weights`
    (3,).
    """

    sigma: np.ndarray
    centre: np.ndarray
    covariance: np.ndarray
    parts: np.ndarray
    part_tails: np.ndarray
    normal: np.ndarray
    tail: np.ndarray
    part_weights: np.ndarray
    whitening: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "whitening", whitening_of(self.covariance))

    def raw(self, errors: np.ndarray) -> np.ndarray:
        """One number (m,) for errors (m, d, K): high is anomalous; to be compared with `normal[d -
        1]` alone.
        """
        d = errors.shape[1] - 1
        three = scores(errors, self.sigma, self.centre[d], self.whitening[d])
        return together(three, self.parts[d], self.part_tails[d], self.part_weights)

    def p_value(self, errors: np.ndarray) -> np.ndarray:
        """Probability (m,) of a normal cell at least as anomalous as errors (m, d, K)."""
        d = errors.shape[1] - 1
        return p_values(self.raw(errors), self.normal[d], self.tail[d])


SCORE_TABLES = ("centre", "covariance", "parts", "part_tails", "normal", "tail", "part_weights")


def oddity_of(model: Model) -> Oddity:
    """A model's own.

    Raises:
        ModelError: its tables have none.
    """
    if model.centre is None:
        raise ModelError(
            f"{model.graph.parent}: nothing on normal cells in its tables", "export the model again"
        )
    kept = {name: getattr(model, name) for name in SCORE_TABLES}
    if model.part_weights is None:
        kept["part_weights"] = np.array(ANOMALY_WEIGHTS)
    return Oddity(model.sigma, **kept)


def tables_of(oddity: Oddity) -> dict[str, np.ndarray]:
    """As a model keeps it."""
    return {name: getattr(oddity, name).astype(np.float32) for name in SCORE_TABLES}


def relative(errors: np.ndarray) -> np.ndarray:
    """The paper's zeta with its sign turned: errors (n, d, K) -> (n,), high where no class explains
    the cell clearly better.

    Mean errors sorted and divided by their mean, zeta = sum_j (e_j - e_0) / k - sum_jl |e_l - e_j|
    / (k (k - 1)) over the k classes after the best (Deltadahl et al. 2025).
    """
    e = np.sort(errors.mean(axis=1), axis=1)
    e = e / e.mean(axis=1, keepdims=True)
    rest = e[:, 1:]
    k = rest.shape[1]
    spread = np.abs(rest[:, :, None] - rest[:, None, :]).sum(axis=(1, 2)) / max(1, k * (k - 1))
    result: np.ndarray = spread - (rest - e[:, :1]).mean(axis=1)
    return result


def bands_of(sigma: np.ndarray) -> np.ndarray:
    """Which quarter of the noise levels each draw (D,) is of."""
    return np.argsort(np.argsort(sigma, kind="stable")) * BANDS // len(sigma)


def features(errors: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Mean log errors (m, F) of errors (m, d, K), class by class in each band of noise; 0 where no
    draw was in a band.
    """
    logs = np.log(np.maximum(errors, _FLOOR))
    band = bands_of(sigma)[: errors.shape[1]]
    blank = np.zeros((len(errors), errors.shape[2]))
    return np.concatenate(
        [
            np.compress(band == b, logs, axis=1).mean(axis=1) if (band == b).any() else blank
            for b in range(BANDS)
        ],
        axis=1,
    )


def least(errors: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Mean log error (m,) of the class that explains best, draw by draw; little noise counts more,
    since it shows detail.

    With less than `DETAIL` the error is the noise's own, whatever the cell.
    """
    weight = 1 / np.maximum(sigma[: errors.shape[1]], DETAIL)
    logs = np.log(np.maximum(errors.min(axis=2), _FLOOR))
    result: np.ndarray = (logs * (weight / weight.sum())).sum(axis=1)
    return result


def scores(
    errors: np.ndarray, sigma: np.ndarray, centre: np.ndarray, whitening: np.ndarray
) -> np.ndarray:
    """The three scores (3, m) of errors (m, d, K); the last is a squared Mahalanobis distance.

    Sums go over each cell's own numbers in one order, without BLAS, whose order depends on m.
    """
    away = np.ascontiguousarray(features(errors, sigma) - centre)
    white = np.einsum("mf,gf->mg", away, whitening)
    return np.stack([relative(errors), least(errors, sigma), (white**2).sum(axis=1)])


def whitening_of(covariance: np.ndarray) -> np.ndarray:
    """Matrices (..., F, F) that make features of these covariances uncorrelated, of variance 1."""
    return np.linalg.inv(np.linalg.cholesky(np.asarray(covariance, np.float64)))


def together(
    three: np.ndarray, parts: np.ndarray, tails: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Fisher's -2 sum log p (m,), weighted (3,), of scores (3, m) against sorted ones (3, n)."""
    logs = [
        np.log(np.maximum(p_values(s, n, t), _FLOOR))
        for s, n, t in zip(three, parts, tails, strict=True)
    ]
    result: np.ndarray = -2 * (weights[:, None] * np.stack(logs)).sum(axis=0)
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Of the features of normal cells after 1 .. D draws: centre (D, F), covariance (D, F, F) that
    can be inverted.
    """

    centre: np.ndarray
    covariance: np.ndarray

    @property
    def whitening(self) -> np.ndarray:
        return whitening_of(self.covariance)


def moments(errors: np.ndarray, sigma: np.ndarray) -> Moments:
    """Of normal cells' errors (n, D, K)."""
    known = [features(errors[:, :d], sigma) for d in range(1, errors.shape[1] + 1)]
    return Moments(
        np.stack([f.mean(axis=0) for f in known]),
        regular(np.stack([np.cov(f.T, bias=True) for f in known])),
    )


def regular(covariance: np.ndarray) -> np.ndarray:
    """Covariances (D, F, F) that can be inverted: drawn a little towards their diagonals; features
    of no draw stand alone.
    """
    diagonal = np.einsum("dff->df", covariance)
    result: np.ndarray = (1 - _SHRINK) * covariance + np.stack(
        [np.diag(_SHRINK * v + (v == 0) + 1e-8) for v in diagonal]
    )
    return result


def fit_oddity(
    errors: np.ndarray,
    sigma: np.ndarray,
    home: Moments | Oddity | None = None,
    seed: int = 0,
    part_weights: tuple[float, float, float] = ANOMALY_WEIGHTS,
) -> Oddity:
    """Learnt on normal cells' errors (n, D, K); the weights of the three scores are `home`'s where
    there is one.

    The scores that new cells are set against come from cells that neither the moments nor the parts
    were learnt on (5-fold), else they would lie too near. Of another laboratory's cells only those
    scores are measured, about the moments of `home`: learnt again on a few hundred, the moments
    would take in what tells its anomalies.
    """
    weights = home.part_weights if isinstance(home, Oddity) else np.array(part_weights)
    fold = np.random.default_rng(seed).permutation(len(errors)) % FOLDS
    held = np.empty((errors.shape[1], len(ANOMALY_WEIGHTS), len(errors)))
    for f in range(FOLDS):
        held[:, :, fold == f] = all_scores(
            errors[fold == f], sigma, home or moments(errors[fold != f], sigma)
        )
    joint = np.empty((errors.shape[1], len(errors)))
    for f in range(FOLDS):
        others = ranked(held[:, :, fold != f])
        joint[:, fold == f] = joined(held[:, :, fold == f], *others, weights)
    of = home or moments(errors, sigma)
    joint = np.sort(joint, axis=1)
    tail = np.array([fit_tail(row) for row in joint])
    return Oddity(sigma, of.centre, of.covariance, *ranked(held), joint, tail, weights)


def ranked(held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of normal cells (D, 3, n) sorted, and their tails (D, 3, 3)."""
    parts = np.sort(held, axis=2)
    return parts, np.array([[fit_tail(part) for part in draw] for draw in parts])


def joined(
    held: np.ndarray, parts: np.ndarray, tails: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """All three together (D, m) of scores (D, 3, m), against those of other normal cells."""
    return np.stack([together(*draw, weights) for draw in zip(held, parts, tails, strict=True)])


def all_scores(errors: np.ndarray, sigma: np.ndarray, of: Moments | Oddity) -> np.ndarray:
    """The three scores (D, 3, n) after 1 .. D draws."""
    draws = zip(of.centre, of.whitening, strict=True)
    return np.stack([scores(errors[:, : d + 1], sigma, *known) for d, known in enumerate(draws)])
