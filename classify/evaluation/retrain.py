"""Training within stated minutes: the runs that an evaluation compares, each in its own folder,
resumable (needs torch).
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from classify.errors import DataError
from classify.image_folder import LabelledCrops
from classify.network import TrunkNetwork
from classify.training import (
    MOST_STEPS,
    TrainConfig,
    Training,
    TrainingState,
    class_names,
    learn,
    paced,
    prepare,
)

from .baseline import BaselineTraining, parameters

OUR_ARM = "ours"
BASELINE = "baseline"
SAVE_EVERY_S = 30.0
PACE = {
    "out",
    "steps",
    "validate_every",
    "checkpoint_every",
}  # of the recipe, what the minutes decide


@dataclass(frozen=True, slots=True)
class Plan:
    """One retraining: where, which arm, what recipe, on what, for how long. `begin` sets the
    weights to begin with.
    """

    folder: Path
    arm: str
    recipe: TrainConfig
    minutes: float
    data: Callable[[], LabelledCrops]
    begin: Callable[[TrainingState[TrunkNetwork]], None] = lambda run: None
    device: str = "cpu"
    facts: dict[str, Any] = field(default_factory=dict)

    def as_kept(self) -> dict[str, Any]:
        recipe = self.recipe.model_dump(mode="json", exclude=PACE)
        return {
            "arm": self.arm,
            "minutes": self.minutes,
            "device": self.device,
            **self.facts,
            "recipe": recipe,
        }


@dataclass(frozen=True, slots=True)
class Retrained:
    """A finished run, its classes (`other` among them), and what it took: minutes, images seen,
    parameters.
    """

    run: TrainingState[TrunkNetwork]
    classes: tuple[str, ...]
    took: dict[str, Any]


def part(data: LabelledCrops, chosen: np.ndarray, classes: tuple[str, ...] = ()) -> LabelledCrops:
    """Some of the crops, in `classes` where not all are wanted."""
    names = classes or data.classes
    picked = data.picked(chosen)
    labels = np.array([names.index(data.classes[c]) for c in picked.labels], dtype=int)
    return replace(picked, labels=labels, classes=names)


def without(data: LabelledCrops, name: str) -> LabelledCrops:
    """The crops of all classes but one."""
    kept = tuple(c for c in data.classes if c != name)
    return part(data, np.flatnonzero(data.labels != data.classes.index(name)), kept)


def few(data: LabelledCrops, per_class: int, seed: int) -> LabelledCrops:
    """So many crops of each class, drawn by seed."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(data.labels == c) for c in range(len(data.classes))]
    return part(data, np.concatenate([rng.permutation(m)[:per_class] for m in members]))


def clock(device: str) -> float:
    """Seconds of this process on a CPU, where others may share the machine; of the wall where the
    work is elsewhere.
    """
    return time.process_time() if device == "cpu" else time.perf_counter()


def retrain(plan: Plan, tell: Callable[[dict[str, Any]], None] = lambda row: None) -> Retrained:
    """Train for `plan.minutes`, going on from where a killed run stopped; a finished one is only
    loaded.

    The learning rate follows the share of the minutes used, so that both arms end theirs alike.

    Raises:
        DataError: the folder holds a run of another plan.
    """
    keep_plan(plan)
    done = plan.folder / "done.json"
    kept: dict[str, Any] = json.loads(done.read_text()) if done.exists() else {}
    data = None if kept else plan.data()
    classes = class_names(data, plan.recipe) if data else tuple(kept["classes"])
    kind: type[TrainingState[TrunkNetwork]] = BaselineTraining if plan.arm == BASELINE else Training
    run = kind(plan.recipe, classes, plan.device)
    last = plan.folder / "last.pt"
    run.load(last) if last.exists() else plan.begin(run)
    if data:
        prepare(run, data)
        seconds = advance(plan, run, data, tell)
        kept = {
            "minutes": seconds / 60,
            "steps": run.step,
            "images": run.step * plan.recipe.batch,
            "parameters": parameters(run.model),
            "classes": classes,
        }
        run.save(last)
        done.write_text(json.dumps(kept, indent=1))
    return Retrained(run, classes, kept)


def advance(
    plan: Plan,
    run: TrainingState[TrunkNetwork],
    data: LabelledCrops,
    tell: Callable[[dict[str, Any]], None],
) -> float:
    """Step until the minutes are used; returns the seconds used in all, those before a stop too."""
    used = seconds_used(plan.folder, run.step)
    budget = plan.minutes * 60
    saved = used
    steps = learn(run, data, range(run.step, MOST_STEPS))
    with (plan.folder / "log.jsonl").open("a") as log:
        while used < budget:
            start = clock(plan.device)
            run.cfg = paced(run.cfg, plan.recipe, run.step, used / budget)
            row = next(steps)
            used += clock(plan.device) - start
            print(json.dumps(row | {"seconds": used}), file=log, flush=True)
            if used - saved > SAVE_EVERY_S:
                run.save(plan.folder / "last.pt")
                saved = used
            tell(row | {"used": used, "budget": budget})
    return used


def seconds_used(folder: Path, step: int) -> float:
    """What the steps up to the checkpoint took; later ones were lost and are taken out of the
    log.
    """
    path = folder / "log.jsonl"
    kept = [row for row in log_rows(path) if row["step"] <= step]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    return kept[-1]["seconds"] if kept else 0.0


def log_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a training log, one a step: what a kill cut short is left out, of a step done again
    the last counts.
    """
    rows = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        with suppress(json.JSONDecodeError):
            row = json.loads(line)
            rows[row["step"]] = row
    return [rows[step] for step in sorted(rows)]


def keep_plan(plan: Plan) -> None:
    path = plan.folder / "plan.json"
    kept = plan.as_kept()
    plan.folder.mkdir(parents=True, exist_ok=True)
    if path.exists() and _differences(json.loads(path.read_text())) != _differences(kept):
        raise DataError(
            f"{plan.folder} holds a run of other settings",
            "choose another --report folder or remove that one",
        )
    path.write_text(json.dumps(kept, indent=1))


def _differences(kept: dict[str, Any]) -> dict[str, Any]:
    """A plan with what its recipe says beyond the defaults, so that a later version's new keys
    change nothing.
    """
    recipe = TrainConfig(**kept["recipe"]).model_dump(
        mode="json", exclude_defaults=True, exclude=PACE
    )
    return kept | {"recipe": recipe}
