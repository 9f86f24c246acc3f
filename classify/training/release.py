"""From a finished training to a model folder: graph, draws, calibration, card (needs torch; the
`train` extra).
"""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from classify.calibration import (
    ADAPTING_DRAWS,
    CERTAINTY_NAMES,
    ErrorTable,
    Fitted,
    candidates,
    error_table,
    finish,
    fit,
    order,
    weigh,
)
from classify.elimination import settle
from classify.engines import open_engine
from classify.engines.channel_statistics import measure_channels
from classify.errors import DataError, ModelError
from classify.explain import card_sheet
from classify.image_folder import OTHER_CLASS, LabelledCrops, balanced_batches
from classify.model_card import (
    CARD,
    GRAPH,
    SHEET_FILE,
    TABLES_FILE,
    Card,
    Model,
    load_model,
    save_tables,
    write_card,
)
from classify.network import Denoiser
from classify.rule import posterior

from .augment import augment_crops
from .denoiser_training import Training
from .export_onnx import export_graph
from .model_sizes import sizes_of_classes
from .sources import read_attributes, read_sources
from .train_config import TrainConfig
from .training_crops import LabelledInputs, labelled_inputs, read_crops

CANDIDATES = 48
RELEASED_DRAWS = 16
OF_DRAWS = ("sigma", "noise", "turn", "weight")
MAPS = ("gain", "guide", "attributes")
NOT_IN_CARD = {"train", "val", "out", "init", "sources", "attributes", "taxonomy", "data"}
ORDER_CELLS = 450
SHEET_COLUMNS = 10
SHEET_TRIED = 40  # generated cells a class, of which the sheet shows those recognised best
BF16_SHARE = 0.4  # of the error level, what bf16 may do to labels by all draws
FEATURE_LAYER = (
    "{encoder}: last stage of the encoder, averaged over its pixels, then over the first draws "
    "of a cell"
)
PBC = {
    "name": "PBC: peripheral blood cells of normal donors, CellaVision DM96, May "
    "Gruenwald-Giemsa, Barcelona",
    "licence": "CC BY 4.0",
    "source": "Acevedo et al. 2020, Data in Brief 30:105474; Mendeley Data snkd93bnjr",
}


def load_run(folder: Path) -> tuple[TrainConfig, tuple[str, ...], Training]:
    """A training run's configuration, classes and last checkpoint.

    Raises:
        ModelError: it is not a training run.
    """
    try:
        kept = json.loads((folder / "config.json").read_text())
        cfg = TrainConfig(**kept["config"])
        classes = tuple(kept["classes"])
        run = Training(cfg, classes)
        run.load(folder / "last.pt")
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(
            f"{folder}: not a training run: {error}", "train one with `cytostream train CONFIG`"
        ) from error
    return cfg, classes, run


def labelled_cells(cfg: TrainConfig, classes: tuple[str, ...], image_px: int) -> LabelledInputs:
    """Every second validation cell, so that the others can be measured on, what sources hold out,
    and views beside cells.
    """
    every = max(1, len(classes) - 1)
    data = held_out_crops(cfg, classes)
    return labelled_inputs(data, classes, cfg.window_px, image_px, every)


def held_out_crops(cfg: TrainConfig, classes: tuple[str, ...]) -> LabelledCrops:
    """The crops of `calibration_cells` whose class, and not only whose parent, is known."""
    if not cfg.sources:
        data = read_crops(cfg.val, cfg, tuple(c for c in classes if c != OTHER_CLASS))
        return data.picked(np.arange(0, len(data.labels), 2))
    home = cfg.sources[0].model_copy(update={"folder": cfg.val, "held_out": 2})
    data = read_sources((home, *cfg.sources[1:]), cfg.crop_px, cfg.white, cfg.labels, held_out=True)
    return data.picked(np.flatnonzero(data.labels < len(classes)))


def ordering_cells(cfg: TrainConfig, classes: tuple[str, ...], image_px: int) -> LabelledInputs:
    """Training cells in the colours of many labs, as many of each class: draws that tell there tell
    elsewhere, and the
    validation cells stay untouched for the calibration."""
    if cfg.sources:
        data = read_sources(cfg.sources, cfg.crop_px, cfg.white, cfg.labels)
        data = data.picked(np.flatnonzero(data.labels < len(classes)))
    else:
        data = read_crops(cfg.train_folder, cfg, tuple(c for c in classes if c != OTHER_CLASS))
    around = classes.index(OTHER_CLASS) if OTHER_CLASS in classes else len(classes)
    chosen, y = next(
        balanced_batches(data.labels, len(classes), ORDER_CELLS, cfg.seed, range(1), around)
    )
    off = torch.from_numpy((y == around) & (data.labels[chosen] != around))
    rng = torch.Generator().manual_seed(13)
    x = augment_crops(
        torch.from_numpy(data.images[chosen]), off, cfg.window_px, image_px, cfg.jitter, rng
    )
    return LabelledInputs(x.numpy(), y)


def release_model(run_folder: Path, out: Path, name: str) -> Model:
    """Write a model folder from a training run; what was there before stays until the new one is
    whole.

    Raises:
        ModelError: not a training run.
    """
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    build(run_folder, part, name)
    out.mkdir(parents=True, exist_ok=True)
    for file in (GRAPH, TABLES_FILE, SHEET_FILE, CARD):
        (part / file).replace(out / file)
    part.rmdir()
    return load_model(out)


def build(run_folder: Path, out: Path, name: str) -> None:
    start = time.perf_counter()
    cfg, classes, run = load_run(run_folder)
    export_graph(run.averaged(), out)
    cells = labelled_cells(cfg, classes, run.network.image_px)
    draft = write_draft(out, run, classes, cfg, name)
    draws = choose_draws(out, ordering_cells(cfg, classes, run.network.image_px))
    engine = open_engine(draws, "openvino", "f32")
    table = ErrorTable(error_table(engine, cells.images, draws), cells.y)
    fitted = fit(
        table,
        draws.weight,
        draws.sigma,
        normal_classes(draft),
        log_prior(draft),
        cfg.anomaly_weights,
    )
    low = error_table(open_engine(draws, "openvino", "bf16"), cells.images, draws)
    scale = Fitted(draws.weight, fitted["temperature"], fitted["bias"])
    probabilities = [posterior(errors, scale) for errors in (table.errors, low)]
    allowed = precisions(probabilities[0], probabilities[1], cfg.error_level)
    settling, tau = settle(probabilities[: len(allowed)], cfg.error_level)
    kept = {
        name: getattr(draws, name)
        for name in (*OF_DRAWS, *MAPS)
        if getattr(draws, name) is not None
    }
    save_tables(out, {**kept, "settling": settling, **fitted})
    facts = draft.model_dump(exclude={"sha256"}) | {
        "sigmas": tuple(round(float(s), 4) for s in draws.sigma),
        "elimination": tau,
        "precisions": allowed,
        "sizes": sizes_of_classes(cfg),
    }
    facts["training"] |= {
        "calibration_cells": len(cells.y),
        "release_s": round(time.perf_counter() - start),
    }
    write_card(out, facts)
    finish(out, table)
    add_home_statistics(out, cells, cfg)
    sheet = card_sheet(load_model(out), engine, SHEET_COLUMNS, SHEET_TRIED)
    Image.fromarray(sheet).save(out / SHEET_FILE)


def add_home_statistics(out: Path, cells: LabelledInputs, cfg: TrainConfig) -> None:
    """Add to a model folder what its encoder's channels and its attributes are like in each class
    at home.
    """
    model = load_model(out)
    made: dict[str, np.ndarray] = {}
    if model.card.training.get("network", {}).get("encoder"):
        made = channel_tables(model, cells)
    if cfg.attributes and cfg.sources:
        made["attribute_rates"] = attribute_rates(cfg, model.card.classes)
    kept = {name: table for name in CERTAINTY_NAMES if (table := getattr(model, name)) is not None}
    save_tables(out, kept | made)
    write_card(out, model.card.model_dump(exclude={"sha256"}))


def channel_tables(model: Model, cells: LabelledInputs) -> dict[str, np.ndarray]:
    """Mean and standard deviation (K, C) of the channels in the cells of each class."""
    found = measure_channels(model, cells.images, ADAPTING_DRAWS)
    empty = np.zeros(found.mean.shape[1], np.float32)
    rows = [found.of(cells.y == c) for c in range(len(model.card.classes))]
    return {
        "channel_mean": np.stack([empty if r is None else r.mean for r in rows]),
        "channel_spread": np.stack([empty if r is None else np.sqrt(r.variance) for r in rows]),
    }


def attribute_rates(cfg: TrainConfig, classes: tuple[str, ...]) -> np.ndarray:
    """How often each attribute value is seen in the training cells of a class (K, V), one cell of
    each value added; 0 in a class without such cells.
    """
    if cfg.attributes is None:
        raise DataError("no table of attributes", "name one with `attributes` in the recipe")
    table = read_attributes(cfg.attributes)
    sizes = [len(values) for values in table.values.values()]
    start = np.cumsum([0, *sizes[:-1]])
    counts = np.zeros((len(classes), sum(sizes)))
    for source in cfg.sources:
        for path in source.paths():
            label = source.label_of(path)
            if label in classes and path.stem in table.of_image:
                counts[classes.index(label), start + table.of_image[path.stem]] += 1
    known = counts.any(axis=1, keepdims=True)
    parts = np.split(counts + known, start[1:], axis=1)
    return np.concatenate([p / np.maximum(p.sum(axis=1, keepdims=True), 1) for p in parts], axis=1)


def normal_classes(card: Card) -> np.ndarray:
    """Which classes (K,) normal cells are of: those that count and that healthy or reactive blood
    has.
    """
    return np.array([name in card.counted and card.is_normal(name) for name in card.classes])


def log_prior(card: Card) -> np.ndarray:
    """Logarithm of each class's prior (K,)."""
    prior = [card.taxonomy[name].prior if name in card.taxonomy else 1.0 for name in card.classes]
    return np.log(prior)


def write_draft(
    out: Path, run: Training, classes: tuple[str, ...], cfg: TrainConfig, name: str
) -> Card:
    """A card with all the draws there are, to choose among."""
    draws = candidates(CANDIDATES, run.network.image_px, cfg.seed)
    sigma = draws.sigma
    net = run.averaged()
    with torch.no_grad():
        weight = net.log_gain(torch.from_numpy(sigma)).exp().numpy()
    k = len(classes)
    table = np.ones((len(sigma), k))
    blank = {
        "temperature": np.ones(len(sigma)),
        "bias": np.zeros(k),
        "mean": table,
        "spread": table,
    }
    listed = {
        "sigma": sigma,
        "noise": draws.noise,
        "turn": draws.turn,
        "weight": weight,
        **_maps_of(net),
    }
    save_tables(out, {**listed, **blank, "normal": np.zeros((len(sigma), 1))})
    training = json.loads(cfg.model_dump_json(exclude=NOT_IN_CARD))
    return write_card(
        out,
        {
            "name": name,
            "classes": classes,
            "taxonomy": cfg.taxonomy,
            "crop_um": cfg.crop_um,
            "crop_px": cfg.crop_px,
            "window_px": cfg.window_px,
            "white": cfg.white,
            "image_px": run.network.image_px,
            "sigmas": tuple(map(float, sigma)),
            "error_level": cfg.error_level,
            "elimination": 0.001,
            "feature_count": run.network.features,
            "feature_layer": FEATURE_LAYER.format(encoder=run.network.encoder or "U-Net"),
            "attributes": read_attributes(cfg.attributes).values if cfg.attributes else {},
            "training": {"steps": run.step, **training},
            "data": cfg.data or PBC,
        },
    )


def _maps_of(net: Denoiser) -> dict[str, np.ndarray]:
    """What the tables keep of the network beside its graph: the weight of errors, and linear maps
    of the features.
    """
    layers = {"guide": net.guide, "attributes": net.attributes}
    found = {
        name: np.concatenate([layer.weight.detach().numpy().T, layer.bias.detach().numpy()[None]])
        for name, layer in layers.items()
        if layer is not None
    }
    return {"gain": net.gain.detach().numpy(), **found}


def choose_draws(out: Path, cells: LabelledInputs) -> Model:
    """The model with its draws cut to the best ordered few, weighted for standing together."""
    full = load_model(out)
    errors = error_table(open_engine(full, "openvino"), cells.images, full)
    chosen = order(errors, full.weight, cells.y, RELEASED_DRAWS)
    of_draws = ("sigma", "noise", "turn", "temperature", "mean", "spread", "normal")
    weight = weigh(errors[:, chosen], full.weight[chosen], cells.y)
    return replace(
        full,
        weight=weight.astype(np.float32),
        **{name: getattr(full, name)[chosen] for name in of_draws},
    )


def precisions(whole: np.ndarray, low: np.ndarray, error_level: float) -> tuple[str, ...]:
    """bf16 first if by all draws' probabilities (n, D, K) in it, `low`, it calls hardly a cell
    otherwise than f32: at most `BF16_SHARE` of the cells that elimination may.
    """
    labels = [p[:, -1].argmax(axis=1) for p in (whole, low)]
    differ = (labels[0] != labels[1]).mean()
    return ("bf16", "f32") if differ <= BF16_SHARE * error_level else ("f32",)
