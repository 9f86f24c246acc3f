"""Cells of no trained class, told from normal ones: two axes of an evaluation (needs torch)."""

import numpy as np

from . import metrics, plots
from .axes import PAIR, accuracies, labels_in, pair, picked
from .contender import Arm
from .contenders import Workshop
from .figures import Figure, Findings, ResampledRow, best_figure
from .retrain import BASELINE, OUR_ARM
from .scoring import Scores

GROUPS = ("biological", "not a cell")
HEADLINE = f"{OUR_ARM}: combined"
_RIVALS = (
    f"{BASELINE}: softmax",
    f"{BASELINE}: energy",
)  # what the difference is taken to: the better of the two by AUC


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
        scores = {arm: picked(a.scores("val", data.images), chosen) for arm, a in arms.items()}
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
                arm: picked(a.scores(f"lab-{which}", data.images), rows[which])
                for arm, a in arms.items()
            }
            for which, data in cells.items()
        )
        for kind, chosen in kinds(work, rows["anomaly"]).items():
            if not len(chosen):
                continue
            joined = {arm: joint(normal[arm], picked(strange[arm], chosen)) for arm in arms}
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


def joint(first: Scores, second: Scores) -> Scores:
    odds = {k: np.concatenate([v, second.odd[k]]) for k, v in first.odd.items()}
    return Scores(np.concatenate([first.probability, second.probability]), odds)


def _curves_of(
    scores: dict[str, Scores], anomalous: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        f"{arm}: {kind}": (v, anomalous) for arm, s in scores.items() for kind, v in s.odd.items()
    }
