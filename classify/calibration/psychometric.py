"""The psychometric function: how often a label is right, given how sure it says it is (numpy and
scipy alone).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # loads scipy.optimize where something is fitted
from scipy.special import expit, logit

_SURE = 1e-4
_RESAMPLES = 200
_BINS = 200
STARTS = ((0.5, 0.4), (0.75, 0.2), (0.9, 0.05))  # threshold, width
ALPHA = 0.05  # the width runs from this share of the rise to all but it (Wichmann & Hill 2001)
_UNKNOWN = (float("nan"), float("nan"))
LAPSE_PRIOR = (1.0, 10.0)  # Beta, as psignifit has it: most cells are not lapses


@dataclass(frozen=True, slots=True)
class Psychometric:
    """P(right | confidence x) = guess + (1 - guess - lapse) * logistic(z (x - threshold) / width),
    z = 2 logit(1 - ALPHA).

    `threshold` is the confidence at half of the rise, `width` that from 5 to 95 % of it; `guess` is
    1 / K, fixed; the intervals are 95 % percentile bootstrap.
    """

    threshold: float
    width: float
    lapse: float
    guess: float
    cells: int
    threshold_interval: tuple[float, float] = _UNKNOWN
    width_interval: tuple[float, float] = _UNKNOWN
    lapse_interval: tuple[float, float] = _UNKNOWN

    def __call__(self, confidence: np.ndarray) -> np.ndarray:
        return curve(np.asarray(confidence), self.threshold, self.width, self.lapse, self.guess)


def curve(x: np.ndarray, threshold: float, width: float, lapse: float, guess: float) -> np.ndarray:
    result: np.ndarray = guess + (1 - guess - lapse) * expit(
        2 * logit(1 - ALPHA) * (x - threshold) / width
    )
    return result


def fit_psychometric(
    confidence: np.ndarray, right: np.ndarray, classes: int, resamples: int = _RESAMPLES
) -> Psychometric:
    """Fit to confidences (n,) in [0, 1] and whether the label was right (n,), by penalised maximum
    likelihood.

    Notes:
        Where every cell is right threshold and width are not told by the data; the fit then ends
        where its starts lead.

    Raises:
        ValueError: no cells.
    """
    if not len(confidence):
        raise ValueError("no cells to fit a psychometric function to")
    cell = np.clip((np.asarray(confidence) * _BINS).astype(int), 0, _BINS - 1)
    hit = np.asarray(right, float)
    found = best_fit(*binned(cell, hit), 1 / classes, STARTS)
    rng = np.random.default_rng(0)
    draws = (rng.integers(0, len(hit), len(hit)) for _ in range(resamples))
    near = [found[:2].tolist()]
    again = np.array([best_fit(*binned(cell[i], hit[i]), 1 / classes, near) for i in draws])
    threshold, width, lapse = map(float, found)
    spans = [interval_of(column) for column in again.T] if resamples else [_UNKNOWN] * 3
    return Psychometric(
        threshold,
        width,
        lapse,
        guess=1 / classes,
        cells=len(hit),
        threshold_interval=spans[0],
        width_interval=spans[1],
        lapse_interval=spans[2],
    )


def interval_of(values: np.ndarray) -> tuple[float, float]:
    """From the 2.5th to the 97.5th percentile."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def binned(cell: np.ndarray, hit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle, right ones and wrong ones of the bins that have cells."""
    n = np.bincount(cell, minlength=_BINS)
    hits = np.bincount(cell, hit, minlength=_BINS)
    some = n > 0
    return ((np.arange(_BINS) + 0.5) / _BINS)[some], hits[some], (n - hits)[some]


def best_fit(
    x: np.ndarray,
    right: np.ndarray,
    wrong: np.ndarray,
    guess: float,
    starts: Sequence[Sequence[float]],
) -> np.ndarray:
    """Threshold, width and lapse of the likeliest curve from any of the starts, given counts at
    each confidence x.
    """

    def loss(v: np.ndarray) -> float:
        lapse = 0.5 * expit(v[2])
        p = np.clip(curve(x, v[0], np.exp(v[1]), lapse, guess), _SURE, 1 - _SURE)
        a, b = LAPSE_PRIOR
        prior = (
            (a - 1) * np.log(lapse)
            + (b - 1) * np.log1p(-lapse)
            - 0.5 * ((v[1] - np.log(0.3)) / 1.5) ** 2
        )
        result: float = -(right * np.log(p) + wrong * np.log1p(-p)).sum() - prior
        return result

    limits = [(-0.5, 1.5), (np.log(0.01), np.log(5.0)), (-12.0, 4.0)]
    fits = [
        scipy.optimize.minimize(loss, [t, np.log(w), -4.0], bounds=limits, method="L-BFGS-B")
        for t, w in starts
    ]
    v = min(fits, key=lambda f: f.fun).x
    return np.array([v[0], np.exp(v[1]), 0.5 * expit(v[2])])
