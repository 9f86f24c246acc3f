"""The axes of an evaluation: each gives its figures and pictures, ours beside the baseline (needs
torch).
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from classify.calibration import Psychometric, can_adapt, fit_psychometric
from classify.image_folder import LabelledCrops

from . import metrics, plots
from .contender import Arm
from .contenders import Workshop, odd
from .figures import Figure, Findings, ResampledRow, best_figure
from .retrain import BASELINE, OUR_ARM
from .scoring import Scores, centred

PAIR = (OUR_ARM, BASELINE)
GROUPS = ("biological", "not a cell")
COVERAGES = (0.9, 0.8)
HEADLINE = f"{OUR_ARM}: combined"
_RIVALS = (
    f"{BASELINE}: softmax",
    f"{BASELINE}: energy",
)  # what the difference is taken to: the better of the two by AUC
_WHOLE = "pbc/val, all"
_HALF = "pbc/val, half that calibrated nothing"


def labels_in(arm: Arm, data: LabelledCrops) -> np.ndarray:
    """The class numbers (n,) of the crops among those of the arm; its length where the arm has no
    such class.
    """
    number = {
        c: arm.classes.index(name) if name in arm.classes else len(arm.classes)
        for c, name in enumerate(data.classes)
    }
    return np.array([number[c] for c in data.labels])


def pair(work: Workshop) -> dict[str, Arm]:
    return {OUR_ARM: work.shipped, BASELINE: work.baseline}


def accuracies(
    work: Workshop, axis: str, of: str, y: np.ndarray, predicted: dict[str, np.ndarray]
) -> list[Figure]:
    """Balanced and plain accuracy of each arm's predictions (n,)."""
    made = []
    for metric, measure in (
        ("balanced accuracy", metrics.balanced_accuracy),
        ("accuracy", lambda a, b: float((a == b).mean())),
    ):
        statistics = {arm: lambda i, p=p, m=measure: m(y[i], p[i]) for arm, p in predicted.items()}
        made += ResampledRow(axis, of, metric, y, work.suite.resamples).compare(statistics, PAIR)
    return made


def in_domain(work: Workshop) -> Findings:
    """Cells of the lab and the split that the model was chosen on."""
    data = work.val
    arms = pair(work)
    y = labels_in(work.shipped, data)
    names = work.shipped.classes
    predicted = {name: arm.scores("val", data.images).predicted for name, arm in arms.items()}
    half = odd(data)
    found = Findings(
        accuracies(work, "in-domain", _HALF, y[half], {k: p[half] for k, p in predicted.items()})
    )
    found.figures += accuracies(work, "in-domain", _WHOLE, y, predicted)
    for c in np.unique(y):
        own = np.flatnonzero(y == c)
        statistics = {
            k: lambda i, p=p[own], c=c: float((p[i] == c).mean()) for k, p in predicted.items()
        }
        found.figures += ResampledRow(
            "in-domain", names[c], "recall", y[own], work.suite.resamples
        ).compare(statistics, PAIR)
    tables = {name: metrics.confusion(y, p, len(names)) for name, p in predicted.items()}
    found.pictures["Confusion on pbc/val"] = plots.confusion_matrix(tables, names)
    return found


def shift(work: Workshop) -> Findings:
    """Other labs' cells, nothing adapted to them; beside it what the set's cells without their
    labels are worth.
    """
    found = Findings(
        notes=[
            "Trained on PBC alone; neither arm has seen a cell of these sets, labelled or not.",
            "Centred: the set's cells have been seen without labels, and each class's mean "
            "evidence made that of pbc/val.",
            "Calibrated: ours after `calibrate` on the set's cells without labels; the baseline "
            "centred, which is all it has of that kind.",
        ]
    )
    home = {arm: a.scores("val", work.val.images).probability for arm, a in pair(work).items()}
    for name, folder in work.suite.shift.items():
        data = work.crops(folder)
        y = labels_in(work.shipped, data)
        scores = {arm: a.scores(kept_as(work, name), data.images) for arm, a in pair(work).items()}
        found.figures += accuracies(
            work, "domain shift", name, y, {k: s.predicted for k, s in scores.items()}
        )
        adapted = {k: centred(s.probability, home[k]) for k, s in scores.items()}
        found.figures += accuracies(work, "domain shift", f"{name}, centred", y, adapted)
        if can_adapt(work.model):
            there = work.calibrated(name, data).scores(
                f"{kept_as(work, name)}-calibrated", data.images
            )
            both = adapted | {OUR_ARM: there.predicted}
            found.figures += accuracies(work, "domain shift", f"{name}, calibrated", y, both)
        tables = {
            k: metrics.confusion(y, s.predicted, len(work.shipped.classes))
            for k, s in scores.items()
        }
        found.pictures[f"Confusion on {name}"] = plots.confusion_matrix(
            tables, work.shipped.classes
        )
    return found


def anomalies(
    work: Workshop, axis: str, of: str, scores: dict[str, Scores], anomalous: np.ndarray
) -> list[Figure]:
    """AUC and sensitivity of every score of every arm, telling the anomalous (n,) from the
    others.
    """
    odds = {f"{arm}: {kind}": values for arm, s in scores.items() for kind, values in s.odd.items()}
    made: list[Figure] = []
    for metric, measure in (
        ("AUC", metrics.auc),
        ("caught at 1 % false alerts", metrics.sensitivity),
    ):
        statistics = {k: lambda i, v=v, m=measure: m(v[i], anomalous[i]) for k, v in odds.items()}
        row = ResampledRow(axis, of, metric, anomalous, work.suite.resamples)
        plain = row.compare(statistics)
        rival = best_figure((f for f in made or plain if f.arm in _RIVALS), BASELINE)
        made += [*plain, row.compare(statistics, (HEADLINE, rival))[-1]]
    return made


def held_out(work: Workshop) -> Findings:
    """A class left out of training, told from the others by the anomaly score of its cells."""
    note = (
        "Normal: validation cells of the classes trained on that calibrated nothing. "
        "Anomalous: the class left out."
    )
    found = Findings(notes=[note])
    for name in work.suite.held_out:
        arms = {arm: work.held_out(name, arm) for arm in PAIR}
        data = work.val
        absent = work.val.labels == work.val.classes.index(name)
        chosen = np.concatenate([np.flatnonzero(~absent)[1::2], np.flatnonzero(absent)])
        scores = {arm: _picked(a.scores("val", data.images), chosen) for arm, a in arms.items()}
        found.figures += anomalies(
            work, "held-out class", f"{name} left out", scores, absent[chosen]
        )
        normal = ~absent[chosen]
        y = labels_in(arms[OUR_ARM], data)[chosen][normal]
        found.figures += accuracies(
            work,
            "held-out class",
            f"{name} left out: the classes trained on",
            y,
            {arm: s.predicted[normal] for arm, s in scores.items()},
        )
        found.pictures[f"{name} left out"] = plots.roc(
            _curves_of(scores, absent[chosen]), f"{name} left out of training"
        )
    return found


def far(work: Workshop) -> Findings:
    """Cells that no class was trained on, against normal cells of the same lab."""
    note = (
        "Threshold and AUC are against normal cells of the same lab, and in the fine-tuned "
        "rows of the same patients: "
    )
    found = Findings(notes=[note + "those who trained or calibrated are not tested on."])
    cells = {"normal": work.lab_normal, "anomaly": work.lab_anomaly}
    tested = {which: work.patients.rows(data, "test") for which, data in cells.items()}
    everything = {which: np.arange(len(data.labels)) for which, data in cells.items()}
    tuned = {arm: work.fine_tuned(arm) for arm in PAIR}
    for title, arms, rows in (
        ("zero-shot", pair(work), everything),
        ("zero-shot, test patients", pair(work), tested),
        (
            "zero-shot, the lab's unlabelled normals as normal, test patients",
            measured_again(work),
            tested,
        ),
        ("fine-tuned, test patients", tuned, tested),
    ):
        normal, strange = (
            {
                arm: _picked(a.scores(f"lab-{which}", data.images), rows[which])
                for arm, a in arms.items()
            }
            for which, data in cells.items()
        )
        for kind, chosen in kinds(work, rows["anomaly"]).items():
            if not len(chosen):
                continue
            joined = {arm: joint(normal[arm], _picked(strange[arm], chosen)) for arm in arms}
            anomalous = np.arange(len(rows["normal"]) + len(chosen)) >= len(rows["normal"])
            found.figures += anomalies(work, f"far anomalies, {title}", kind, joined, anomalous)
            if kind in GROUPS:
                found.pictures[f"{kind}, {title}"] = plots.roc(
                    _curves_of(joined, anomalous), f"{kind}, {title}"
                )
        y = labels_in(arms[OUR_ARM], work.lab_normal)[rows["normal"]]
        said = {k: s.predicted for k, s in normal.items()}
        found.figures += accuracies(work, f"far anomalies, {title}", "normal cells named", y, said)
    return found


def measured_again(work: Workshop) -> dict[str, Arm]:
    """Both arms as trained at home, what is normal learnt from the training patients' cells without
    their labels.
    """
    seen = np.setdiff1d(
        np.arange(len(work.lab_normal.labels)), work.patients.rows(work.lab_normal, "test")
    )
    return {
        arm: a.measured_again("lab-normal", work.lab_normal.images, seen)
        for arm, a in pair(work).items()
    }


def kinds(work: Workshop, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Positions within `rows` of the anomalous cells of each kind, and of the two groups."""
    data = work.lab_anomaly
    lab = work.suite.laboratory
    names = np.array(data.classes)[data.labels[rows]]
    groups = {
        **dict(zip(GROUPS, (lab.biological, lab.not_a_cell), strict=True)),
        **{c: (c,) for c in data.classes},
    }
    return {kind: np.flatnonzero(np.isin(names, members)) for kind, members in groups.items()}


def low_data(work: Workshop) -> Findings:
    """From scratch on few images a class; the mean of the seeds."""
    wanted = work.suite.low_data
    if wanted is None:
        return Findings()
    data = work.val
    found = Findings(
        notes=[
            f"Mean over the seeds {', '.join(map(str, wanted.seeds))}; every cell of pbc/val is "
            "tested on."
        ]
    )
    for images in wanted.images:
        arms = {arm: [work.low_data(images, seed, arm) for seed in wanted.seeds] for arm in PAIR}
        y = labels_in(arms[OUR_ARM][0], data)
        predicted = {
            arm: [a.scores("val", data.images).predicted for a in several]
            for arm, several in arms.items()
        }
        statistics = {
            arm: lambda i, y=y, several=several: float(
                np.mean([metrics.balanced_accuracy(y[i], p[i]) for p in several])
            )
            for arm, several in predicted.items()
        }
        row = ResampledRow(
            "low data", f"{images} a class", "balanced accuracy", y, work.suite.resamples
        )
        found.figures += row.compare(statistics, PAIR)
    lines = {arm: (wanted.images, [f.value for f in found.figures if f.arm == arm]) for arm in PAIR}
    found.pictures["Low data"] = plots.curves(
        lines, "training images a class", "balanced accuracy", log_x=True, dots=True
    )
    return found


def calibration(work: Workshop) -> Findings:
    """How far a probability can be taken at its word."""
    note = "Both arms: a temperature, fitted on the half of pbc/val that is not in these figures."
    found = Findings(notes=[note])
    half = odd(work.val)
    sets = {_HALF: (work.val, half, "val")}
    for name, folder in work.suite.shift.items():
        data = work.crops(folder)
        sets[name] = data, np.arange(len(data.labels)), kept_as(work, name)
    for of, (data, rows, key) in sets.items():
        y = labels_in(work.shipped, data)[rows]
        scores = {arm: _picked(a.scores(key, data.images), rows) for arm, a in pair(work).items()}
        for metric, measure in uncertainty().items():
            statistics = {
                k: lambda i, s=s, m=measure, y=y: m(_picked(s, i), y[i]) for k, s in scores.items()
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


def _picked(scores: Scores, rows: np.ndarray) -> Scores:
    return Scores(scores.probability[rows], {k: v[rows] for k, v in scores.odd.items()})


def joint(first: Scores, second: Scores) -> Scores:
    odds = {k: np.concatenate([v, second.odd[k]]) for k, v in first.odd.items()}
    return Scores(np.concatenate([first.probability, second.probability]), odds)


def _curves_of(
    scores: dict[str, Scores], anomalous: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        f"{arm}: {kind}": (v, anomalous) for arm, s in scores.items() for kind, v in s.odd.items()
    }


def kept_as(work: Workshop, shifted: str) -> str:
    """The name under which a shift set's scores are kept: one and the same with the lab's where the
    cells are.
    """
    lab = work.suite.lab
    return (
        "lab-normal"
        if lab and work.suite.shift[shifted] == lab.normal
        else shifted.replace("/", "-")
    )
