"""Scores of found boxes and masks against the truth."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment


@dataclass(frozen=True, slots=True)
class BoxScore:
    """Counts of one-to-one matches: `hits` pairs, `missed` true boxes, `false` found ones."""

    hits: int
    missed: int
    false: int

    @property
    def f1(self) -> float:
        """2 hits / (2 hits + missed + false); 1 where there was nothing to find and nothing was
        found.
        """
        total = 2 * self.hits + self.missed + self.false
        return 2 * self.hits / total if total else 1.0

    @property
    def precision(self) -> float:
        return self.hits / (self.hits + self.false) if self.hits + self.false else 1.0

    @property
    def recall(self) -> float:
        return self.hits / (self.hits + self.missed) if self.hits + self.missed else 1.0


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Overlap over union (n, m) of boxes (n, 4) and (m, 4), half-open (x0, y0, x1, y1) in one
    unit.
    """
    a, b = (np.asarray(v, float).reshape(-1, 4) for v in (a, b))
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=2)
    area = [np.prod(v[:, 2:] - v[:, :2], axis=1) for v in (a, b)]
    return both / np.maximum(area[0][:, None] + area[1][None, :] - both, 1e-12)


def score_boxes(found: np.ndarray, truth: np.ndarray, least_iou: float = 0.5) -> BoxScore:
    """The most pairs of found (n, 4) and true (m, 4) boxes that overlap by at least `least_iou`,
    each box used once.
    """
    good = iou(found, truth) >= least_iou
    rows, cols = linear_sum_assignment(good, maximize=True)
    hits = int(good[rows, cols].sum())
    return BoxScore(hits, good.shape[1] - hits, good.shape[0] - hits)


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """2 |found and truth| / (|found| + |truth|) of bool masks of one shape; 1 where both are
    empty.
    """
    total = np.count_nonzero(found) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(found & truth) / total if total else 1.0
