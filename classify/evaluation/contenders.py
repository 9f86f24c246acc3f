"""Where an evaluation gets its arms: the model under test, the baseline, and what is retrained of
both (needs torch).
"""

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from classify.calibration import LabCells, recalibrate
from classify.engines import Engine, open_engine
from classify.errors import DataError
from classify.image_folder import LabelledCrops, load_crops
from classify.model_card import CARD, Model, load_model
from classify.network import Denoiser, TrunkNetwork
from classify.pixels import on_white
from classify.training import (
    LabelledInputs,
    TrainConfig,
    Training,
    TrainingState,
    labelled_cells,
    of_model,
    read_data,
    read_sources,
)

from .baseline import Classifier
from .contender import Arm, baseline_arm, calibration_cells, denoiser_arm, of_parents, shipped_arm
from .retrain import BASELINE, OUR_ARM, Plan, Retrained, few, part, retrain, without
from .suite import Suite

CALIBRATION_PATIENTS = 5  # one in so many of the patients not tested on calibrates the fine-tuned
Tell = Callable[[str, dict[str, Any]], None]


def say_nothing(name: str, row: dict[str, Any]) -> None:
    """Tells nobody."""


def suite_recipe(path: Path, **changes: object) -> TrainConfig:
    """The training configuration of a file, with changes.

    Raises:
        DataError: it is none.
    """
    try:
        return TrainConfig(**(tomllib.loads(path.read_text()) | changes))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        what = f"{path}: no training configuration: {str(error).splitlines()[0]}"
        raise DataError(what, "see configs/ for some that work") from error


def patient_of(path: Path) -> str:
    return path.name.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Patients:
    """Which patients train, calibrate and test; no patient does two of them."""

    train: frozenset[str]
    calibrate: frozenset[str]
    test: frozenset[str]

    def rows(self, data: LabelledCrops, which: str) -> np.ndarray:
        """Row numbers of the crops of those patients."""
        wanted = getattr(self, which)
        return np.flatnonzero([patient_of(path) in wanted for path in data.paths])


def parted(patients: list[str], fold: int) -> Patients:
    """The last of every `fold` patients tests, every fifth of the others calibrates."""
    test = set(patients[fold - 1 :: fold])
    rest = [p for p in patients if p not in test]
    calibrate = set(rest[CALIBRATION_PATIENTS - 1 :: CALIBRATION_PATIENTS])
    return Patients(frozenset(rest) - calibrate, frozenset(calibrate), frozenset(test))


class Workshop:
    """Arms on demand; what is retrained is kept under `folder/runs`, what is scored under
    `folder/scores`.
    """

    def __init__(
        self, suite: Suite, model: Model, engine: Engine, folder: Path, tell: Tell = say_nothing
    ):
        self.suite = suite
        self.model = model
        self.engine = engine
        self.folder = folder
        self.tell = tell
        self.recipe = suite_recipe(
            suite.recipe, train=suite.train, val=suite.val, init=None, attributes=None
        )
        self.took: dict[str, dict[str, Any]] = {}
        torch.set_num_threads(1 if suite.device == "cpu" else torch.get_num_threads())

    @cached_property
    def train_cells(self) -> LabelledCrops:
        if self.recipe.sources:
            return read_data(self.recipe)[0]
        cells = load_crops(self.suite.train, self.recipe.crop_px)
        return as_trained(cells, self.recipe.white)

    @cached_property
    def val(self) -> LabelledCrops:
        """Validation crops in the parents of their classes, their labels read as those of the
        recipe's first source.
        """
        if not self.recipe.sources:
            return load_crops(self.suite.val, self.recipe.crop_px)
        home = self.recipe.sources[0].model_copy(update={"folder": self.suite.val, "held_out": 0})
        data = read_sources((home,), self.recipe.crop_px, False, self.recipe.labels)
        parents = self.recipe.parents
        own = [parents.get(name, name) for name in data.classes]
        names = tuple(sorted({own[label] for label in data.labels}))
        labels = np.array([names.index(own[label]) for label in data.labels])
        return replace(data, labels=labels, classes=names, laboratories=None)

    def crops(self, folder: Path) -> LabelledCrops:
        """Another set's crops, in the classes of validation that it has."""
        return load_crops(folder, self.recipe.crop_px, self.val.classes)

    @cached_property
    def lab_normal(self) -> LabelledCrops:
        return self.crops(self.suite.laboratory.normal)

    @cached_property
    def lab_anomaly(self) -> LabelledCrops:
        return load_crops(self.suite.laboratory.anomaly, self.recipe.crop_px)

    @cached_property
    def patients(self) -> Patients:
        return parted(
            sorted({patient_of(p) for p in self.lab_normal.paths}), self.suite.laboratory.fold
        )

    @cached_property
    def shipped(self) -> Arm:
        return shipped_arm(self.model, self.engine, self.folder / "scores")

    def calibrated(self, name: str, data: LabelledCrops) -> Arm:
        """The model under test after `calibrate` on a set's cells, their labels left out."""
        folder = self.folder / "calibrated" / f"{self.model.model_id}-{name.replace('/', '-')}"
        if not (folder / CARD).exists():
            recalibrate(self.model, self.engine, LabCells(data.images), folder, name)
        model = load_model(folder)
        engine = open_engine(model, self.engine.name, self.engine.precision)
        return shipped_arm(model, engine, self.folder / "scores")

    @cached_property
    def baseline(self) -> Arm:
        return self.arm(self.baseline_run, self.recipe, self.home_cells, self.baseline_folder)

    def home_cells(self, recipe: TrainConfig, done: Retrained) -> LabelledInputs:
        """Validation cells of the classes of a run, every second one."""
        px = done.run.network.image_px
        if recipe.sources:
            return labelled_cells(recipe, done.classes, px)
        names = set(done.classes)
        known = [c for c, name in enumerate(self.val.classes) if name in names]
        rest = part(
            self.val,
            np.flatnonzero(np.isin(self.val.labels, known)),
            tuple(self.val.classes[c] for c in known),
        )
        return calibration_cells(part(rest, even(rest)), recipe, done.classes, px)

    def lab_cells(self, recipe: TrainConfig, done: Retrained) -> LabelledInputs:
        """The lab's normal cells of the patients who calibrate, where their class is one of the
        run's.
        """
        rows = self.patients.rows(self.lab_normal, "calibrate")
        known = [c for c, name in enumerate(self.lab_normal.classes) if name in done.classes]
        data = self.lab_normal.picked(rows[np.isin(self.lab_normal.labels[rows], known)])
        numbers = [done.classes.index(data.classes[c]) for c in data.labels]
        data = replace(data, labels=np.array(numbers))
        return calibration_cells(data, recipe, done.classes, done.run.network.image_px)

    @property
    def baseline_folder(self) -> Path:
        return self.suite.baseline or self.folder / "runs" / "baseline"

    @cached_property
    def baseline_run(self) -> Retrained:
        minutes = (
            minutes_of(self.suite.baseline) if self.suite.baseline else self.suite.minutes.baseline
        )
        return self.retrained(
            Plan(
                self.baseline_folder,
                BASELINE,
                self.recipe,
                minutes,
                lambda: self.train_cells,
                device=self.suite.device,
            )
        )

    def held_out(self, name: str, arm: str) -> Arm:
        """Trained without one class; the other classes' even validation cells calibrate it."""
        folder = self.folder / "runs" / f"without-{name}-{arm}"
        recipe = recipe_without(self.recipe, name)
        plan = Plan(
            folder,
            arm,
            recipe,
            self.suite.minutes.held_out,
            lambda: read_data(recipe)[0] if recipe.sources else without(self.train_cells, name),
            device=self.suite.device,
            facts={"without": name},
        )
        return self.arm(self.retrained(plan), recipe, self.home_cells, folder)

    def low_data(self, images: int, seed: int, arm: str) -> Arm:
        """Trained from scratch on few images; nothing calibrates it, since that would be further
        labels.
        """
        folder = self.folder / "runs" / f"few-{images}-{seed}-{arm}"
        recipe = self.recipe.model_copy(update={"seed": seed})
        plan = Plan(
            folder,
            arm,
            recipe,
            self.suite.minutes.low_data,
            lambda: few(self.train_cells, images, seed),
            device=self.suite.device,
            facts={"images_a_class": images},
        )
        return self.arm(self.retrained(plan), recipe, None, folder)

    def fine_tuned(self, arm: str) -> Arm:
        """The model under test, or the baseline, trained on with the lab's normal cells of the
        training patients.
        """
        card = self.model.card
        model_has = {
            "network": card.training.get("network", {}),
            "white": card.white,
            "window_px": card.window_px,
        }
        own = model_has if arm == OUR_ARM else {}
        slowly = {
            "learning_rate": self.suite.fine_tune_rate,
            "guide_weight": 0.0,
        }  # a new guide would teach the trunk nonsense
        recipe = self.recipe.model_copy(update=slowly | own)
        folder = (
            self.folder / "runs" / f"fine-tuned-{self.model.model_id if arm == OUR_ARM else arm}"
        )
        begin = (
            partial(begin_with_model, self.model)
            if arm == OUR_ARM
            else partial(begin_with_run, self.baseline_run.run)
        )
        plan = Plan(
            folder,
            arm,
            recipe,
            self.suite.minutes.fine_tune,
            lambda: self.lab_training(recipe.white),
            begin,
            self.suite.device,
            {"patients": sorted(self.patients.train)},
        )
        return self.arm(self.retrained(plan), recipe, self.lab_cells, folder)

    def lab_training(self, white: bool) -> LabelledCrops:
        cells = part(self.lab_normal, self.patients.rows(self.lab_normal, "train"))
        if absent := set(range(len(cells.classes))) - set(cells.labels):
            names = ", ".join(cells.classes[c] for c in absent)
            raise DataError(
                f"{self.suite.laboratory.normal}: no {names} of the training patients",
                "choose another fold",
            )
        return as_trained(cells, white)

    def retrained(self, plan: Plan) -> Retrained:
        done = retrain(plan, partial(self.tell, plan.folder.name))
        self.took[plan.folder.name] = {
            "arm": plan.arm,
            **{k: v for k, v in done.took.items() if k != "classes"},
        }
        return done

    def arm(
        self,
        done: Retrained,
        recipe: TrainConfig,
        calibration: Callable[[TrainConfig, Retrained], LabelledInputs] | None,
        folder: Path,
    ) -> Arm:
        kept = self.folder / "scores" / folder.name
        cells = calibration(recipe, done) if calibration else None
        net = done.run.averaged()
        if isinstance(net, Denoiser):
            arm = denoiser_arm(done, net, recipe, cells, kept, self.suite.draws, self.suite.device)
        elif isinstance(net, Classifier):
            arm = baseline_arm(done, net, recipe, cells, kept, self.suite.device)
        else:
            raise DataError(
                f"{folder}: a network of another kind", "choose another --report folder"
            )
        return of_parents(arm, recipe.taxonomy) if recipe.sources else arm


def as_trained(data: LabelledCrops, white: bool) -> LabelledCrops:
    """The crops, on white where the network that is trained sees them so."""
    return replace(data, images=on_white(data.images)) if white else data


def recipe_without(recipe: TrainConfig, name: str) -> TrainConfig:
    """A recipe of several sources without the classes of a parent; another is as it was."""
    if not recipe.sources:
        return recipe
    left_out = {c for c, entry in recipe.taxonomy.items() if name in (c, entry.parent)} | {name}
    sources = [
        source.model_copy(
            update={"labels": {k: v for k, v in source.labels.items() if v not in left_out}}
        )
        for source in recipe.sources
    ]
    return recipe.model_copy(
        update={
            "sources": tuple(sources),
            "taxonomy": {c: e for c, e in recipe.taxonomy.items() if c not in left_out},
            "groups": {
                k: tuple(c for c in v if c not in left_out) for k, v in recipe.groups.items()
            },
        }
    )


def even(data: LabelledCrops) -> np.ndarray:
    """The rows that calibrate."""
    return np.arange(0, len(data.labels), 2)


def odd(data: LabelledCrops) -> np.ndarray:
    """The rows that are measured on and calibrate nothing."""
    return np.arange(1, len(data.labels), 2)


def minutes_of(folder: Path) -> float:
    """The minutes of a run trained before.

    Raises:
        DataError: the folder holds none.
    """
    try:
        result: float = json.loads((folder / "plan.json").read_text())["minutes"]
        return result
    except (OSError, ValueError, KeyError) as error:
        what = f"{folder}: no baseline trained by an evaluation: {error}"
        raise DataError(what, "name runs/baseline of a report folder") from error


def begin_with_run(there: TrainingState[TrunkNetwork], run: TrainingState[TrunkNetwork]) -> None:
    """Take over another run's averaged weights."""
    run.model.load_state_dict(there.average)
    run.average = {k: v.detach().clone() for k, v in there.average.items()}


def begin_with_model(model: Model, run: TrainingState[TrunkNetwork]) -> None:
    """Take over the weights of an exported model, where the run is of such a network."""
    if isinstance(run, Training):
        run.begin_with(of_model(model.graph.parent))
