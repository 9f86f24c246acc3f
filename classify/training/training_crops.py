"""The cells of a training: those to train on, and those to validate on."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from classify.image_folder import OTHER_CLASS, LabelledCrops, load_crops
from classify.pixels import on_white, to_input

from .augment import Jitter, view
from .sources import read_attributes, read_sources
from .train_config import TrainConfig


def class_names(data: LabelledCrops, cfg: TrainConfig) -> tuple[str, ...]:
    """The classes of the heads: those of the taxonomy, or the folders and `other`."""
    if cfg.sources:
        return tuple(cfg.taxonomy)
    return data.classes + ((OTHER_CLASS,) if cfg.other else ())


def validation_set(
    data: LabelledCrops, cfg: TrainConfig, image_px: int, per_class: int = 40
) -> tuple[Tensor, np.ndarray]:
    """Unaugmented inputs, the same each time: up to `per_class` cells of each class, and as many of
    `other`.
    """
    chosen = np.concatenate(
        [spread(np.flatnonzero(data.labels == c), per_class) for c in range(len(data.classes))]
    )
    y = data.labels[chosen]
    if cfg.other and not cfg.sources:
        again = chosen[:per_class]
        chosen = np.concatenate([chosen, again])
        y = np.concatenate([y, np.full(len(again), len(data.classes))])
    rng = torch.Generator().manual_seed(7)
    still = Jitter(rotate=False, scale=0, shift_px=0)
    other = torch.from_numpy(y == len(data.classes))
    return view(
        torch.from_numpy(data.images[chosen]), other, cfg.window_px, image_px, still, rng
    ), y


def spread(numbers: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of them, evenly: sorted names put the subtypes of a class one after the
    other.
    """
    result: np.ndarray = numbers[
        np.linspace(0, len(numbers) - 1, min(count, len(numbers))).astype(int)
    ]
    return result


def read_data(
    cfg: TrainConfig,
) -> tuple[LabelledCrops, LabelledCrops, tuple[str, ...], tuple[int, ...] | None]:
    """Crops to train on and to validate on, the classes, and how many values each attribute has."""
    if not cfg.sources:
        data = read_crops(cfg.train_folder, cfg)
        return data, read_crops(cfg.val, cfg, data.classes), class_names(data, cfg), None
    classes = tuple(cfg.taxonomy)
    labels = cfg.labels
    table = read_attributes(cfg.attributes) if cfg.attributes else None
    data = read_sources(cfg.sources, cfg.crop_px, cfg.white, labels, table)
    home = cfg.sources[0].model_copy(update={"folder": cfg.val})
    val = read_sources(
        (home.model_copy(update={"held_out": 1}), *cfg.sources[1:]),
        cfg.crop_px,
        cfg.white,
        labels,
        held_out=True,
    )
    return data, val, classes, tuple(map(len, table.values.values())) if table else None


def read_crops(folder: Path, cfg: TrainConfig, classes: tuple[str, ...] = ()) -> LabelledCrops:
    """The labelled crops of a folder as the net is to see them: with a white background where the
    configuration says so.
    """
    data = load_crops(folder, cfg.crop_px, classes)
    return replace(data, images=on_white(data.images)) if cfg.white else data


@dataclass(frozen=True, slots=True)
class LabelledInputs:
    """Inputs (n, 3, px, px) of labelled cells, class numbers y (n,)."""

    images: np.ndarray
    y: np.ndarray


def labelled_inputs(
    data: LabelledCrops, classes: tuple[str, ...], window_px: int, image_px: int, every: int
) -> LabelledInputs:
    """The crops as inputs; where `classes` have `other`, views beside every so many of the cells
    too.
    """
    images = to_input(data.images, window_px, image_px)
    if OTHER_CLASS not in classes:
        return LabelledInputs(images, data.labels)
    crops = torch.from_numpy(data.images[::every])
    still = Jitter(rotate=False, scale=0, shift_px=0)
    rng = torch.Generator().manual_seed(11)
    beside = torch.ones(len(crops), dtype=torch.bool)
    around = view(crops, beside, window_px, image_px, still, rng).numpy()
    y = np.concatenate([data.labels, np.full(len(around), classes.index(OTHER_CLASS))])
    return LabelledInputs(np.concatenate([images, around]), y)
