"""The axes of an evaluation: each gives its figures and pictures, ours beside the baseline (needs
torch).
"""

import numpy as np

from classify.calibration import can_adapt
from classify.image_folder import LabelledCrops

from . import metrics, plots
from .contender import Arm
from .contenders import Workshop, odd
from .figures import Figure, Findings, ResampledRow
from .retrain import BASELINE, OUR_ARM
from .scoring import Scores, centred

PAIR = (OUR_ARM, BASELINE)
_WHOLE = "pbc/val, all"
HALF = "pbc/val, half that calibrated nothing"


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
        accuracies(work, "in-domain", HALF, y[half], {k: p[half] for k, p in predicted.items()})
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


def picked(scores: Scores, rows: np.ndarray) -> Scores:
    return Scores(scores.probability[rows], {k: v[rows] for k, v in scores.odd.items()})


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
