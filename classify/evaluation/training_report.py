"""What a training came to, as pictures and JSON in its folder (needs torch and matplotlib; the
`train` extra).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from classify.calibration import candidates, error_table
from classify.explain import polish, sample
from classify.image_folder import OTHER_CLASS, LabelledCrops, load_crops
from classify.pixels import on_white, to_uint8
from classify.training import TrainConfig, Training, augment_crops, load_run, spread

from . import plots
from .baseline import parameters
from .contender import NetEngine, calibration_cells
from .metrics import balanced_accuracy, confusion, recalls
from .retrain import log_rows, part

_FOLDER = "report"
_SAMPLES = 8
_DRAWS = 8
SMOOTH = 50
LOSSES = ("denoising", "cross_entropy", "guide")
CHECK = "val_balanced_accuracy"


@dataclass(frozen=True, slots=True)
class Finished:
    """A training as its folder holds it, and its validation cells (8-bit crops as read)."""

    cfg: TrainConfig
    classes: tuple[str, ...]
    run: Training
    val: LabelledCrops

    @property
    def image_px(self) -> int:
        return self.run.network.image_px


def report_training(folder: Path, per_class: int = 60) -> Path:
    """Write `folder/report/` of a training run: curves, cells as trained on and as generated,
    confusion, and a JSON.

    At most `per_class` validation cells a class go into the confusion.

    Raises:
        ModelError: the folder holds no training run.
        DataError: its validation cells are gone.
    """
    cfg, classes, run = load_run(folder)
    done = Finished(
        cfg,
        classes,
        run,
        load_crops(cfg.val, cfg.crop_px, tuple(c for c in classes if c != OTHER_CLASS)),
    )
    rows = log_rows(folder / "log.jsonl")
    engine = NetEngine(run.averaged())
    y, said = _named(done, engine, per_class)
    pictures = {
        **_curves_of(rows),
        "generated": plots.image_sheet(generated(done, engine), "generated"),
        "trained-on": plots.image_sheet(trained_on(done), "as trained on"),
        "confusion": plots.confusion_matrix(
            {"validation cells": confusion(y, said, len(classes))}, classes
        ),
    }
    out = folder / _FOLDER
    out.mkdir(exist_ok=True)
    for name, png in pictures.items():
        (out / f"{name}.png").write_bytes(png)
    (out / "training.json").write_text(json.dumps(summary(rows, done, y, said), indent=1) + "\n")
    return out


def losses_of(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The losses that this training has, smoothed."""
    return {name: smoothed([row[name] for row in rows]) for name in LOSSES if name in rows[0]}


def _curves_of(rows: list[dict[str, Any]]) -> dict[str, bytes]:
    """Losses, gradient and validation accuracy by the step."""
    steps = [row["step"] for row in rows]
    losses = {name: (steps, values.tolist()) for name, values in losses_of(rows).items()}
    norms = {"gradient norm": (steps, smoothed([row["grad_norm"] for row in rows]).tolist())}
    pictures = {
        "losses": plots.curves(losses, "step", "loss"),
        "gradient": plots.curves(norms, "step", "norm before clipping"),
    }
    checks = [(row["step"], row[CHECK]) for row in rows if CHECK in row]
    if checks:
        line = {"validation": ([step for step, _ in checks], [value for _, value in checks])}
        pictures["accuracy"] = plots.curves(line, "step", "balanced accuracy", dots=True)
    return pictures


def smoothed(values: list[float]) -> np.ndarray:
    """Mean over the last steps of each step."""
    total = np.cumsum([0.0, *values])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - SMOOTH, 0)
    result: np.ndarray = (total[ends] - total[starts]) / (ends - starts)
    return result


def generated(done: Finished, engine: NetEngine) -> dict[str, np.ndarray]:
    """A few generated cells (n, px, px, 3) of each class."""
    rng = np.random.default_rng(0)
    wanted = np.repeat(np.arange(len(done.classes)), _SAMPLES)
    noise = rng.standard_normal((len(wanted), 3, done.image_px, done.image_px)).astype(np.float32)
    cells = to_uint8(polish(engine, sample(engine, noise, wanted), wanted, rng))
    return {name: cells[wanted == c] for c, name in enumerate(done.classes)}


def trained_on(done: Finished) -> dict[str, np.ndarray]:
    """A few cells (n, px, px, 3) of each class, augmented as in training."""
    images = on_white(done.val.images) if done.cfg.white else done.val.images
    rng = torch.Generator().manual_seed(0)
    shown = {}
    for c, name in enumerate(done.classes):
        own = (
            np.arange(len(images)) if name == OTHER_CLASS else np.flatnonzero(done.val.labels == c)
        )
        crops = torch.from_numpy(images[np.resize(spread(own, _SAMPLES), _SAMPLES)])
        other = torch.full((_SAMPLES,), name == OTHER_CLASS)
        shown[name] = to_uint8(
            augment_crops(
                crops, other, done.cfg.window_px, done.image_px, done.cfg.jitter, rng
            ).numpy()
        )
    return shown


def _named(done: Finished, engine: NetEngine, per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted class numbers (n,) of validation cells, `other` among them, after a few
    draws.
    """
    members = [np.flatnonzero(done.val.labels == c) for c in range(len(done.val.classes))]
    some = part(done.val, np.concatenate([spread(m, per_class) for m in members]))
    cells = calibration_cells(some, done.cfg, done.classes, done.image_px)
    draws = candidates(_DRAWS, done.image_px, done.cfg.seed)
    weight = engine.net.log_gain(torch.from_numpy(draws.sigma)).exp().detach().numpy()
    errors = error_table(engine, cells.images, draws)
    return cells.y, (weight[:, None] * errors).sum(axis=1).argmin(axis=1)


def summary(
    rows: list[dict[str, Any]], done: Finished, y: np.ndarray, said: np.ndarray
) -> dict[str, Any]:
    found = recalls(y, said)
    return {
        "steps": rows[-1]["step"],
        "images": rows[-1]["step"] * done.cfg.batch,
        "parameters": parameters(done.run.model),
        "last": {name: round(float(values[-1]), 5) for name, values in losses_of(rows).items()},
        "validation": [
            {"step": row["step"], CHECK: round(row[CHECK], 5)} for row in rows if CHECK in row
        ],
        "cells": len(y),
        "draws": _DRAWS,
        "balanced_accuracy": round(balanced_accuracy(y, said), 5),
        "recall": {done.classes[c]: round(value, 5) for c, value in found.items()},
        "confusion": confusion(y, said, len(done.classes)).tolist(),
        "classes": done.classes,
    }
