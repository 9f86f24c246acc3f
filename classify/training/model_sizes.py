"""Cell sizes of a training's own cells, for the card of its model."""

import json
from pathlib import Path

import numpy as np

from classify.calibration import fit_sizes, measure_crops
from classify.errors import DataError
from classify.image_folder import LabelledCrops, load_crops
from classify.model_card import CARD, Card, CellSize, read_card
from segment import CROP_PX, CROP_UM

from .sources import read_sources, targets_of
from .train_config import TrainConfig


def sizes_of_classes(cfg: TrainConfig) -> dict[str, CellSize]:
    """Area and kind of each class as the finder sees the cells that a training keeps to calibrate
    on. A cell whose label allows several classes counts for each of them. Empty for crops of
    another scale than those of slides.
    """
    if (cfg.crop_um, cfg.crop_px) != (CROP_UM, CROP_PX):
        return {}
    data = kept_crops(cfg)
    laboratories = data.laboratories
    if laboratories is None:
        laboratories = np.zeros(len(data.labels), int)
    classes = tuple(cfg.taxonomy) or data.classes
    table = targets_of(data.classes, cfg.parents or {c: c for c in classes}, cfg.groups)
    names = [tuple(c for c, is_in in zip(classes, row, strict=True) if is_in) for row in table]
    allowed = [names[label] for label in data.labels]
    return fit_sizes(measure_crops(data.images, allowed, laboratories))


def kept_crops(cfg: TrainConfig) -> LabelledCrops:
    """The crops that a training validates and calibrates on, as they were photographed."""
    if not cfg.sources:
        return load_crops(cfg.val, cfg.crop_px)
    home = cfg.sources[0].model_copy(update={"folder": cfg.val, "held_out": 2})
    sources = (home, *cfg.sources[1:])
    return read_sources(sources, cfg.crop_px, white=False, labels=cfg.labels, held_out=True)


def write_sizes(cfg: TrainConfig, folder: Path) -> Card:
    """Puts the sizes of a recipe's cells on the card of a model that is there.

    Raises:
        DataError: none of its classes was measured.
        ModelError: there is no card that can be read.
    """
    card = read_card(folder)
    sizes = {name: size for name, size in sizes_of_classes(cfg).items() if name in card.classes}
    if not sizes:
        raise DataError(
            f"{folder}: no cell of its classes could be measured", "is it the model of that recipe?"
        )
    card = Card(**{**json.loads(card.model_dump_json()), "sizes": sizes})
    (folder / CARD).write_text(card.model_dump_json(indent=1) + "\n")
    return card
