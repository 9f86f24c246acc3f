"""Red cells of the forms and stains that a plain threshold loses or parts."""

import numpy as np
import pytest

from segment import Cell, find_cells, fit_stain
from tests.segment.smears import GLASS, MPP, cut, disc, glass, red_cell

PALE = (232, 214, 219)
SIDE = 240


def found_in(image: np.ndarray) -> list[Cell]:
    stain = fit_stain([image], GLASS, MPP)
    return [
        cell for tile in cut(image, 4096) for cell in find_cells(tile, stain, "slide", ("rbc",))
    ]


def among_others(image: np.ndarray) -> np.ndarray:
    """With plain cells along the upper edge, so that the stain is that of a smear."""
    for x in range(30, SIDE, 45):
        red_cell(image, x, 30)
    return image


def below_the_others(cells: list[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.y_px0 > 70]


def test_a_pale_smear_has_the_same_cells():
    image = glass(SIDE, SIDE)
    places = [(x, y) for x in range(40, SIDE, 50) for y in range(40, SIDE, 50)]
    for x, y in places:
        disc(image, x, y, 3.7, PALE)
    assert sorted((c.x_px0, c.y_px0) for c in found_in(image)) == pytest.approx(
        np.array(places), abs=2
    )


@pytest.mark.parametrize("angle", [0, 30, 90])
def test_a_long_cell_is_one(angle):
    image = among_others(glass(SIDE, SIDE))
    rows, cols = np.mgrid[:SIDE, :SIDE] - 150.0
    turn = np.radians(angle)
    along, across = (
        cols * np.cos(turn) + rows * np.sin(turn),
        rows * np.cos(turn) - cols * np.sin(turn),
    )
    image[(along * MPP / 6) ** 2 + (across * MPP / 2.6) ** 2 <= 1] = (196, 140, 150)
    (cell,) = below_the_others(found_in(image))
    assert cell.area_um2 == pytest.approx(np.pi * 6 * 2.6, rel=0.2)


def test_the_pale_ring_of_a_target_cell_belongs_to_it():
    image = among_others(glass(SIDE, SIDE))
    for radius, colour in ((4.2, (196, 140, 150)), (2.9, GLASS), (1.2, (196, 140, 150))):
        disc(image, 150, 150, radius, colour)
    (cell,) = below_the_others(found_in(image))
    assert (cell.x_px0, cell.y_px0) == pytest.approx((150, 150), abs=2)
    assert cell.area_um2 == pytest.approx(np.pi * 4.2**2, rel=0.25)


def test_light_that_falls_off_is_no_cell():
    image = among_others(glass(SIDE, SIDE)).astype(float)
    image *= np.linspace(1, 0.95, SIDE)[:, None, None]
    assert below_the_others(found_in(image.astype(np.uint8))) == []
