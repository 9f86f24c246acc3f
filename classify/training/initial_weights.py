"""Weights to begin a training with: another run's, or a released model's (training side; needs
torch).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from classify.engines.torch import config_of, released
from classify.errors import DataError
from classify.model_card import CARD, load_model
from classify.network import Denoiser, NetworkConfig


@dataclass(frozen=True, slots=True, eq=False)
class Initial:
    """Averaged weights, the classes of their heads, the network's shape, the window it saw, whether
    on white.
    """

    weights: dict[str, Tensor]
    classes: tuple[str, ...]
    network: dict[str, Any]
    window_px: int
    white: bool


def read_initial(folder: Path) -> Initial:
    """The weights in a model folder or in the folder of a training run.

    Raises:
        DataError: it is neither.
        ModelError: a model folder whose files are not those of its card.
    """
    if (folder / CARD).exists():
        return of_model(folder)
    try:
        kept = json.loads((folder / "config.json").read_text())
        weights = torch.load(folder / "last.pt", map_location="cpu", weights_only=True)["average"]
    except (OSError, ValueError) as error:
        what = f"{folder}: neither a model nor a training run: {error}"
        raise DataError(what, "name a model folder, as classify/model") from error
    config = kept["config"]
    return Initial(
        weights,
        tuple(kept["classes"]),
        config["network"],
        config["window_px"],
        config.get("white", False),
    )


def of_model(folder: Path) -> Initial:
    """A released model's weights.

    Raises:
        DataError: it was released before its tables held what training weighs errors by.
    """
    model = load_model(folder)
    if model.gain is None:
        raise DataError(
            f"{folder}: of an older version, which cannot be trained on",
            "begin with a newer model, or with its run",
        )
    weights = released(model).state_dict()
    shape = config_of(model)
    network = {
        name: getattr(shape, name)
        for name in NetworkConfig.__slots__
        if name not in ("classes", "image_px")
    }
    weights["gain"] = torch.from_numpy(model.gain)
    network["image_px"] = shape.image_px
    return Initial(weights, model.card.classes, network, model.card.window_px, model.card.white)


def begin_with(model: Denoiser, initial: Initial, classes: tuple[str, ...]) -> None:
    """Take over all weights that fit; of the heads those of the classes that both have, by name;
    the others begin anew.
    """
    mine = model.state_dict()
    fits = {
        k: v
        for k, v in initial.weights.items()
        if k in mine and v.shape == mine[k].shape and not k.startswith("heads")
    }
    for name in ("heads.weight", "heads.bias"):
        mine[name] = heads(mine[name], classes, initial.weights[name], initial.classes)
    model.load_state_dict(mine | fits)


def heads(
    mine: Tensor, classes: tuple[str, ...], theirs: Tensor, their_classes: tuple[str, ...]
) -> Tensor:
    """`mine` (K * n, ...) with the rows of each class that `theirs` (K' * n, ...) also has; as it
    was where n differs.
    """
    new = mine.clone().unflatten(0, (len(classes), -1))
    old = theirs.unflatten(0, (len(their_classes), -1))
    if new.shape[1:] == old.shape[1:]:
        for name in set(classes) & set(their_classes):
            new[classes.index(name)] = old[their_classes.index(name)]
    result: Tensor = new.flatten(0, 1)
    return result
