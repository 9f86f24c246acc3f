"""What a model says of a set of cells: errors or logits kept on disk, then probabilities and oddities (needs torch)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.special import logsumexp, softmax
from torch import Tensor

from .anomaly import absolute
from .augment import Jitter, view
from .baseline import Classifier
from .calibrate import ErrorTable, best_bias, error_table, own_errors
from .card import Model
from .data import OTHER, LabelledCrops
from .engine import Engine
from .network import Denoiser
from .oddity import Oddity, fit_oddity, oddity_of, relative
from .pixels import on_white, to_input
from .retrain import Retrained
from .schedule import best_temperature, candidates
from .train import TrainConfig

BATCH = 64
PRIOR_CELLS = 20  # a class of few calibration cells is drawn towards all classes' mean by as many
LEAST_FOR_BIAS = 10


class NetEngine:
    """A network under training as an engine: bf16 where autocast has it, one noise list for all cells."""

    name, version, precision, batch = "torch", torch.__version__, "bf16", BATCH

    def __init__(self, net: Denoiser | Classifier, device: str = "cpu"):
        self.net, self.device = net.to(device).eval(), device

    def errors(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run(self.net.errors, images, noise, sigma)

    def denoised(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run(self.net.denoise, images + sigma[:, None, None, None] * noise, sigma)

    @torch.inference_mode()
    def run(self, function: Callable[..., Tensor], *inputs: np.ndarray) -> np.ndarray:
        rows = [slice(i, i + self.batch) for i in range(0, len(inputs[0]), self.batch)]
        with torch.autocast(self.device, torch.bfloat16):
            parts = [function(*(self.tensor(x[part]) for x in inputs)).float().cpu() for part in rows]
        return torch.cat(parts).numpy()

    def tensor(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(self.device)


@dataclass(frozen=True, slots=True)
class Scale:
    """Errors (n, D, K) to probabilities: softmax(-sum_d weight e / temperature + bias); `mean`, `spread` (D, K) of own errors."""

    weight: np.ndarray
    temperature: float
    bias: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    oddity: Oddity | None = None

    def probability(self, errors: np.ndarray) -> np.ndarray:
        """Class probabilities (n, K) after all draws."""
        evidence = -np.einsum("d,ndk->nk", self.weight, errors, dtype=np.float64)
        return softmax(evidence / self.temperature + self.bias, axis=1)


@dataclass(frozen=True, slots=True)
class Scores:
    """Of n cells: probabilities (n, K) and, by the name of the score, how odd each is (n,)."""

    probability: np.ndarray
    odd: dict[str, np.ndarray]

    @property
    def predicted(self) -> np.ndarray:
        return self.probability.argmax(axis=1)

    @property
    def confidence(self) -> np.ndarray:
        return self.probability.max(axis=1)


def scale_of(table: ErrorTable, weight: np.ndarray, sigma: np.ndarray | None = None) -> Scale:
    """Fitted on labelled cells that were not trained on; classes of too few cells lean on the others.

    Of draws at noise levels sigma (D,) it also learns what normal cells' errors are like.
    """
    logits = -np.einsum("d,ndk->nk", weight, table.errors, dtype=np.float64)
    counts = np.bincount(table.y, minlength=logits.shape[1])
    temperature = best_temperature(logits, table.y)
    bias = best_bias(logits / temperature, table.y) if counts.min() >= LEAST_FOR_BIAS else np.zeros(len(counts))
    oddity = None if sigma is None else fit_oddity(table.errors, sigma)
    return Scale(weight, temperature, bias, *normal_errors(table, counts), oddity)


def bare(weight: np.ndarray, done: Retrained) -> Scale:
    """No calibration: for labels alone, where every labelled cell counts."""
    shape = len(weight), len(done.classes)
    return Scale(weight, 1.0, np.zeros(shape[1]), np.zeros(shape), np.ones(shape))


def normal_errors(table: ErrorTable, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`calibrate.own_errors` (D, K), drawn towards those of all cells where a class has few."""
    own = np.take_along_axis(table.errors, table.y[:, None, None], axis=2)[:, :, 0]
    everything = own.mean(axis=0)[:, None], own.std(axis=0)[:, None] + 1e-4
    share = counts / (counts + PRIOR_CELLS)
    if counts.min() == 0:
        table = ErrorTable(np.concatenate([table.errors, table.errors[:1].repeat(len(counts), 0)]),
                           np.concatenate([table.y, np.arange(len(counts))]))  # fmt: skip
    return tuple(share * each + (1 - share) * all_ for each, all_ in zip(own_errors(table), everything, strict=True))


def ours(errors: np.ndarray, scale: Scale) -> Scores:
    """Scores of a denoiser's errors (n, D, K)."""
    p = scale.probability(errors)
    fit = absolute(errors, p.argmax(axis=1), scale.mean, scale.spread)
    odd = {"relative": relative(errors), "absolute": fit}
    return Scores(p, odd if scale.oddity is None else odd | {"combined": scale.oddity.raw(errors)})


def discriminative(logits: np.ndarray, scale: Scale) -> Scores:
    """Scores of a classifier's logits (n, K): one less the greatest softmax, and the energy (Liu et al. 2020)."""
    p = scale.probability(-logits[:, None])
    return Scores(p, {"softmax": 1 - p.max(axis=1), "energy": -logsumexp(logits, axis=1)})


@dataclass(frozen=True, slots=True)
class Cells:
    """Inputs (n, 3, px, px) of labelled cells, class numbers y (n,)."""

    images: np.ndarray
    y: np.ndarray


def calibration_cells(data: LabelledCrops, recipe: TrainConfig, classes: tuple[str, ...], image_px: int) -> Cells:
    """The crops as inputs, and where `classes` end in `other` as many views beside the cells as there are of a class."""
    images = to_input(data.images, recipe.window_px, image_px, recipe.white)
    if OTHER not in classes:
        return Cells(images, data.labels)
    crops = data.images[:: len(classes)]
    crops = torch.from_numpy(on_white(crops) if recipe.white else crops)
    still, rng = Jitter(rotate=False, scale=0, shift_px=0), torch.Generator().manual_seed(11)
    around = view(crops, torch.ones(len(crops), dtype=torch.bool), recipe.window_px, image_px, still, rng).numpy()
    y = np.concatenate([data.labels, np.full(len(around), classes.index(OTHER))])
    return Cells(np.concatenate([images, around]), y)


@dataclass(frozen=True, slots=True)
class Arm:
    """One of those compared: what it sees of crops, its raw scores of that, kept in `folder`, and what it makes of them."""

    classes: tuple[str, ...]
    see: Callable[[np.ndarray], np.ndarray]
    raw: Callable[[np.ndarray], np.ndarray]
    judge: Callable[[np.ndarray], Scores]
    folder: Path
    features: Callable[[np.ndarray], np.ndarray] | None = None

    def scores(self, name: str, crops: np.ndarray) -> Scores:
        """Of 8-bit crops (n, h, w, 3), known to the disk under `name`."""
        return self.judge(remembered(self.folder / f"{name}-{len(crops)}.npy", lambda: self.raw(self.see(crops))))


def shipped_arm(model: Model, engine: Engine, folder: Path) -> Arm:
    """The exported model through the serving engine: every draw of its list, no elimination."""
    card, temperature = model.card, float(model.temperature[-1])
    scale = Scale(model.weight, temperature, model.bias, model.mean, model.spread, oddity_of(model))
    return Arm(
        card.classes, lambda crops: to_input(crops, card.window_px, card.image_px, card.white),
        lambda x: error_table(engine, x, model.noise, model.sigma), lambda errors: ours(errors, scale), folder / model.model_id,
    )  # fmt: skip


def denoiser_arm(
    done: Retrained, recipe: TrainConfig, calibration: LabelledCrops | None, folder: Path, draws: int, device: str
) -> Arm:
    """A retrained denoiser in torch, over a plain list of draws; its scale is fitted on the calibration cells."""
    px, folder = done.run.network.image_px, folder / f"{draws}-draws"
    net, (sigma, noise) = done.run.averaged(), candidates(draws, px, recipe.seed)
    engine = NetEngine(net, device)
    with torch.no_grad():
        weight = net.log_gain(torch.from_numpy(sigma).to(device)).exp().cpu().numpy()

    def raw(x: np.ndarray) -> np.ndarray:
        return error_table(engine, x, noise, sigma)

    def table(cells: Cells) -> ErrorTable:
        return ErrorTable(remembered(folder / "calibration.npy", lambda: raw(cells.images)), cells.y)

    calibrating = calibration and calibration_cells(calibration, recipe, done.classes, px)
    scale = scale_of(table(calibrating), weight, sigma) if calibrating else bare(weight, done)
    return Arm(done.classes, seeing(recipe, px), raw, lambda errors: ours(errors, scale), folder)


def baseline_arm(done: Retrained, recipe: TrainConfig, calibration: LabelledCrops | None, folder: Path, device: str) -> Arm:
    """The discriminative baseline, its temperature and bias fitted as the denoiser's are."""
    px = done.run.network.image_px
    engine = NetEngine(done.run.averaged(), device)

    def raw(x: np.ndarray) -> np.ndarray:
        return engine.run(engine.net, x)

    def table(cells: Cells) -> ErrorTable:
        return ErrorTable(-remembered(folder / "calibration.npy", lambda: raw(cells.images))[:, None], cells.y)

    calibrating = calibration and calibration_cells(calibration, recipe, done.classes, px)
    scale = scale_of(table(calibrating), np.ones(1)) if calibrating else bare(np.ones(1), done)
    features = lambda x: engine.run(engine.net.features, x)  # noqa: E731
    return Arm(done.classes, seeing(recipe, px), raw, lambda z: discriminative(z, scale), folder, features)


def seeing(recipe: TrainConfig, image_px: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda crops: to_input(crops, recipe.window_px, image_px, recipe.white)


def remembered(path: Path, work: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that `work` gives, from the disk where it has been worked out before."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".part.npy")
        np.save(scratch, work())
        scratch.replace(path)
    return np.load(path)
