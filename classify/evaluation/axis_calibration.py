"""How far a probability can be taken at its word: an axis of an evaluation (needs torch)."""

from collections.abc import Callable
from functools import partial

import numpy as np

from classify.calibration import Psychometric, fit_psychometric

from . import metrics, plots
from .axes import HALF, PAIR, kept_as, labels_in, pair, picked
from .contenders import Workshop, odd
from .figures import Figure, Findings, ResampledRow
from .scoring import Scores

COVERAGES = (0.9, 0.8)


def calibration(work: Workshop) -> Findings:
    """How far a probability can be taken at its word."""
    note = "Both arms: a temperature, fitted on the half of pbc/val that is not in these figures."
    found = Findings(notes=[note])
    half = odd(work.val)
    sets = {HALF: (work.val, half, "val")}
    for name, folder in work.suite.shift.items():
        data = work.crops(folder)
        sets[name] = data, np.arange(len(data.labels)), kept_as(work, name)
    for of, (data, rows, key) in sets.items():
        y = labels_in(work.shipped, data)[rows]
        scores = {arm: picked(a.scores(key, data.images), rows) for arm, a in pair(work).items()}
        for metric, measure in uncertainty().items():
            statistics = {
                k: lambda i, s=s, m=measure, y=y: m(picked(s, i), y[i]) for k, s in scores.items()
            }
            found.figures += ResampledRow(
                "calibration", of, metric, y, work.suite.resamples
            ).compare(statistics, PAIR)
        sure = {k: (s.confidence, s.predicted == y) for k, s in scores.items()}
        found.pictures[f"Reliability, {of}"] = plots.reliability(sure, of)
        fits = {
            k: fit_psychometric(*both, len(work.shipped.classes), min(200, work.suite.resamples))
            for k, both in sure.items()
        }
        found.figures += [
            f for arm, fitted in fits.items() for f in psychometric_figures(of, arm, fitted)
        ]
        found.pictures[f"Psychometric function, {of}"] = plots.psychometric(
            {k: (*sure[k], fits[k]) for k in fits}, of
        )
    return found


def psychometric_figures(of: str, arm: str, fitted: Psychometric) -> list[Figure]:
    """Confidence at half of the rise, width of the rise, lapse rate."""
    found = {
        "threshold": (fitted.threshold, fitted.threshold_interval),
        "width": (fitted.width, fitted.width_interval),
        "lapse": (fitted.lapse, fitted.lapse_interval),
    }
    return [
        Figure(
            axis="calibration",
            of=of,
            metric=f"psychometric {name}",
            arm=arm,
            value=value,
            low=low,
            high=high,
            cells=fitted.cells,
        )
        for name, (value, (low, high)) in found.items()
    ]


def uncertainty() -> dict[str, Callable[[Scores, np.ndarray], float]]:
    """Metrics of scores against labels (n,)."""
    of_confidence = {"ECE": metrics.ece, "AURC": metrics.aurc}
    of_confidence |= {
        f"accuracy on the surest {c:.0%}": partial(metrics.selective_accuracy, coverage=c)
        for c in COVERAGES
    }
    made = {
        k: lambda s, y, m=m: m(s.confidence, s.predicted == y) for k, m in of_confidence.items()
    }
    return {"Brier": lambda s, y: metrics.brier(s.probability, y)} | made
