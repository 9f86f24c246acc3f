"""Which classes can still win, and when one is out: an anytime-valid bound on how often the early
label is another one.

The reference of a cell is its label by every draw in fp32. The draws are one fixed list, the same
for all cells, so there is no chance in them that a test over draws could count on; chance is in
which cell comes. The statistic of a cell is the least that the probability of its reference's class
falls to at any draw: an early label is another than the reference only if that class was dropped,
so only if this *running minimum* lies below the threshold, wherever the judge stops. (Were the
probabilities exact, they would be martingales over the draws, their inverses e-processes, and
Ville's inequality would give the threshold. They are fitted, so the threshold is an order statistic
of the running minima of calibration cells instead, which needs no such faith.)

The *chance* of a class is that of its being the reference's, given the draws so far: the
probability sharpened by a temperature a draw, since how a cell will be called is surer than what it
is. Cells between two classes settle early on one.

The share of cells, exchangeable with n calibration cells, whose running minimum is below the k-th
smallest of theirs is Beta(k, n + 1 - k) whatever the distribution (Wilks 1941; for conformal
prediction, Vovk 2012). `threshold` takes the largest k for which that share is at most the level
with 95 % confidence.
"""

from collections.abc import Sequence

import numpy as np
import scipy  # loads scipy.optimize where something is fitted
from scipy.special import betaincinv, log_softmax

CONFIDENCE = 0.95  # by convention; `cytostream bench judge DATA` compares it with what is observed
NEVER = 1e-12  # a threshold that no class falls below
SHARPEST_DULLEST = 0.01, 10.0


def chance_of(probability: np.ndarray, settling: np.ndarray) -> np.ndarray:
    """Chances (..., d, K) of being the label in the end, from probabilities after each draw;
    settling (D,), D >= d.
    """
    sharp = (probability / probability.max(axis=-1, keepdims=True)) ** (
        1 / settling[: probability.shape[-2], None]
    )
    result: np.ndarray = sharp / sharp.sum(axis=-1, keepdims=True)
    return result


def fit_settling(probability: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Temperatures (D,) under which the sharpened probabilities (n, D, K) are likeliest for the
    labels (n,) by every draw.

    a (1/d - 1/D)^b after d draws: the mean of d of D draws is off that of all by a spread of that
    shape, b = 1/2 were the draws alike. The last draw, which leaves no doubt, has that of the one
    before: what is close there is undecided.
    """
    draws = probability.shape[1]
    logs = np.log(np.clip(probability, 1e-300, None))
    doubt = 1 / np.clip(np.arange(1, draws + 1), 1, max(1, draws - 1)) - 1 / max(2, draws)
    rows = np.arange(len(reference))

    def curve(x: np.ndarray) -> np.ndarray:
        result: np.ndarray = np.clip(np.exp(x[0]) * doubt ** np.exp(x[1]), *SHARPEST_DULLEST)
        return result

    def loss(x: np.ndarray) -> float:
        result: float = -log_softmax(logs / curve(x)[:, None], axis=2)[rows, :, reference].mean()
        return result

    return curve(
        scipy.optimize.minimize(loss, np.array([-0.7, -0.7]), method="Nelder-Mead").x
    ).astype(np.float32)


def survivors_of(chance: np.ndarray, threshold: float) -> np.ndarray:
    """Classes (..., K) that no draw of chances (..., d, K) has put below the threshold; if none,
    the last draw's leader.
    """
    left = (chance >= threshold).all(axis=-2)
    leader = np.arange(chance.shape[-1]) == chance[..., -1, :].argmax(axis=-1)[..., None]
    return np.where(left.any(axis=-1, keepdims=True), left, leader)


def settled_at(chance: np.ndarray, threshold: float) -> np.ndarray:
    """After how many draws (n,) one class is left of chances (n, D, K); D where several still
    are.
    """
    alone = (np.minimum.accumulate(chance, axis=1) >= threshold).sum(axis=2) <= 1
    result: np.ndarray = np.where(alone.any(axis=1), alone.argmax(axis=1) + 1, chance.shape[1])
    return result


def running_minimum(chance: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The least chance (n,) of the reference's class (n,) over the draws of (n, D, K); 0 where the
    last draw's leader is another.

    Such cells differ from the reference however late the judge stops: their engine rounds
    otherwise.
    """
    least = chance[np.arange(len(reference)), :, reference].min(axis=1)
    return np.where(chance[:, -1].argmax(axis=1) == reference, least, 0.0)


def threshold(least: np.ndarray, level: float, confidence: float = CONFIDENCE) -> float:
    """The highest threshold below which a new cell's running minimum falls in at most `level` of
    cells, with `confidence`.

    `least` (n,) are the running minima of the calibration cells; of too few (fewer than 598 for a
    level of 0.005) it is one that drops no class.

    Example:
        >>> threshold(np.linspace(0, 1, 1001), level=0.01)
        0.004
    """
    n = len(least)
    ranks = np.arange(1, n + 1)
    safe = int((betaincinv(ranks, n + 1 - ranks, confidence) <= level).sum())
    return max(NEVER, float(np.sort(least)[safe - 1])) if safe else NEVER


def settle(probabilities: Sequence[np.ndarray], level: float) -> tuple[np.ndarray, float]:
    """A model's `settling` (D,) and its card's `elimination`, which holds the level in every
    arithmetic the card allows.

    probabilities: (n, D, K) of calibration cells after each draw, an array an arithmetic, fp32
    first. Every fifth cell fits the settling, the others give the threshold: its bound wants cells
    that nothing of the rule was fitted on.
    """
    reference = probabilities[0][:, -1].argmax(axis=1)
    fitting = np.arange(len(reference)) % 5 == 0
    settling = fit_settling(probabilities[0][fitting], reference[fitting])
    least = [
        running_minimum(chance_of(p[~fitting], settling), reference[~fitting])
        for p in probabilities
    ]
    return settling, threshold(np.minimum.reduce(least), level)
