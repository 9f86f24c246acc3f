"""An explanation as a picture: maps over the cell, the cell as other classes, and the known cells
it is like.
"""

import numpy as np
from PIL import Image, ImageDraw

from classify import Explanation, NearestCell

SIDE = 192
CAPTION = 16
FOR = np.array([178, 24, 43.0])
AGAINST = np.array([33, 102, 172.0])
LOUDEST = 99.5  # per cent of pixels; a few loud ones would drown the rest


def overlay(seen: np.ndarray, heat: np.ndarray, scale: float) -> np.ndarray:
    """The cell (px, px, 3) uint8 in grey under its map (px, px): red for the class, blue against
    it, loudest at `scale`.
    """
    strength = np.clip(np.abs(heat) / max(scale, 1e-12), 0, 1)[..., None]
    grey = 0.5 * seen.mean(axis=2, keepdims=True) + 127
    colour = np.where(heat[..., None] > 0, FOR, AGAINST)
    mixed: np.ndarray = np.rint(grey * (1 - strength) + colour * strength).astype(np.uint8)
    return mixed


def scale_of(heat: np.ndarray) -> float:
    """What is drawn loudest, common to all maps (k, px, px) of a cell so that they can be
    compared.
    """
    return float(np.percentile(np.abs(heat), LOUDEST))


def sheet_of(why: Explanation, near: NearestCell | None = None) -> np.ndarray:
    """A row a class: map, cell as that class, and its nearest known cells; the cell itself before
    them (h, w, 3) uint8.
    """
    near = near or {}
    scale = scale_of(why.heat)
    rows = []
    for name, heat, other in zip(why.classes, why.heat, why.counterfactual, strict=True):
        tiles = [
            (why.seen, "the cell"),
            (overlay(why.seen, heat, scale), f"{name}?"),
            (other, f"as {name}"),
        ]
        tiles += [
            (picture, f"{name} {distance:.2f}") for distance, picture, _ in near.get(name, [])
        ]
        rows.append(np.concatenate([captioned(picture, text) for picture, text in tiles], axis=1))
    width = max(row.shape[1] for row in rows)
    return np.concatenate(
        [
            np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255)
            for row in rows
        ]
    )


def captioned(picture: np.ndarray, text: str) -> np.ndarray:
    canvas = Image.new("RGB", (SIDE, SIDE + CAPTION), "white")
    canvas.paste(
        Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC), (0, CAPTION)
    )
    ImageDraw.Draw(canvas).text((3, 2), text, fill="black")
    return np.asarray(canvas)
