"""How good generated cells are, in the baseline's feature space: likeness, variety, memory, and
what they are taken for.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from classify.pixels import TURNS, turned

_NEIGHBOURS = 3
SUBSETS = 200
SUBSET = 0.5
_NEAR = 0.01
_THUMB_PX = 16


def kid(a: np.ndarray, b: np.ndarray) -> float:
    """Kernel inception distance of features (n, F), (m, F): unbiased squared MMD of a cubic kernel
    (Binkowski et al. 2018).
    """

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        result: np.ndarray = (x @ y.T / x.shape[1] + 1) ** 3
        return result

    def apart(k: np.ndarray) -> float:
        result: float = (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))
        return result

    return float(apart(kernel(a, a)) + apart(kernel(b, b)) - 2 * kernel(a, b).mean())


def kid_interval(a: np.ndarray, b: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """KID, and where 95 % of its values lie on halves of both sets drawn at random: wider than its
    own uncertainty.
    """
    rng = np.random.default_rng(seed)
    halves = [
        kid(*(x[rng.permutation(len(x))[: max(2, round(SUBSET * len(x)))]] for x in (a, b)))
        for _ in range(SUBSETS)
    ]
    low, high = np.quantile(halves, [0.025, 0.975])
    return kid(a, b), float(low), float(high)


def covered(points: np.ndarray, by: np.ndarray, k: int = _NEIGHBOURS) -> np.ndarray:
    """Which points (n, F) lie in the manifold of `by` (m, F): within reach of one of its points'
    k-th neighbour.

    The mean over generated cells by real ones is precision, over real by generated recall
    (Kynkaanniemi et al. 2019).
    """
    reach = np.sort(cdist(by, by), axis=1)[:, min(k, len(by) - 1)]
    result: np.ndarray = (cdist(points, by) <= reach).any(axis=1)
    return result


def nearest_features(points: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Distance (n,) of each point to the nearest known one."""
    result: np.ndarray = cdist(points, known).min(axis=1)
    return result


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Inputs (n, 3, px, px) as flat small pictures (n, 3 * 16 * 16)."""
    n, c, px, _ = images.shape
    step = px // _THUMB_PX
    cut = images[:, :, : step * _THUMB_PX, : step * _THUMB_PX]
    result: np.ndarray = (
        cut.reshape(n, c, _THUMB_PX, step, _THUMB_PX, step).mean(axis=(3, 5)).reshape(n, -1)
    )
    return result


def nearest_pixels(images: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Distance (n,) in small pictures to the nearest known cell, in whichever turn is nearest."""
    there = thumbnails(known)
    result: np.ndarray = np.min(
        [nearest_features(thumbnails(turned(images, turn)), there) for turn in range(TURNS)], axis=0
    )
    return result


@dataclass(frozen=True, slots=True)
class Memory:
    """Distances to the nearest training cell of generated cells (n,) and of real unseen ones
    (m,).
    """

    generated: np.ndarray
    unseen: np.ndarray

    def copied(self) -> np.ndarray:
        """Which generated cells (n,) are nearer to a training cell than all but 1 % of unseen real
        cells are.
        """
        result: np.ndarray = self.generated < np.quantile(self.unseen, _NEAR)
        return result
