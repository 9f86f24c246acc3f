"""Those compared: the exported model, retrained denoisers, the discriminative baseline; raw scores
kept on disk (needs torch).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from classify.anomaly import Oddity, fit_oddity, oddity_of
from classify.calibration import ErrorTable, candidates, error_table
from classify.engines import Engine
from classify.errors import DataError
from classify.image_folder import OTHER_CLASS, LabelledCrops
from classify.model_card import ClassEntry, Model
from classify.network import Denoiser
from classify.pixels import on_white, to_input
from classify.training import LabelledInputs, TrainConfig, labelled_inputs

from .baseline import Classifier
from .retrain import Retrained
from .scoring import (
    Scores,
    ScoreScale,
    bare,
    discriminative,
    fit_nearness,
    ours,
    score_scale_of,
    search_scores,
)

_BATCH = 64
Judge = Callable[[np.ndarray], Scores]


class NetRunner:
    """Runs a network under training in batches: bf16 where autocast has it."""

    batch = _BATCH

    def __init__(self, device: str = "cpu"):
        self.device = device

    @torch.inference_mode()
    def run(self, function: Callable[..., Tensor], *inputs: np.ndarray) -> np.ndarray:
        rows = [slice(i, i + self.batch) for i in range(0, len(inputs[0]), self.batch)]
        with torch.autocast(self.device, torch.bfloat16):
            parts = [
                function(*(self.tensor(x[part]) for x in inputs)).float().cpu() for part in rows
            ]
        return torch.cat(parts).numpy()

    def tensor(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(self.device)


class NetEngine(NetRunner):
    """A denoiser under training as an engine, one noise list for all cells."""

    name = "torch"
    version = str(torch.__version__)
    precision = "bf16"

    def __init__(self, net: Denoiser, device: str = "cpu"):
        super().__init__(device)
        self.net = net.to(device).eval()

    def errors(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.errors_and_features(images, noise, sigma)[0]

    def errors_and_features(
        self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        found = self.run(self._both, images, noise, sigma)
        classes = self.net.cfg.classes
        return found[:, :classes], found[:, classes:]

    def denoised(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run(self.net.denoise, images + sigma[:, None, None, None] * noise, sigma)

    def features(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.errors_and_features(images, noise, sigma)[1]

    def _both(self, image: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        return torch.cat(self.net.errors_and_features(image, noise, sigma), dim=1)


def calibration_cells(
    data: LabelledCrops, recipe: TrainConfig, classes: tuple[str, ...], image_px: int
) -> LabelledInputs:
    """The crops as inputs, on white where the recipe says so, and where `classes` end in `other` as
    many views beside the cells as there are of a class.
    """
    seen = replace(data, images=on_white(data.images)) if recipe.white else data
    return labelled_inputs(seen, classes, recipe.window_px, image_px, len(classes))


@dataclass(frozen=True, slots=True)
class Arm:
    """What it sees of crops, its raw scores of that, kept in `folder`, and what it makes of them.

    `adapted` gives the same arm's judge with what is normal taken from the raw scores of another
    lab's normal cells.
    """

    classes: tuple[str, ...]
    see: Callable[[np.ndarray], np.ndarray]
    raw: Callable[[np.ndarray], np.ndarray]
    judge: Judge
    adapted: Callable[[np.ndarray], Judge]
    folder: Path

    def kept(self, name: str, crops: np.ndarray) -> np.ndarray:
        """Raw scores of 8-bit crops (n, h, w, 3), known to the disk under `name`."""
        return remembered(
            self.folder / f"{name}-{len(crops)}.npy", lambda: self.raw(self.see(crops))
        )

    def scores(self, name: str, crops: np.ndarray) -> Scores:
        return self.judge(self.kept(name, crops))

    def measured_again(self, name: str, crops: np.ndarray, normal: np.ndarray) -> "Arm":
        """With the rows `normal` of a lab's cells, unlabelled, as what is normal."""
        return replace(self, judge=self.adapted(self.kept(name, crops)[normal]))


def shipped_arm(model: Model, engine: Engine, folder: Path) -> Arm:
    """The exported model through the serving engine: every draw of its list, no elimination; its
    classes are the parents of its taxonomy, as the folders of the sets name them.
    """
    card = model.card
    scale = ScoreScale(model.weight, float(model.temperature[-1]), model.bias)
    prior = oddity_of(model)
    arm = denoising(
        card.classes,
        lambda crops: to_input(crops, card.window_px, card.image_px, card.white),
        partial(error_table, engine, draws=model),
        (scale, prior),
        folder / model.model_id,
    )
    return of_parents(arm, card.taxonomy)


def of_parents(arm: Arm, taxonomy: dict[str, ClassEntry]) -> Arm:
    """The arm with the parents of its classes for classes, as the folders of the sets name them,
    and a score for each class that is not normal.
    """
    parent_of = {n: taxonomy[n].parent if n in taxonomy else n for n in arm.classes}
    parents = tuple(dict.fromkeys(parent_of.values()))
    numbers = np.array([parents.index(parent_of[name]) for name in arm.classes])
    inside = numbers[:, None] == np.arange(len(parents))

    def merged(judge: Judge) -> Judge:
        def judged(raw: np.ndarray) -> Scores:
            scores = judge(raw)
            searched = search_scores(scores.probability, arm.classes, taxonomy)
            return Scores(scores.probability @ inside, scores.odd | searched)

        return judged

    return replace(
        arm,
        classes=parents,
        judge=merged(arm.judge),
        adapted=lambda raw: merged(arm.adapted(raw)),
    )


def denoiser_arm(
    done: Retrained,
    net: Denoiser,
    recipe: TrainConfig,
    cells: LabelledInputs | None,
    folder: Path,
    draws: int,
    device: str,
) -> Arm:
    """A retrained denoiser in torch, over a plain list of draws; its scale is fitted on the
    calibration cells.
    """
    px = done.run.network.image_px
    folder = folder / f"{draws}-draws"
    listed = candidates(draws, px, recipe.seed)
    engine = NetEngine(net, device)
    with torch.no_grad():
        weight = net.log_gain(torch.from_numpy(listed.sigma).to(device)).exp().cpu().numpy()
    raw = partial(error_table, engine, draws=listed)
    fitted: tuple[ScoreScale, Oddity | None] = bare(weight, len(done.classes)), None
    if cells:
        errors = remembered(folder / "calibration.npy", lambda: raw(cells.images))
        fitted = (
            score_scale_of(ErrorTable(errors, cells.y), weight, log_priors(recipe, done.classes)),
            fit_oddity(
                errors[np.array(done.classes)[cells.y] != OTHER_CLASS],
                listed.sigma,
                part_weights=recipe.anomaly_weights,
            ),
        )
    return denoising(done.classes, seeing(recipe, px), raw, fitted, folder)


def denoising(
    classes: tuple[str, ...],
    see: Callable[[np.ndarray], np.ndarray],
    raw: Callable[[np.ndarray], np.ndarray],
    fitted: tuple[ScoreScale, Oddity | None],
    folder: Path,
) -> Arm:
    """An arm whose raw scores are errors (n, D, K)."""
    scale, oddity = fitted

    def adapted(errors: np.ndarray) -> Judge:
        if oddity is None:
            raise DataError(
                "an arm that nothing calibrated cannot be adapted", "calibrate it first"
            )
        there = fit_oddity(errors, oddity.sigma, oddity)
        return lambda e: ours(e, scale, there)

    return Arm(classes, see, raw, lambda errors: ours(errors, scale, oddity), adapted, folder)


def baseline_arm(
    done: Retrained,
    net: Classifier,
    recipe: TrainConfig,
    cells: LabelledInputs | None,
    folder: Path,
    device: str,
) -> Arm:
    """The discriminative baseline, its temperature fitted as the denoiser's is; raw scores are
    features (n, F).
    """
    px = done.run.network.image_px
    folder = folder / "features"
    net.to(device).eval()
    runner = NetRunner(device)
    head = net.head.weight.detach().cpu().numpy()
    shift = net.head.bias.detach().cpu().numpy()

    def raw(images: np.ndarray) -> np.ndarray:
        return runner.run(net.features, images)

    scale = bare(np.ones(1), len(done.classes))
    nearness = None
    if cells:
        known = remembered(folder / "calibration.npy", lambda: raw(cells.images))
        table = ErrorTable(-(known @ head.T + shift)[:, None], cells.y)
        scale = score_scale_of(table, np.ones(1), log_priors(recipe, done.classes))
        nearness = fit_nearness(known, cells.y)

    def adapted(features: np.ndarray) -> Judge:
        said = (features @ head.T + shift).argmax(axis=1)
        there = fit_nearness(features, said)
        return lambda f: discriminative(f, f @ head.T + shift, scale, there)

    def judge(features: np.ndarray) -> Scores:
        return discriminative(features, features @ head.T + shift, scale, nearness)

    return Arm(done.classes, seeing(recipe, px), raw, judge, adapted, folder)


def log_priors(recipe: TrainConfig, classes: tuple[str, ...]) -> np.ndarray:
    """Logarithms of the taxonomy's priors (K,), as the model under test has them; 0 of a class that
    is not in it.
    """
    entries = (recipe.taxonomy.get(name) for name in classes)
    return np.log([entry.prior if entry else 1.0 for entry in entries])


def seeing(recipe: TrainConfig, image_px: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda crops: to_input(crops, recipe.window_px, image_px, recipe.white)


def remembered(path: Path, work: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that `work` gives, from the disk where it has been worked out before."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".part.npy")
        np.save(scratch, work())
        scratch.replace(path)
    result: np.ndarray = np.load(path)
    return result
