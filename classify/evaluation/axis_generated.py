"""The axis of generated cells: does the baseline take them for what they are meant to be, and are
they like real ones.
"""

from functools import partial

import numpy as np

from classify.explain import generate_cells
from classify.image_folder import LabelledCrops
from classify.model_card import Card
from classify.pixels import to_input, to_uint8

from . import plots
from .contender import remembered
from .contenders import Workshop
from .figures import Figure, Findings, ResampledRow, plain
from .generation_metrics import Memory, covered, kid_interval, nearest_features, nearest_pixels
from .retrain import OUR_ARM

AXIS = "generated cells"
SHOWN = 16


def generated_cells(work: Workshop) -> Findings:
    """Cells of every counted class, made by the model under test, against real ones in the
    baseline's features.
    """
    card = work.model.card
    count = work.suite.generated
    wanted = np.repeat([card.classes.index(c) for c in card.counted], count)
    folder = work.folder / "scores" / work.model.model_id
    made = remembered(
        folder / f"generated-{count}.npy",
        lambda: np.stack(list(generate_cells(work.model, work.engine, wanted))),
    )
    of_class = np.array([card.parent_of(card.classes[c]) for c in wanted])
    real = alike(work.val, counted_in(work.val, card), count)
    found = Findings(
        intended(work, made, of_class),
        notes=[
            "Features: the baseline's last layer. That it takes a cell for what was meant says it "
            "is typical, not real.",
            "KID's interval is that of random halves; beside it the KID of as many real training "
            "cells. "
            f"{len(made)} generated cells, {len(real.labels)} real ones.",
        ],
    )
    found.figures += likeness(work, made, real)
    found.figures += memory(work, made)
    found.pictures = sheets(work, made, of_class)
    return found


def counted_in(data: LabelledCrops, card: Card) -> tuple[str, ...]:
    """The counted classes that the crops are labelled with, or their parents."""
    names = (c if c in data.classes else card.parent_of(c) for c in card.counted)
    return tuple(name for name in dict.fromkeys(names) if name in data.classes)


def alike(data: LabelledCrops, classes: tuple[str, ...], count: int) -> LabelledCrops:
    """Up to `count` crops of each class, evenly over the subtypes that sorted names keep
    together.
    """
    members = [np.flatnonzero(data.labels == data.classes.index(c)) for c in classes]
    rows = np.concatenate(
        [m[np.linspace(0, len(m) - 1, min(count, len(m))).astype(int)] for m in members]
    )
    return LabelledCrops(
        data.images[rows], data.labels[rows], data.classes, tuple(data.paths[i] for i in rows)
    )


def as_seen(work: Workshop, made: np.ndarray) -> np.ndarray:
    """Generated windows (n, px, px, 3) as the baseline's inputs."""
    return to_input(made, made.shape[1], work.baseline_run.run.network.image_px)


def intended(work: Workshop, made: np.ndarray, of_class: np.ndarray) -> list[Figure]:
    arm = work.baseline
    said = np.array(arm.classes)[arm.judge(arm.raw(as_seen(work, made))).predicted]
    right = said == of_class
    row = ResampledRow(
        AXIS, "all classes", "labelled as intended by the baseline", of_class, work.suite.resamples
    )
    figures = [row.figure(OUR_ARM, lambda i: float(right[i].mean()))]
    for name in dict.fromkeys(of_class):
        own = right[of_class == name]
        row = ResampledRow(
            AXIS,
            name,
            "labelled as intended by the baseline",
            np.zeros(len(own)),
            work.suite.resamples,
        )
        figures.append(row.figure(OUR_ARM, partial(mean_of, own)))
    return figures


def mean_of(values: np.ndarray, rows: np.ndarray) -> float:
    return float(values[rows].mean())


def likeness(work: Workshop, made: np.ndarray, real: LabelledCrops) -> list[Figure]:
    """KID, precision and recall against validation cells; the same of training cells, which is as
    good as it gets.
    """
    arm = work.baseline
    known = alike(
        work.train_cells, counted_in(work.train_cells, work.model.card), work.suite.generated
    )
    unseen = arm.raw(arm.see(real.images))
    figures = []
    for name, features in (
        (OUR_ARM, arm.raw(as_seen(work, made))),
        ("real training cells", arm.raw(seen_trained(work, known.images))),
    ):
        figures.append(
            Figure(
                AXIS, "against pbc/val", "KID", name, *kid_interval(features, unseen), len(features)
            )
        )
        for metric, inside in (
            ("precision", covered(features, unseen)),
            ("recall", covered(unseen, features)),
        ):
            row = ResampledRow(
                AXIS, "against pbc/val", metric, np.zeros(len(inside)), work.suite.resamples
            )
            figures.append(row.figure(name, partial(mean_of, inside)))
    return figures


def seen_trained(work: Workshop, images: np.ndarray) -> np.ndarray:
    """Training crops, which have their background done already, as the baseline's inputs."""
    recipe = work.recipe
    return to_input(images, recipe.window_px, work.baseline_run.run.network.image_px)


def memory(work: Workshop, made: np.ndarray) -> list[Figure]:
    """Share of generated cells nearer to a training cell than all but 1 % of validation cells:
    about 0.01 if none is copied.
    """
    arm = work.baseline
    val = alike(work.val, counted_in(work.val, work.model.card), work.suite.generated)
    trained = seen_trained(work, work.train_cells.images)
    x = as_seen(work, made)
    known = remembered(
        work.folder / "scores" / work.baseline_folder.name / "train-features.npy",
        lambda: arm.raw(trained),
    )
    unseen = arm.see(val.images)
    by_features = Memory(*(nearest_features(arm.raw(images), known) for images in (x, unseen)))
    by_pixels = Memory(*(nearest_pixels(images, trained) for images in (x, unseen)))
    return [
        *nearness(work, "in the baseline's features", by_features),
        *nearness(work, "in pixels, any turn", by_pixels),
    ]


def nearness(work: Workshop, of: str, found: Memory) -> list[Figure]:
    copied = found.copied()
    metric = "median distance to the nearest training cell"
    row = ResampledRow(
        AXIS,
        of,
        "nearer to a training cell than 99 % of unseen real cells",
        np.zeros(len(copied)),
        work.suite.resamples,
    )
    return [
        row.figure(OUR_ARM, lambda i: float(copied[i].mean())),
        plain(AXIS, of, metric, OUR_ARM, float(np.median(found.generated)), len(copied)),
        plain(
            AXIS, of, metric, "real unseen cells", float(np.median(found.unseen)), len(found.unseen)
        ),
    ]


def sheets(work: Workshop, made: np.ndarray, of_class: np.ndarray) -> dict[str, bytes]:
    """Generated and real cells, a row a class."""
    px = made.shape[1]
    card = work.model.card
    classes = list(dict.fromkeys(of_class))
    unreal = {c: made[of_class == c][:SHOWN] for c in classes}
    val = alike(work.val, counted_in(work.val, card), SHOWN)
    seen = to_uint8(to_input(val.images, card.window_px, px, card.white))
    real = {c: seen[val.labels == val.classes.index(c)] for c in classes if c in val.classes}
    return {
        "Generated cells": plots.image_sheet(unreal),
        "Real cells, as the model sees them": plots.image_sheet(real),
    }
