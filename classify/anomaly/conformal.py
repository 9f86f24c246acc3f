"""Error rates that hold for cells like the calibration's: p-values of the anomaly score, sets of
classes, what a slide's alerts amount to.

Split conformal testing and prediction (Vovk et al. 2005; Bates et al. 2023 on outliers; Sadinle et
al. 2019 on sets).
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import bdtrc

TAIL = 0.1  # share of the normal scores that the tail is fitted to; chosen, not measured
EXPONENTIAL = 1e-6  # a shape below this is none
_LEAST = 1e-30


def fit_tail(normal: np.ndarray) -> tuple[float, float, float]:
    """Threshold, scale and shape of a generalised Pareto tail of sorted normal scores (n,).

    Hosking & Wallis's (1987) probability-weighted moments; the shape is not let below 0, which
    keeps p-values on the large side: n scores cannot bound an extreme score, and must not pretend
    to.

    Notes:
        Fewer than 20 scores over the threshold: the tail is exponential.
    """
    n = len(normal)
    above = normal[n - max(2, round(TAIL * n)) :]
    threshold = float(normal[max(0, n - len(above) - 1)])
    excess = np.sort(above - threshold)
    mean = max(float(excess.mean()), 1e-9)
    if len(excess) < 20:
        return threshold, mean, 0.0
    rank = (np.arange(1, len(excess) + 1) - 0.35) / len(excess)
    weighted = float((excess * (1 - rank)).mean())
    shape = 2 - mean / (mean - 2 * weighted) if mean > 2 * weighted else 0.0
    shape = float(np.clip(shape, 0.0, 0.9))
    return threshold, mean * (1 - shape), shape


def p_values(raw: np.ndarray, normal: np.ndarray, tail: np.ndarray | None = None) -> np.ndarray:
    """Probability (m,) of a normal cell at least as anomalous as raw (m,), given the sorted scores
    of normal cells (n,).

    The split conformal p-value, (1 + the number at least as anomalous) / (n + 1), which holds for
    any n. It cannot fall below 1 / (n + 1); for a cell more anomalous than all n it goes on as the
    fitted tail does, from there or from the tail's beginning, whichever is the larger: this part
    holds as far as the tail can be trusted.
    """
    n = len(normal)
    counted = (1 + n - np.searchsorted(normal, raw, side="left")) / (n + 1)
    if tail is None:
        return counted
    share = (1 + n - np.searchsorted(normal, tail[0], side="right")) / (n + 1)
    anchor = max(share, 1 / (n + 1) / survival(normal[-1:], tail)[0])
    return np.where(
        raw > normal[-1], np.minimum(anchor * survival(raw, tail), 1 / (n + 1)), counted
    )


def survival(raw: np.ndarray, tail: np.ndarray) -> np.ndarray:
    """Share (m,) of a generalised Pareto tail (threshold, scale, shape) that lies above raw
    (m,).
    """
    threshold, scale, shape = tail
    over = np.maximum(raw - threshold, 0) / scale
    result: np.ndarray = np.maximum(
        np.exp(-over) if shape < EXPONENTIAL else (1 + shape * over) ** (-1 / shape), _LEAST
    )
    return result


def label_scores(probability: np.ndarray, y: np.ndarray, least: int = 0) -> np.ndarray:
    """How ill their own class suits labelled cells: 1 - probability, sorted, a row a class (K, n),
    padded with infinity.

    A class of fewer than `least` cells gets those of all classes: too few can exclude nothing.
    """
    own = 1 - probability[np.arange(len(y)), y]
    rows = [own[y == c] if (y == c).sum() >= least else own for c in range(probability.shape[1])]
    return padded_scores([np.sort(row) for row in rows])


def padded_scores(rows: list[np.ndarray]) -> np.ndarray:
    """Sorted rows of different lengths as one array, with infinity at their ends."""
    longest = max(map(len, rows))
    return np.stack([np.pad(row, (0, longest - len(row)), constant_values=np.inf) for row in rows])


def prediction_sets(probability: np.ndarray, ill: np.ndarray, coverage: float) -> np.ndarray:
    """Which classes (n, K) bool a cell of probabilities (n, K) may be of, so that each class's own
    cells are covered.

    A class is in unless less than 1 - coverage of its calibration cells, `ill` (K, q) as
    `label_scores` gives, suit it as ill.
    """
    many = np.isfinite(ill).sum(axis=1)
    fewer = np.stack(
        [
            np.searchsorted(row, 1 - p, side="left")
            for row, p in zip(ill, probability.T, strict=True)
        ],
        axis=1,
    )
    result: np.ndarray = (1 + np.maximum(many - fewer, 0)) / (many + 1) > 1 - coverage
    return result


def by_chance(alerts: int, cells: int, rate: float) -> float:
    """Probability of so many alerts or more among normal cells alone, each alerting at `rate`."""
    return float(bdtrc(alerts - 1, cells, rate)) if alerts else 1.0


def benjamini_hochberg(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """q-values (n,): the least false discovery rate at which each would be found (Benjamini &
    Hochberg 1995).
    """
    p = np.asarray(p, float)
    order = np.argsort(p)
    adjusted = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty_like(p)
    q[order] = np.minimum.accumulate(adjusted[::-1])[::-1]
    result: np.ndarray = np.minimum(q, 1.0)
    return result
