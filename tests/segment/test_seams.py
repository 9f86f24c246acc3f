"""Seams across a field: found where images are joined, and the cells on them not judged."""

import numpy as np
import pytest

from ingest import Tile, TileSpec, seams_of
from segment import fit_stain, measure_field
from tests.segment.smears import GLASS, MPP, glass, red_cell

SIDE, SEAM, STEP = 240, 130, 2


def field(seed: int, noise: float = 2.0, shade: float = 0.0) -> np.ndarray:
    """A field of cells anywhere, with the noise of a camera."""
    random = np.random.default_rng(seed)
    image = glass(SIDE, SIDE)
    for x, y in random.integers(0, SIDE, (45, 2)):
        red_cell(image, x, y)
    return np.clip(image + random.normal(shade, noise, image.shape), 0, 255).astype(np.uint8)


def tile_of(image: np.ndarray) -> Tile:
    spec = TileSpec(0, 0, SIDE * STEP, SIDE * STEP, 0, STEP)
    return Tile(spec, image, 0, 0, MPP)


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_seam_is_found_where_two_fields_are_joined(seed, upright):
    first, second = field(seed), field(seed + 100, shade=-12)
    joined = np.concatenate([first[:SEAM], second[SEAM:]])
    found = seams_of(tile_of(joined.swapaxes(0, 1) if upright else joined))
    lines = (found.x_px0, found.y_px0) if upright else (found.y_px0, found.x_px0)
    assert lines[0].tolist() == [SEAM * STEP] and lines[1].tolist() == []


@pytest.mark.parametrize("noise", [0.0, 2.0, 8.0])
def test_a_field_has_no_seam(noise):
    for seed in range(6):
        found = seams_of(tile_of(field(seed, noise)))
        assert not len(found.x_px0) and not len(found.y_px0)


def test_cells_on_a_seam_are_counted_and_not_whole():
    first, second = glass(SIDE, SIDE), glass(SIDE, SIDE) - 12
    for x in range(30, SIDE, 40):
        red_cell(first, x, SEAM - 4)
        red_cell(first, x, 40)
        red_cell(second, x + 14, SEAM + 3)
        red_cell(second, x, 200)
    joined = np.concatenate([first[:SEAM], second[SEAM:]])
    cells = measure_field(tile_of(joined), fit_stain([joined], GLASS, MPP)).reds
    on_seam = [cell for cell in cells if abs(cell.y_px0 / STEP - SEAM) < 16]
    assert len(on_seam) >= 4 and not any(cell.whole for cell in on_seam)
    assert sum(cell.whole for cell in cells) == len(cells) - len(on_seam) >= 10
