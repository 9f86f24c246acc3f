"""A model made at home in another laboratory: its encoder adapted to the cells there, its normal
cells' errors measured again.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # loads scipy.optimize where something is fitted
from scipy.special import log_softmax

from classify.anomaly import fit_oddity, oddity_of, tables_of
from classify.engines import Engine, open_engine
from classify.errors import DataError
from classify.model_card import GRAPH, Model, load_model, save_tables, write_card
from classify.pixels import to_input
from classify.rule import posterior

from .adaptation import adapt_channels, can_adapt
from .certainty import CERTAINTY_NAMES, finish
from .fit import ErrorTable, error_table

_LEAST = 50
PRIOR_CELLS = (
    20.0  # the model's own statistics of a class weigh as much as so many of the laboratory's cells
)
PRIOR_SCALE = 5.0  # of temperature and bias, in cells
LEAST_SPREAD = 0.1
MOST_BIAS = 8.0  # nats, about e^8 = 3,000 times as probable; a bound of the search
_BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class LabCells:
    """Normal cells of a laboratory: crops (n, h, w, 3) uint8 and, where known, their class names
    (empty where not).
    """

    crops: np.ndarray
    labels: Sequence[str] = ()


def recalibrate(
    model: Model,
    engine: Engine,
    cells: LabCells,
    out: Path,
    name: str,
    on_cell: Callable[[int], None] = lambda done: None,
) -> Model:
    """Write to `out` a model whose statistics of normal cells are of these cells, and its encoder's
    channels with them (`adaptation`).

    Unlabelled cells count for the class the model gives them; labels of the model's own classes
    also set the class bias and the prediction sets. What a class has few cells for stays near what
    it was, moved as the other classes moved; how errors go together stays as it was.

    Raises:
        DataError: fewer than 50 cells.
    """
    if len(cells.crops) < _LEAST:
        raise DataError(
            f"{len(cells.crops)} cells are too few to calibrate on",
            f"give {_LEAST} or more, some hundred if you can",
        )
    if not can_adapt(model):
        errors = measured(model, engine, cells.crops, on_cell)
        return refitted(model, errors, cells.labels, out, name)
    shares = mean_probability(model, measured(model, engine, cells.crops, lambda done: None))
    model, engine = adapted_to(model, engine, cells, out)
    errors = measured(model, engine, cells.crops, on_cell)
    model = replace(model, bias=model.bias + abnormal_bias(model, errors, shares))
    return refitted(model, errors, cells.labels, out, name)


def adapted_to(model: Model, engine: Engine, cells: LabCells, out: Path) -> tuple[Model, Engine]:
    """The model with its encoder adapted to the cells and its graph in `out`, and an engine for
    it.
    """
    out.mkdir(parents=True, exist_ok=True)
    scratch = out / f"adapted-{GRAPH}"
    names = own_labels(model, cells.labels)
    adapt_channels(model, engine, cells.crops, names, scratch)
    adapted = replace(model, graph=scratch.replace(out / GRAPH))
    return adapted, open_engine(adapted, engine.name, engine.precision)


def mean_probability(model: Model, errors: np.ndarray) -> np.ndarray:
    """How probable each class (K,) is among cells of errors (n, D, K), in the mean."""
    mean: np.ndarray = posterior(errors, model)[:, -1].mean(axis=0)
    return mean


def abnormal_bias(model: Model, errors: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """What is added to the bias (K,) of an adapted model for its abnormal classes to be as probable
    among cells of errors (n, D, K) as they were before (`shares`, (K,)).

    Statistics laid on those of normal cells make abnormal cells look normal, too: of DeepAPL's
    blasts 103 of 300 were called blast before and 5 after (`classify`, white cells of release
    d76f99378365). Never less than nought: what the adaptation finds is kept.
    """
    added = np.zeros(len(model.bias))
    for number, name in enumerate(model.card.classes):
        if not model.card.is_normal(name):
            moved = replace(model, bias=model.bias + added)
            added[number] = bias_for_share(moved, errors, number, float(shares[number]))
    return added


def bias_for_share(model: Model, errors: np.ndarray, number: int, share: float) -> float:
    """What is added to the bias of one class, 0 to MOST_BIAS, for it to be as probable as `share`
    in the mean of cells of errors (n, D, K).
    """
    own = np.arange(len(model.bias)) == number

    def beyond(bias: float) -> float:
        moved = replace(model, bias=model.bias + bias * own)
        return float(mean_probability(moved, errors)[number]) - share

    if beyond(0.0) >= 0:
        return 0.0
    if beyond(MOST_BIAS) <= 0:
        return MOST_BIAS
    return float(scipy.optimize.brentq(beyond, 0, MOST_BIAS))


def refitted(
    model: Model, errors: np.ndarray, labels: Sequence[str], out: Path, name: str
) -> Model:
    """`recalibrate`, given the errors (n, D, K) of the cells under all draws."""
    y, labelled = classes_of(model, errors, labels)
    scale = lab_scale(model, errors, y) if labelled else {}
    table = ErrorTable(errors, y)
    mean, spread = lab_statistics(model, table)
    fitted = (
        tables_of(fit_oddity(errors, model.sigma, oddity_of(model)))
        | scale
        | {"mean": mean, "spread": spread}
    )
    _write(model, out, fitted, {"cells": len(y), "labelled": labelled, "name": name})
    finish(out, table, labelled)
    return load_model(out)


def measured(
    model: Model, engine: Engine, crops: np.ndarray, on_cell: Callable[[int], None]
) -> np.ndarray:
    """Errors (n, D, K) of crops under all draws."""
    card = model.card
    parts = []
    for start in range(0, len(crops), _BATCH):
        x = to_input(crops[start : start + _BATCH], card.window_px, card.image_px, card.white)
        parts.append(error_table(engine, x, model))
        on_cell(min(start + _BATCH, len(crops)))
    return np.concatenate(parts)


def classes_of(model: Model, errors: np.ndarray, labels: Sequence[str]) -> tuple[np.ndarray, bool]:
    """Class numbers (n,), and whether they are the laboratory's own: its labels, if all are the
    model's classes.
    """
    known = {name: number for number, name in enumerate(model.card.classes)}
    if names := own_labels(model, labels):
        return np.array([known[name] for name in names]), True
    return posterior(errors, model)[:, -1].argmax(axis=1), False


def own_labels(model: Model, labels: Sequence[str]) -> list[str]:
    """The labels, if all are the model's classes; else none."""
    return list(labels) if set(labels) <= set(model.card.classes) else []


def lab_scale(model: Model, errors: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Temperature (D,) and class bias (K,) likeliest for labelled cells, all classes weighing the
    same, near the model's own.
    """
    logits = -np.einsum("d,ndk->nk", model.weight, errors, dtype=np.float64) / model.temperature[-1]
    share = 1 / np.bincount(y, minlength=len(model.bias))[y]
    share /= share.sum()

    def loss(change: np.ndarray) -> float:
        logs = log_softmax(logits * np.exp(change[0]) + model.bias + change[1:], axis=1)
        result: float = -share @ logs[np.arange(len(y)), y] + PRIOR_SCALE / len(y) * change @ change
        return result

    change = scipy.optimize.minimize(loss, np.zeros(len(model.bias) + 1)).x
    return {"temperature": model.temperature * np.exp(-change[0]), "bias": model.bias + change[1:]}


def lab_statistics(model: Model, table: ErrorTable) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread (D, K) of a class's own errors here, drawn towards the model's own moved as
    all cells moved.

    An empirical Bayes mean: n cells of a class against PRIOR_CELLS of the prior.
    """
    own = table.errors[np.arange(len(table.y)), :, table.y]
    z = (own - model.mean[:, table.y].T) / model.spread[:, table.y].T
    moved = model.mean + z.mean(axis=0)[:, None] * model.spread
    wider = model.spread * np.maximum(z.std(axis=0), LEAST_SPREAD)[:, None]
    columns = [
        drawn(own[table.y == c], moved[:, c], wider[:, c]) for c in range(model.mean.shape[1])
    ]
    mean, spread = zip(*columns, strict=True)
    return np.stack(mean, axis=1), np.stack(spread, axis=1)


def drawn(here: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread (D,) of a class's errors here (n, D), drawn towards those given."""
    if not len(here):
        return mean, spread
    share = len(here) / (len(here) + PRIOR_CELLS)
    mean = share * here.mean(axis=0) + (1 - share) * mean
    return mean, np.sqrt(share * ((here - mean) ** 2).mean(axis=0) + (1 - share) * spread**2)


def _write(model: Model, out: Path, fitted: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if not (out / GRAPH).exists() or not (out / GRAPH).samefile(model.graph):
        shutil.copyfile(model.graph, out / GRAPH)
    kept = {
        name: values for name in CERTAINTY_NAMES if (values := getattr(model, name)) is not None
    }
    save_tables(out, kept | fitted)
    card = model.card.model_dump(exclude={"sha256", "figures"})
    card["training"] = {**card["training"], "calibration_cells": facts["cells"]}
    how = "labelled" if facts["labelled"] else "unlabelled"
    card["data"] = {
        **card["data"],
        "calibration": f"{facts['name']}: {facts['cells']} cells, {how}",
    }
    write_card(out, card)
