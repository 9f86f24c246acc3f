"""Ways of judging the same cells, timed side by side: what each costs, and whether it decides the
same.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from classify.engines import Engine
from classify.errors import DataError
from classify.evaluation import auc, balanced_accuracy
from classify.image_folder import image_paths, read_crop
from classify.judge import judge
from classify.model_card import Model

from .paper_procedure import Procedure


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Crops (n, h, w, 3) uint8, class numbers y (n,), -1 where the model has no such class, and the
    set (n,) each is of.

    Sets: HOME is the model's own laboratory, ABROAD normal cells of the anomalous cells'
    laboratory, ODD the anomalous cells. `fresh` (n,): every second one of its folder, which
    `release` did not calibrate on where the folder is its validation set.
    """

    crops: np.ndarray
    y: np.ndarray
    group: np.ndarray
    fresh: np.ndarray

    def part(self, rows: np.ndarray) -> "Cells":
        return Cells(self.crops[rows], self.y[rows], self.group[rows], self.fresh[rows])

    def thinned(self, count: int) -> "Cells":
        """About `count` of the cells, evenly from the whole, so from every class; all where it is
        0.
        """
        return self.part(_evenly(len(self.y), count))


def _evenly(n: int, count: int) -> np.ndarray:
    """At most `count` of the numbers below n, evenly spread; all where it is 0."""
    return np.arange(n) if not 0 < count < n else np.linspace(0, n - 1, count).round().astype(int)


HOME, ABROAD, ODD = range(3)


def read_cells(model: Model, folders: dict[int, Path], count: int = 0) -> Cells:
    """Cells of FOLDER/CLASS/image, a folder a set, at most `count` evenly from each; the unreadable
    are passed over.

    Raises:
        DataError: there is no image.
    """
    crops = []
    y = []
    group = []
    fresh = []
    known = {name: number for number, name in enumerate(model.card.classes)}
    for (
        name
    ) in model.card.classes:  # a folder named as a parent stands for the parent's first class
        known.setdefault(model.card.parent_of(name), known[name])
    for number, folder in folders.items():
        paths = image_paths(folder)
        for i in _evenly(len(paths), count):
            try:
                crops.append(read_crop(paths[i], model.card.crop_px))
            except ValueError:
                continue
            y.append(-1 if number == ODD else known.get(paths[i].parent.name, -1))
            group.append(number)
            fresh.append(i % 2 == 1)
    if not crops:
        raise DataError(
            f"{', '.join(map(str, folders.values()))}: no image here",
            "lay it out as FOLDER/CLASS/image",
        )
    return Cells(np.stack(crops), np.array(y), np.array(group), np.array(fresh))


class Watched:
    """An engine whose passes are counted and timed."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.name = engine.name
        self.version = engine.version
        self.precision = engine.precision
        self.batch = engine.batch
        self.pairs = 0
        self.seconds = 0.0

    def errors(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.errors_and_features(images, noise, sigma)[0]

    def errors_and_features(
        self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        start = perf_counter()
        found = self.engine.errors_and_features(images, noise, sigma)
        self.seconds += perf_counter() - start
        self.pairs += len(images)
        return found

    def denoised(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.engine.denoised(images, noise, sigma)

    def features(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.engine.features(images, noise, sigma)


@dataclass(frozen=True, slots=True, eq=False)
class TimedEntry:
    """One way on n cells: `passes` of the net in all, `inside_s` of `seconds` in it; labels,
    anomaly score, draws, decided (n,).
    """

    name: str
    seconds: float
    inside_s: float
    passes: int
    labels: np.ndarray
    odd: np.ndarray
    draws: np.ndarray
    decided: np.ndarray

    @property
    def cells_per_s(self) -> float:
        return len(self.labels) / self.seconds


def judged(
    name: str, model: Model, engine: Engine, crops: np.ndarray, exhaustive: bool = False
) -> TimedEntry:
    """The judge on crops, from pixels to verdicts. The first pass, which compiles, is not
    counted.
    """
    engine.errors(*one_pair(model))
    watched = Watched(engine)
    start = perf_counter()
    verdicts = dict(judge(enumerate(crops), watched, model, exhaustive))
    seconds = perf_counter() - start
    rows = [verdicts[i] for i in range(len(crops))]
    number = {c: i for i, c in enumerate(model.card.classes)}
    labels = np.array([number[v.label] for v in rows])
    odd, draws, decided = zip(*((v.anomaly.score, v.draws, v.decided) for v in rows), strict=True)
    return TimedEntry(
        name, seconds, watched.seconds, watched.pairs, labels, *map(np.array, (odd, draws, decided))
    )


def one_pair(model: Model) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros_like(model.noise[:1]), model.noise[:1], model.sigma[:1]


def proceeded(name: str, procedure: Procedure, images: Iterable[np.ndarray]) -> TimedEntry:
    """A procedure (`procedure.Procedure`) on images (3, px, px), one at a time."""
    start = perf_counter()
    outcomes = [procedure(image) for image in images]
    seconds = perf_counter() - start
    rows = ((o.label, o.odd, o.draws, o.decided) for o in outcomes)
    return TimedEntry(
        name,
        seconds,
        procedure.inside_s,
        sum(o.passes for o in outcomes),
        *map(np.array, zip(*rows, strict=True)),
    )


def first_verdicts(model: Model, engine: Engine, crops: np.ndarray) -> np.ndarray:
    """Seconds (n,) to the verdict of each crop when nothing else waits."""
    engine.errors(*one_pair(model))
    took = []
    for crop in crops:
        start = perf_counter()
        next(judge(iter([(0, crop), None]), engine, model))
        took.append(perf_counter() - start)
    return np.array(took)


def figures(entry: TimedEntry, cells: Cells, reference: TimedEntry) -> dict[str, float]:
    """What a row of the contest says; a figure whose cells are not there is left out."""
    n = len(entry.labels)
    y = cells.y
    group = cells.group
    rows = {
        "cells": n,
        "cells_per_s": entry.cells_per_s,
        "draws": float(entry.draws.mean()),
        "passes": entry.passes / n,
        "utilisation": entry.inside_s / entry.seconds,
        "undecided": float(1 - entry.decided.mean()),
        "agreement": float((entry.labels == reference.labels).mean()),
    }
    home = (group == HOME) & (y >= 0)
    if home.any():
        rows["balanced_accuracy"] = balanced_accuracy(y[home], entry.labels[home])
    for name, normal in (("auc_home", HOME), ("auc_same_lab", ABROAD)):
        some = (group == normal) | (group == ODD)
        if len(np.unique(group[some])) == 2:
            rows[name] = auc(entry.odd[some], group[some] == ODD)
    return rows


def disagreement(
    entry: TimedEntry, cells: Cells, reference: TimedEntry
) -> dict[str, tuple[int, int]]:
    """(cells decided otherwise than by all draws, cells) of each set."""
    differs = entry.labels != reference.labels
    home = cells.group == HOME
    sets = {
        "home": home,
        "home, not calibrated on": home & cells.fresh,
        "normal, the anomalous cells' laboratory": cells.group == ABROAD,
        "anomalous": cells.group == ODD,
    }
    return {
        name: (int(differs[rows].sum()), int(rows.sum()))
        for name, rows in sets.items()
        if rows.any()
    }
