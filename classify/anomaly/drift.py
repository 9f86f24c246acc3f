"""Do a slide's cells still look like those the model was calibrated on?

Limits were chosen by hand, not measured; `cytostream calibrate STORE --check` shows what they are
compared with.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import kolmogorov

from classify.model_card import Model

FAR_DRIFT = 0.25
_SURE = 1e-3
_LEAST = 30


@dataclass(frozen=True, slots=True)
class Drift:
    """Kolmogorov-Smirnov distance in [0, 1] of how ill the classes suit, from the calibration's;
    its p-value; cells compared.
    """

    distance: float
    p_value: float
    cells: int

    @property
    def far(self) -> bool:
        """So far that p-values and probabilities are not to be trusted: calibrate anew."""
        return self.cells >= _LEAST and self.distance > FAR_DRIFT and self.p_value < _SURE


def calibration_drift(model: Model, labels: Sequence[str], absolute: Iterable[float]) -> Drift:
    """Of cells called `labels`, with an absolute anomaly each: each is ranked among calibration
    cells called the same.

    So another mix of classes is no drift. A slide of sick cells is far too: that is for a person to
    tell apart.
    """
    number = {name: c for c, name in enumerate(model.card.classes)}
    chosen = [(number[name], z) for name, z in zip(labels, absolute, strict=True) if name in number]
    rows = (
        {}
        if model.usual is None
        else {c: row[np.isfinite(row)] for c, row in enumerate(model.usual)}
    )
    ranks = np.sort([rank(z, rows[c]) for c, z in chosen if len(rows.get(c, ()))])
    if not len(ranks):
        return Drift(0.0, 1.0, 0)
    n = len(ranks)
    known = sum(map(len, rows.values()))
    steps = np.arange(n + 1) / n
    distance = float(max((steps[1:] - ranks).max(), (ranks - steps[:-1]).max()))
    return Drift(distance, float(kolmogorov(distance * np.sqrt(n * known / (n + known)))), n)


def rank(value: float, row: np.ndarray) -> float:
    """Share of a sorted row below a value, a tie counting half."""
    below = np.searchsorted(row, value, side="left")
    upto = np.searchsorted(row, value, side="right")
    return (below + upto) / 2 / len(row)
