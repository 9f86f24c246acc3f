"""Which cells a person should look at next: those that a few looks teach most from."""

from collections.abc import Sequence

import numpy as np

from .head import normalised

MOST_ORDERED = 200
NEAREST = 1e-3  # 1 - the correlation of two cells of which one need not be looked at


def review_order(
    features: np.ndarray,
    first: Sequence[int] = (),
    known: Sequence[int] = (),
    count: int = MOST_ORDERED,
) -> list[int]:
    """Rows of features (n, F) in the order to look at them, at most `count`.

    The rows of `first` (alerts) come in their own order. Then each row is the one farthest, by 1 -
    the correlation of features, from all before it and from the rows `known` to people: the greedy
    2-approximation of the k-centre problem (Gonzalez 1985), which Sener and Savarese 2018 use for
    active learning; what it is worth beside chance is measured by `python -m
    tests.tools.bench.teaching DATA --work DIR`. Weighting the distance by the model's uncertainty
    was tried and made it worth less on all six sets. Rows with a feature that is no number are left
    out unless they are in `first`.
    """
    fit = np.isfinite(features).all(axis=1)
    unit = normalised(np.where(fit[:, None], features, 0.0)) / np.sqrt(features.shape[1])
    chosen = list(dict.fromkeys(first))[:count]
    seen = [row for row in {*known, *chosen} if fit[row]]
    if fit.any() and not seen and len(chosen) < count:
        ordinary = unit @ unit[fit].mean(axis=0)
        seen = [int(np.argmax(np.where(fit, ordinary, -np.inf)))]
        chosen += seen
    likeness = unit @ unit[seen].T
    distance = np.where(fit, 1 - likeness.max(axis=1, initial=-np.inf), -np.inf)
    while len(chosen) < count and distance.max(initial=-np.inf) > NEAREST:
        row = int(np.argmax(distance))
        chosen.append(row)
        distance = np.minimum(distance, 1 - unit @ unit[row])
    return chosen
