"""Every figure of alerts and certainty, for a model and a data folder.

    python -m tests.tools.bench.alerts DATA --work DIR [--model MODEL] [--baseline SCORES]

DATA holds pbc/val, raabin, deepapl/normal and deepapl/anomaly as FOLDER/CLASS/image. Of pbc/val
every second cell, in the order of names, calibrated the model; the others are measured on. Error
tables are kept in the work folder. SCORES is an .npz of the discriminative baseline: `path` (n,)
relative to DATA, `classes` (K,), `probability` and `logits` (n, K).
"""

import argparse
import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.special import logsumexp

from classify import SHIPPED, CropFolder, load_model, open_engine
from classify.anomaly.conformal import benjamini_hochberg, by_chance
from classify.anomaly.score import fit_oddity, oddity_of, scores
from classify.anomaly.verdict import absolute
from classify.calibration.certainty import replayed_verdicts
from classify.calibration.fit import error_table
from classify.calibration.laboratory import refitted
from classify.calibration.psychometric import fit_psychometric
from classify.evaluation.metrics import auc, aurc, balanced_accuracy, ece, sensitivity
from classify.pixels import to_input

SETS = ("pbc/val", "raabin", "deepapl/normal", "deepapl/anomaly")
RATE, LAB_CELLS, REPEATS, SPLITS = 0.001, 300, 5, 20
screen = Console(width=160)


@dataclass(frozen=True, eq=False)
class Cells:
    """A set: paths (n,), class names (n,), errors (n, D, K)."""

    paths: np.ndarray
    names: np.ndarray
    errors: np.ndarray

    def part(self, chosen):
        return Cells(self.paths[chosen], self.names[chosen], self.errors[chosen])


def measured(model, engine, data, name, work):
    """Errors of a set, from the disk where they have been worked out before."""
    kept = (
        work / f"{model.card.sha256['denoiser.onnx'][:12]}-{digest(model)}-{engine.precision}-"
        f"{name.replace('/', '-')}.npz"
    )
    if not kept.exists():
        folder, card, parts, paths = CropFolder(data / name, model.card.crop_px), model.card, [], []
        for path, crop in track(
            folder, total=len(folder.paths), description=name, console=Console(stderr=True)
        ):
            paths.append(path)
            x = to_input(crop[None], card.window_px, card.image_px, card.white)
            parts.append(x)
        errors = error_table(engine, np.concatenate(parts), model)
        np.savez(kept, errors=errors, paths=[str(p.relative_to(data)) for p in paths])
    with np.load(kept) as found:
        paths = found["paths"]
        return Cells(
            paths,
            np.array([Path(p).parent.name for p in paths]),
            found["errors"].astype(np.float32),
        )


def digest(model):
    """Of the draws: another calibration leaves it."""
    return hashlib.blake2b(
        b"".join(a.tobytes() for a in (model.sigma, model.noise, model.turn)), digest_size=4
    ).hexdigest()


def table(title, *columns):
    return Table(*columns, title=title, title_justify="left")


def false_alerts(model, sets, work):
    rows = table(
        f"False alerts at {RATE:g} a normal cell",
        "cells",
        "n",
        "alerts",
        "per 1,000",
        "at least so many by chance",
    )
    home = sets["pbc/val"]
    add = lambda name, p: rows.add_row(  # noqa: E731
        name,
        str(len(p)),
        str((p <= RATE).sum()),
        f"{1000 * (p <= RATE).mean():.2f}",
        f"{by_chance((p <= RATE).sum(), len(p), RATE):.2g}",
    )
    add("pbc/val, half that calibrated nothing", oddity_of(model).p_value(home.errors[1::2]))
    as_judged = np.array(
        [v.anomaly.p_value for v, _ in replayed_verdicts(model, home.errors[1::2])]
    )
    add("the same, as the judge ends", as_judged)
    rates = []
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(len(home.errors))
        half = len(order) // 2
        rates.append(
            (
                fit_oddity(home.errors[order[:half]], model.sigma).p_value(
                    home.errors[order[half:]]
                )
                <= RATE
            ).mean()
        )
    rows.add_row(
        f"pbc/val, {SPLITS} random halves",
        str(len(order) - half),
        "",
        f"{1000 * np.mean(rates):.2f}",
        "",
    )
    lab = sets["deepapl/normal"]
    add("deepapl/normal, before", oddity_of(model).p_value(lab.errors))
    add(
        "the same, as the judge ends",
        np.array([v.anomaly.p_value for v, _ in replayed_verdicts(model, lab.errors)]),
    )
    after = [calibrated(model, lab, seed, work, labelled=False) for seed in range(REPEATS)]
    add(
        f"the same after calibrating on {LAB_CELLS} others, {REPEATS} times",
        np.concatenate([oddity_of(m).p_value(r.errors) for m, r in after]),
    )
    screen.print(rows)
    sick = sets["deepapl/anomaly"].errors
    for name, made in (("before", model), ("after", after[0][0])):
        p = np.concatenate([oddity_of(made).p_value(lab.errors), oddity_of(made).p_value(sick)])
        found = np.arange(len(p)) >= len(lab.errors)
        q = benjamini_hochberg(p) <= 0.05
        screen.print(
            f"deepapl, {name}: anomalies above the alert {np.mean(p[found] <= RATE):.3f}, "
            f"at 1 in 100 {np.mean(p[found] <= 0.01):.3f}; "
            f"Benjamini-Hochberg at 0.05 would alert {q.sum()}, "
            f"{np.mean(~found[q]) if q.any() else 0:.2f} of them normal"
        )


def calibrated(model, lab, seed, work, labelled):
    """The model calibrated on some of a lab's cells, and the other cells."""
    order = np.random.default_rng(seed).permutation(len(lab.names))
    some, rest = lab.part(order[:LAB_CELLS]), lab.part(order[LAB_CELLS:])
    with tempfile.TemporaryDirectory(dir=work) as folder:
        return refitted(
            model, some.errors, tuple(some.names) if labelled else (), Path(folder), "lab"
        ), rest


def odds_of(model, cells):
    """Every score of ours (n,), higher is odder."""
    d, errors = len(model.sigma) - 1, cells.errors
    winner = probabilities(model, errors).argmax(axis=1)
    relative, least, pattern = scores(
        errors, model.sigma, model.centre[d], oddity_of(model).whitening[d]
    )
    fit = absolute(errors, winner, model.mean, model.spread)
    return {
        "relative": relative,
        "absolute": fit,
        "least error": least,
        "pattern": pattern,
        "combined": oddity_of(model).raw(errors),
    }


def probabilities(model, errors):
    from classify.rule import posterior

    return posterior(errors, model)[:, -1]


def baseline_odds(baseline, cells):
    if baseline is None:
        return {}
    rows = [baseline["row"][p] for p in cells.paths]
    return {
        "baseline softmax": 1 - baseline["probability"][rows].max(axis=1),
        "baseline energy": -logsumexp(baseline["logits"][rows], axis=1),
    }


def anomalies(title, model, normal, odd, baseline):
    kinds = ["all", *np.unique(odd.names)]
    rows = table(
        f"Anomalies against {title}: AUC / share caught at 1 % false alerts", "score", *kinds
    )
    ours, theirs = (
        odds_of(model, normal) | baseline_odds(baseline, normal),
        odds_of(model, odd) | baseline_odds(baseline, odd),
    )
    for name, low in ours.items():
        high = theirs[name]
        cuts = [high if kind == "all" else high[odd.names == kind] for kind in kinds]
        both = [
            (np.concatenate([low, cut]), np.arange(len(low) + len(cut)) >= len(low)) for cut in cuts
        ]
        rows.add_row(name, *(f"{auc(*b):.3f} / {sensitivity(*b):.2f}" for b in both))
    screen.print(rows)


def certainty(model, sets, baseline, work, out):
    rows = table(
        f"Sets at {model.card.coverage:g}, as the judge ends; calibration of the label",
        "cells",
        "n",
        "covered",
        "mean size",
        "one class",
        "none",
        "balanced accuracy",
        "right where identified",
        "ECE",
        "AURC",
        "baseline ECE",
        "baseline AURC",
    )
    lab = sets["deepapl/normal"]
    adapted, rest = calibrated(model, lab, 0, work, labelled=True)
    plots = {}
    for name, made, cells in (
        ("pbc/val, held aside", model, sets["pbc/val"].part(slice(1, None, 2))),
        ("raabin", model, sets["raabin"]),
        ("deepapl/normal", model, lab),
        (f"the same, calibrated on {LAB_CELLS} labelled", adapted, rest),
    ):
        verdicts = [v for v, _ in replayed_verdicts(made, cells.errors)]
        label, sure = (
            np.array([v.label for v in verdicts]),
            np.array([max(v.scores.values()) for v in verdicts]),
        )
        right, size = label == cells.names, np.array([len(v.may_be) for v in verdicts])
        told = np.array([v.outcome != "unidentified" for v in verdicts])
        covered = np.mean([n in v.may_be for v, n in zip(verdicts, cells.names, strict=True)])
        known = {c: i for i, c in enumerate(made.card.classes)}
        y, predicted = (np.array([known[n] for n in names]) for names in (cells.names, label))
        plots[name] = (sure, right)
        rows.add_row(
            name,
            str(len(label)),
            f"{covered:.3f}",
            f"{size.mean():.2f}",
            f"{(size == 1).mean():.3f}",
            f"{(size == 0).mean():.3f}",
            f"{balanced_accuracy(y, predicted):.3f}",
            f"{right[told].sum() / max(1, told.sum()):.3f} of {told.mean():.3f}",
            f"{ece(sure, right):.4f}",
            f"{aurc(sure, right):.4f}",
            *baseline_certainty(baseline, cells),
        )
    screen.print(rows)
    psychometric(plots, len(model.card.classes), out)


def baseline_certainty(baseline, cells):
    if baseline is None:
        return "-", "-"
    p = baseline["probability"][[baseline["row"][path] for path in cells.paths]]
    right = baseline["classes"][p.argmax(axis=1)] == cells.names
    return f"{ece(p.max(axis=1), right):.4f}", f"{aurc(p.max(axis=1), right):.4f}"


def psychometric(plots, classes, out):
    """Fits, and a picture of them over what was seen."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    rows = table(
        "Psychometric function: right against confidence (95 % bootstrap)",
        "cells",
        "threshold",
        "width",
        "lapse",
    )
    figure, axes = plt.subplots(1, len(plots), figsize=(4 * len(plots), 3.6), sharey=True)
    for axis, (name, (sure, right)) in zip(axes, plots.items(), strict=True):
        fit = fit_psychometric(sure, right, classes)
        spans = [
            (fit.threshold, fit.threshold_interval),
            (fit.width, fit.width_interval),
            (fit.lapse, fit.lapse_interval),
        ]
        rows.add_row(name, *(f"{v:.3f} ({a:.3f} to {b:.3f})" for v, (a, b) in spans))
        x = np.linspace(0, 1, 200)
        bins = np.array_split(np.argsort(sure), 12)
        axis.plot(x, fit(x))
        axis.plot(
            [sure[b].mean() for b in bins],
            [right[b].mean() for b in bins],
            "o",
            color="black",
            markersize=4,
        )
        axis.plot(x, x, linewidth=0.5, color="grey")
        axis.set(title=name, xlabel="confidence", xlim=(0.2, 1.02), ylim=(0, 1.02))
    axes[0].set_ylabel("share right")
    figure.tight_layout()
    figure.savefig(out / "psychometric.png", dpi=100)
    screen.print(rows)


def load_baseline(path):
    if path is None:
        return None
    with np.load(path) as found:
        kept = {name: found[name] for name in ("classes", "probability", "logits")}
        return kept | {"row": {p: i for i, p in enumerate(found["path"])}}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=SHIPPED)
    parser.add_argument("--baseline", type=Path)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    model = load_model(given.model)
    engine = open_engine(model, "openvino")
    sets = {name: measured(model, engine, given.data, name, given.work) for name in SETS}
    baseline = load_baseline(given.baseline)
    screen.print(
        f"model {model.card.name} {model.model_id}, {engine.precision}; "
        + json.dumps({k: len(v.names) for k, v in sets.items()})
    )
    false_alerts(model, sets, given.work)
    anomalies(
        "normal cells of the same lab",
        model,
        sets["deepapl/normal"],
        sets["deepapl/anomaly"],
        baseline,
    )
    anomalies(
        "pbc/val, held aside",
        model,
        sets["pbc/val"].part(slice(1, None, 2)),
        sets["deepapl/anomaly"],
        baseline,
    )
    adapted, rest = calibrated(model, sets["deepapl/normal"], 0, given.work, labelled=False)
    anomalies(
        f"the same lab, calibrated on {LAB_CELLS} of its cells",
        adapted,
        rest,
        sets["deepapl/anomaly"],
        baseline,
    )
    certainty(model, sets, baseline, given.work, given.work)


if __name__ == "__main__":
    main()
