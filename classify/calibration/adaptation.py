"""A model's encoder adapted to a laboratory by its unlabelled cells: the channels' statistics there
laid on those of home (adaptive batch normalisation, Li et al. 2016, arXiv 1603.04779).

Which classes a laboratory's cells are of moves the statistics as its stain does. So they are laid
on those of a mixture of home's classes by the shares that the model finds there, in a few rounds:
better verdicts give better shares.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from classify.engines import Engine, open_engine
from classify.errors import ModelError
from classify.model_card import Model
from classify.pixels import to_input
from classify.rule import posterior

from .fit import error_table

SHARE_ROUNDS = 3
ADAPTING_DRAWS = 4  # of noise low and high: one correction has to serve all
MOST_CELLS = 256
HOME_CELLS = 10.0  # home's statistics weigh as much as so many of the laboratory's cells


def can_adapt(model: Model) -> bool:
    """Whether the model knows the statistics of its encoder's channels at home."""
    return model.channel_mean is not None and model.channel_spread is not None


def home_channels(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of the encoder's channels at home.

    Raises:
        ModelError: the model does not know them.
    """
    if model.channel_mean is None or model.channel_spread is None:
        raise ModelError(
            f"{model.graph.parent}: no statistics of an encoder in its tables",
            "calibrate without adapting the encoder",
        )
    return model.channel_mean, model.channel_spread


def adapt_channels(
    model: Model, engine: Engine, crops: np.ndarray, labels: Sequence[str], graph: Path
) -> None:
    """Write to `graph` the model's graph with an encoder adapted to crops (n, h, w, 3) of normal
    cells; `engine` runs the model as it is.

    Labels, where given, are class names (n,), and their shares are taken for the mixture.
    """
    from classify.engines.channel_statistics import (
        ChannelMoments,
        find_correction,
        fold_correction,
    )

    rows = np.random.default_rng(0).permutation(len(crops))[:MOST_CELLS]
    card = model.card
    images = to_input(crops[rows], card.window_px, card.image_px, card.white)
    mean, spread = home_channels(model)
    home = ChannelMoments(mean, spread**2 + mean**2)
    share = len(images) / (len(images) + HOME_CELLS)
    known = [labels[i] for i in rows] if len(labels) else []
    adapted = model
    for number in range(1 if known else SHARE_ROUNDS):
        if number:
            adapted = replace(model, graph=graph)
            engine = open_engine(adapted, engine.name, engine.precision)
        shares = class_shares(adapted, engine, images, known)
        correction = find_correction(model, images, ADAPTING_DRAWS, home.mixed(shares), share)
        fold_correction(model.graph, graph, correction)


def class_shares(
    model: Model, engine: Engine, images: np.ndarray, labels: Sequence[str]
) -> np.ndarray:
    """Shares (K,) of the classes among normal cells (n, 3, px, px), of classes measured at home."""
    usable = measured_normal(model)
    if len(labels):
        names = np.array(labels)
        counts = np.array([(names == name).mean() for name in model.card.classes])
    else:
        few = first_draws(model, ADAPTING_DRAWS)
        counts = posterior(error_table(engine, images, few), few)[:, -1].mean(axis=0)
    shares = counts * usable
    total = shares.sum()
    result: np.ndarray = shares / total if total > 0 else usable / usable.sum()
    return result


def first_draws(model: Model, count: int) -> Model:
    """The model with its first draws alone."""
    names = ("sigma", "noise", "turn", "weight", "temperature")
    return replace(model, **{name: getattr(model, name)[:count] for name in names})


def measured_normal(model: Model) -> np.ndarray:
    """Which classes (K,) are of normal cells and were measured at home."""
    card = model.card
    _, spread = home_channels(model)
    return np.array(
        [
            name in card.counted and card.is_normal(name) and bool(spread[number].any())
            for number, name in enumerate(card.classes)
        ]
    )
