"""Small synthetic smears and their tiles, in memory."""

import math
from collections.abc import Iterator

import numpy as np
from scipy import ndimage as ndi

from ingest import Tile, TileSpec

GLASS = (236, 232, 224)
RED, CYTOPLASM, NUCLEUS, PLATELET = (196, 140, 150), (190, 175, 215), (95, 55, 140), (150, 110, 175)
MPP = 0.28


def glass(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), GLASS, np.uint8)


def disc(
    image: np.ndarray, x: float, y: float, radius_um: float, colour: tuple[int, int, int]
) -> None:
    """Paint a disc, in place; what lies outside the image is cut."""
    rows, cols = np.ogrid[: image.shape[0], : image.shape[1]]
    image[(rows - y) ** 2 + (cols - x) ** 2 <= (radius_um / MPP) ** 2] = colour


def white_cell(
    image: np.ndarray, x: float, y: float, radius_um: float = 6.0, lobes: int = 1
) -> None:
    disc(image, x, y, radius_um, CYTOPLASM)
    for k in range(lobes):
        angle, out = 2 * math.pi * k / lobes, 0.0 if lobes == 1 else 2.2 / MPP
        size = radius_um * 0.7 if lobes == 1 else 1.8
        disc(image, x + out * math.cos(angle), y + out * math.sin(angle), size, NUCLEUS)


def red_cell(image: np.ndarray, x: float, y: float) -> None:
    disc(image, x, y, 3.7, RED)
    disc(image, x, y, 1.2, tuple((r + g) // 2 for r, g in zip(RED, GLASS, strict=True)))


def crowd(seed: int, size: int = 420) -> np.ndarray:
    """A crowded smear: cells anywhere, over one another and over the edges, and blots of any shape
    larger than a margin.
    """
    random = np.random.default_rng(seed)
    image = glass(size, size)
    for x, y in random.integers(-20, size + 20, (40, 2)):
        red_cell(image, x, y)
    for x, y in random.integers(-20, size + 20, (12, 2)):
        white_cell(image, x, y, random.uniform(4, 9), random.integers(1, 5))
    for x, y in random.integers(0, size, (12, 2)):
        disc(image, x, y, random.uniform(0.6, 2.5), PLATELET)
    blot = ndi.gaussian_filter(random.normal(size=(size, size)), random.uniform(3, 25))
    image[blot > np.quantile(blot, random.uniform(0.75, 1))] = NUCLEUS
    noisy = image + random.normal(0, random.choice([0, 3, 12]), image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def cut(image: np.ndarray, tile_px: int, step: int = 1) -> Iterator[Tile]:
    """The tiles of an image whose pixels are already as read, `step` level-0 px each, with a margin
    of 40 um.
    """
    height, width = image.shape[:2]
    margin = math.ceil(40 / MPP)
    padded = np.empty((height + 2 * margin, width + 2 * margin, 3), np.uint8)
    padded[:] = GLASS
    padded[margin:-margin, margin:-margin] = image
    for y in range(0, height, tile_px):
        for x in range(0, width, tile_px):
            h, w = min(tile_px, height - y), min(tile_px, width - x)
            spec = TileSpec(x * step, y * step, w * step, h * step, margin * step, step)
            pixels = padded[y : y + h + 2 * margin, x : x + w + 2 * margin]
            yield Tile(spec, pixels, (x - margin) * step, (y - margin) * step, MPP)
