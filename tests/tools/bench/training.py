"""What each choice of training is worth: `python -m tests.tools.bench.training DATA --work DIR
[--minutes 8] [--only pixels]`.

A row is the recipe with one change, trained from scratch for the same processor minutes of one
core; the same command goes on after a stop. Balanced accuracy on pbc/val and accuracy in other
laboratories, by 8 draws, on cells that calibrated nothing: enough to tell choices apart, not to
quote.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from classify.evaluation.contender import calibration_cells, denoiser_arm
from classify.evaluation.contenders import even, odd, suite_recipe
from classify.evaluation.metrics import balanced_accuracy
from classify.evaluation.retrain import OUR_ARM, Plan, part, retrain
from classify.image_folder import load_crops
from classify.training import TrainConfig
from classify.training.training_crops import read_crops

RECIPE = Path("configs/training/pbc-64px.toml")
AS_SHIPPED = "as shipped"
DRAWS, THINNED = 8, 3
STILL = {"stain": 0.0, "hue": 0.0, "faded": 0.0, "colour": 0.0, "white": 0.0, "gamma": 0.0}
CHOICES = {
    "objective": {
        AS_SHIPPED: {},
        "no guide": {"guide_weight": 0.0},
        "a third of both cross-entropies": {"class_weight": 0.3, "guide_weight": 0.3},
        "three times both cross-entropies": {"class_weight": 3.0, "guide_weight": 3.0},
        "noise twice as high": {"sigma_centre": 0.5},
        "AdamW at 7e-4": {"optimizer": "adamw", "learning_rate": 7e-4},
    },
    "pixels": {
        AS_SHIPPED: {},
        "64 px over 36 um": {"window_px": 128},
        "64 px over 27 um": {"window_px": 96},
        "64 px over 20 um": {"window_px": 72},
        "64 px over 16 um": {"window_px": 56},
        "96 px over 27 um, coarser patches": {
            "window_px": 96,
            "network": {"image_px": 96, "patch_px": 6},
        },
        "128 px over 36 um, coarser patches": {
            "window_px": 128,
            "network": {"image_px": 128, "patch_px": 8},
        },
    },
    "colour": {
        AS_SHIPPED: {},
        "background as it is": {"white": False},
        "no colour lost": {"jitter": {"faded": 0.0}},
        "half the jitter": {"jitter": {"stain": 0.25, "hue": 0.21}},
        "no colour jitter": {"jitter": STILL},
    },
}
screen = Console(width=140)


def changed(recipe: TrainConfig, change: dict) -> TrainConfig:
    """The recipe with a change; a table of it is changed key by key."""
    made = recipe.model_dump()
    for key, value in change.items():
        made[key] = made[key] | value if isinstance(value, dict) else value
    return TrainConfig(**made)


def measured(recipe, folder, minutes, data):
    """Accuracies of the recipe trained for so many minutes, and what it took."""
    plan = Plan(folder, OUR_ARM, recipe, minutes, lambda: read_crops(recipe.train, recipe))
    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(folder.name, total=minutes * 60)
        done = retrain(plan, lambda row: bars.update(bar, completed=row["used"]))
    val = load_crops(data / "pbc/val", recipe.crop_px)
    some = part(val, even(val)[::THINNED])
    calibration = calibration_cells(some, recipe, done.classes, done.run.network.image_px)
    arm = denoiser_arm(
        done,
        done.run.averaged(),
        recipe,
        calibration,
        folder / "scores",
        DRAWS,
        "cpu",
    )
    rest = part(val, odd(val)[::THINNED])
    made = [balanced_accuracy(rest.labels, arm.scores("val", rest.images).predicted)]
    for name in ("raabin", "deepapl/normal"):
        cells = load_crops(data / name, recipe.crop_px, val.classes)
        cells = part(
            cells, np.arange(0, len(cells.labels), 1 if name == "raabin" else THINNED), val.classes
        )
        made.append(
            float(
                (arm.scores(name.replace("/", "-"), cells.images).predicted == cells.labels).mean()
            )
        )
    return made, done.took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--only", choices=CHOICES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe = suite_recipe(
        RECIPE, train=options.data / "pbc/train", val=options.data / "pbc/val", init=None
    )
    for title in [options.only] if options.only else CHOICES:
        table = Table(
            title,
            "images seen",
            "pbc/val",
            "raabin",
            "deepapl/normal",
            title=f"{options.minutes:g} minutes each",
        )
        for name, change in CHOICES[title].items():
            folder = options.work / f"{name.replace(' ', '-')}-{options.minutes:g}"
            accuracies, took = measured(
                changed(recipe, change), folder, options.minutes, options.data
            )
            table.add_row(name, f"{took['images']:,}", *(f"{v:.3f}" for v in np.array(accuracies)))
        screen.print(table)


if __name__ == "__main__":
    main()
