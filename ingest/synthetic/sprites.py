"""A smear made of given cells, for the demo and the tests: known truth, no outside image."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from ingest.readers import box_mean


@dataclass(frozen=True, slots=True)
class Sprite:
    """A cell to place: RGB (h, w, 3) uint8, alpha (h, w) in [0, 1], centre in px."""

    rgb: np.ndarray
    alpha: np.ndarray
    x_px: int
    y_px: int


def red_cell_sprite(mpp: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A red cell, RGB and alpha: a disc of about 7.2 um, a little oval, with a central pallor."""
    radius = rng.normal(3.6, 0.25) / mpp
    px = 2 * int(radius * 1.4) + 1
    y, x = np.mgrid[:px, :px] - px // 2
    turn = rng.uniform(0, np.pi)
    oval = rng.uniform(0.88, 1.0)
    u = x * np.cos(turn) + y * np.sin(turn)
    v = (y * np.cos(turn) - x * np.sin(turn)) / oval
    r = np.hypot(u, v) / radius
    alpha = 1 / (1 + np.exp((r - 1) * 14))
    pallor = np.clip(1.15 - 0.75 * np.exp(-((r / 0.45) ** 2)), 0.35, 1.0)
    colour = np.array([212, 158, 150]) + rng.normal(0, 4, 3)
    rgb = np.broadcast_to(colour, (px, px, 3)).clip(0, 255).astype(np.uint8)
    return rgb, (0.9 * alpha * pallor).astype(np.float32)


def glass(
    height: int, width: int, rgb: tuple[int, int, int], rng: np.random.Generator
) -> np.ndarray:
    """Empty, slightly grainy background (height, width, 3)."""
    grain = rng.normal(0, 1.5, (height, width, 1))
    return np.clip(np.array(rgb) + grain, 0, 255).astype(np.uint8)


def place(canvas: np.ndarray, sprites: Iterable[Sprite]) -> None:
    """Blend sprites into the canvas, cut where they leave it."""
    high, wide = canvas.shape[:2]
    for s in sprites:
        top, left = s.y_px - s.rgb.shape[0] // 2, s.x_px - s.rgb.shape[1] // 2
        y0 = max(top, 0)
        x0 = max(left, 0)
        y1 = min(top + s.rgb.shape[0], high)
        x1 = min(left + s.rgb.shape[1], wide)
        if y1 > y0 and x1 > x0:
            cut = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
            a = s.alpha[cut][..., None]
            canvas[y0:y1, x0:x1] = (a * s.rgb[cut] + (1 - a) * canvas[y0:y1, x0:x1]).astype(
                np.uint8
            )


def write_pyramid(path: Path, image: np.ndarray, mpp: float, levels: int = 4) -> None:
    """Write a tiled, JPEG-compressed pyramidal TIFF that slide readers open; level k is 2^k times
    smaller.
    """
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level in range(levels):
            per_cm = 1e4 / (mpp * 2**level)
            file.write(
                image,
                tile=(256, 256),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": 90},
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                subfiletype=1 if level else 0,
            )
            image = box_mean(image, 2)
