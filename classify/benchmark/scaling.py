"""What the choice of draws buys, and how the cost of a cell grows with the number of classes (needs
torch).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch

from classify.anomaly import relative
from classify.calibration import error_table, log_loss, random_draws, weight_of
from classify.elimination import chance_of, settled_at
from classify.engines import Engine, open_engine
from classify.engines.torch import config_of
from classify.evaluation import auc, balanced_accuracy
from classify.model_card import Model
from classify.network import Denoiser
from classify.rule import posterior
from classify.training import export_graph

from .judge_timing import HOME, ODD, Cells
from .paper_procedure import Procedure

COUNTS = (1, 2, 4, 8, 16)
TIMED_S = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Subset:
    """The first `classes` of a model's classes, as it has been calibrated for all of them."""

    weight: np.ndarray
    temperature: np.ndarray
    bias: np.ndarray


def chosen_and_random(
    model: Model, engine: Engine, cells: Cells, images: np.ndarray, seeds: int = 3
) -> list[dict[str, float]]:
    """A row a number of draws: balanced accuracy and log loss at home, AUC of the relative score,
    of the model's own draws and, as the mean over `seeds`, of random ones; both without the class
    bias, each at its own best temperature.
    """
    chosen = quality(error_table(engine, images, model), model.weight, cells)
    others = []
    for seed in range(seeds):
        draws = random_draws(len(model.sigma), model.card.image_px, seed)
        weight = weight_of(draws.sigma, model.sigma, model.weight)
        others.append(quality(error_table(engine, images, draws), weight, cells))
    rows = []
    for i, mine in enumerate(chosen):
        random = {
            f"random_{k}": float(np.mean([o[i][k] for o in others])) for k in mine if k != "draws"
        }
        rows.append(
            {
                "draws": mine["draws"],
                **{f"chosen_{k}": v for k, v in mine.items() if k != "draws"},
                **random,
            }
        )
    return rows


def quality(errors: np.ndarray, weight: np.ndarray, cells: Cells) -> list[dict[str, float]]:
    """Of errors (n, D, K), a row a number of draws."""
    home = (cells.group == HOME) & (cells.y >= 0)
    odd = cells.group == ODD
    rows = []
    for d in (c for c in COUNTS if c <= len(weight)):
        logits = -(weight[:d, None] * errors[:, :d]).sum(axis=1, dtype=np.float64)
        row = {
            "draws": d,
            "balanced_accuracy": balanced_accuracy(cells.y[home], logits[home].argmax(axis=1)),
        }
        row["log_loss"] = log_loss(logits[home], cells.y[home])
        if odd.any():
            row["auc"] = auc(relative(errors[home | odd][:, :d]), odd[home | odd])
        rows.append(row)
    return rows


def by_classes(
    model: Model, engine: Engine, cells: Cells, images: np.ndarray, each: int
) -> list[dict[str, float]]:
    """A row a number of classes k, on cells of the first k: our draws by elimination, the paper's
    passes on `each` cells.
    """
    home = (cells.group == HOME) & (cells.y >= 0)
    y = cells.y[home]
    images = images[home]
    errors = error_table(engine, images, model)
    total = len(model.card.classes)
    rows = []
    for k in sorted({min(2, total), min(4, total), total}):
        some = np.flatnonzero(y < k)
        draws = settled_at(chances(model, errors[some, :, :k]), model.card.elimination)
        paper = Procedure(model, passes_a_class=True, classes=k)
        passes = [
            paper(images[i]).passes
            for i in some[np.linspace(0, len(some) - 1, each).round().astype(int)]
        ]
        rows.append(
            {"classes": k, "draws": float(draws.mean()), "paper_passes": float(np.mean(passes))}
        )
    return rows


def chances(model: Model, errors: np.ndarray) -> np.ndarray:
    subset = Subset(model.weight, model.temperature, model.bias[: errors.shape[2]])
    settling = np.ones(len(model.sigma)) if model.settling is None else model.settling
    return chance_of(posterior(errors, subset), settling)


def pass_cost(model: Model, classes: int, precision: str | None) -> float:
    """Pairs a second of a net of the model's shape with random weights and so many classes."""
    net = Denoiser(replace(config_of(model), classes=classes)).eval().requires_grad_(False)
    with TemporaryDirectory() as folder, torch.no_grad():
        engine = open_engine(
            replace(model, graph=export_graph(net, Path(folder))), "openvino", precision
        )
        given = [
            np.repeat(x[:1], engine.batch, axis=0) for x in (model.noise, model.noise, model.sigma)
        ]
        engine.errors(*given)
        start = perf_counter()
        pairs = 0
        while perf_counter() - start < TIMED_S:
            pairs += len(engine.errors(*given))
        return pairs / (perf_counter() - start)
