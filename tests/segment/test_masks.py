"""Nucleus and cell of a crop."""

import numpy as np
import pytest

from segment import cell_masks, fit_stain
from tests.scoring import dice
from tests.segment.smears import GLASS, MPP, glass, red_cell, white_cell


def crop_of(radius_um: float = 6.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A crop of one white cell, its nucleus and the whole of it."""
    image = glass(128, 128)
    white_cell(image, 63.5, 63.5, radius_um)
    far = np.hypot(*np.meshgrid(np.arange(128) - 63.5, np.arange(128) - 63.5)) * 0.28
    return image, far <= 0.7 * radius_um, far <= radius_um


def slide_stain():
    image = glass(200, 200)
    white_cell(image, 100, 140)
    for x in (40, 100, 160):
        red_cell(image, x, 40)
    return fit_stain([image], GLASS, MPP)


@pytest.mark.parametrize(
    "stain", [None, slide_stain()], ids=["alone", "with the stain of the slide"]
)
def test_nucleus_and_cell(stain):
    crop, nucleus, cell = crop_of()
    found_nucleus, found_cell = cell_masks(crop, stain)
    assert dice(found_nucleus, nucleus) > 0.9
    assert dice(found_cell, cell) > 0.9


def test_red_cells_are_left_out_with_the_stain_of_the_slide():
    crop, _, cell = crop_of()
    red_cell(crop, 63.5 + 9.4 / 0.28, 63.5)
    assert dice(cell_masks(crop, slide_stain())[1], cell) > 0.9


@pytest.mark.parametrize(
    "stain", [None, slide_stain()], ids=["alone", "with the stain of the slide"]
)
def test_an_empty_crop_has_neither(stain):
    assert not any(mask.any() for mask in cell_masks(glass(128, 128), stain))
