"""What is measured of a classifier, and how surely: one definition each (numpy and scipy alone).

Labels y and predictions are class numbers (n,), probabilities (n, K), anomaly scores (n,) where
higher is more anomalous.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

BINS = 15
FALSE_ALERTS = 0.01
_RESAMPLES = 1000


def recalls(y: np.ndarray, predicted: np.ndarray) -> dict[int, float]:
    """Share found of each class that y has."""
    return {int(c): float((predicted[y == c] == c).mean()) for c in np.unique(y)}


def balanced_accuracy(y: np.ndarray, predicted: np.ndarray) -> float:
    """Mean of the recall of each class that y has."""
    return float(np.mean(list(recalls(y, predicted).values())))


def confusion(y: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes): rows are the truth, columns the prediction."""
    return np.bincount(y * classes + predicted, minlength=classes**2).reshape(classes, classes)


def auc(odd: np.ndarray, anomalous: np.ndarray) -> float:
    """Probability that an anomalous cell has a higher score than a normal one, ties counting half
    (Mann and Whitney).
    """
    ranks = rankdata(odd)
    n = int(anomalous.sum())
    return float((ranks[anomalous].sum() - n * (n + 1) / 2) / (n * (len(odd) - n)))


def sensitivity(
    odd: np.ndarray, anomalous: np.ndarray, false_alerts: float = FALSE_ALERTS
) -> float:
    """Share of anomalous cells above the threshold that at most `false_alerts` of the normal cells
    exceed.
    """
    threshold = np.quantile(odd[~anomalous], 1 - false_alerts, method="higher")
    return float((odd[anomalous] > threshold).mean())


def ece(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error over bins of equal mass (Nixon et al. 2019)."""
    order = np.array_split(np.argsort(confidence, kind="stable"), bins)
    gaps = [len(i) * abs(confidence[i].mean() - right[i].mean()) for i in order if len(i)]
    return float(sum(gaps) / len(confidence))


def brier(probability: np.ndarray, y: np.ndarray) -> float:
    """Mean squared distance of the probabilities to the truth, summed over classes, in [0, 2]
    (Brier 1950).
    """
    return float(((probability - np.eye(probability.shape[1])[y]) ** 2).sum(axis=1).mean())


def risk_coverage(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Error rate (n,) among the 1, 2, ... n most confident cells."""
    order = np.argsort(-confidence, kind="stable")
    return np.cumsum(~right[order]) / np.arange(1, len(right) + 1)


def aurc(confidence: np.ndarray, right: np.ndarray) -> float:
    """Area under the risk-coverage curve (Geifman and El-Yaniv 2017): 0 is best."""
    return float(risk_coverage(confidence, right).mean())


def selective_accuracy(confidence: np.ndarray, right: np.ndarray, coverage: float) -> float:
    """Accuracy on the `coverage` share of cells that are most confident."""
    return float(1 - risk_coverage(confidence, right)[max(1, round(coverage * len(right))) - 1])


def interval(
    statistic: Callable[[np.ndarray], float],
    strata: np.ndarray,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Value and 95 % percentile bootstrap interval of a statistic of chosen row numbers, resampled
    within strata (n,).
    """
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    drawn = [
        statistic(np.concatenate([rng.choice(g, len(g)) for g in groups])) for _ in range(resamples)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return statistic(np.arange(len(strata))), float(low), float(high)
