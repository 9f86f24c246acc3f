"""Where the neck rule, the least sizes and pale cytoplasm decide."""

import numpy as np
import pytest

from tests.segment.smears import CYTOPLASM, GLASS, MPP, NUCLEUS, disc, glass
from tests.segment.test_cells import find

SIDE = 200


def whites(image):
    return find(image, kinds=("wbc",))


@pytest.mark.parametrize("apart_um", [8.4, 9.0, 9.6])
def test_two_cells_nearer_than_lobes_may_be_are_two_by_their_neck(apart_um):
    image = glass(SIDE, SIDE)
    half = apart_um / 2 / MPP
    for x in (SIDE / 2 - half, SIDE / 2 + half):
        disc(image, x, SIDE / 2, 4.2, CYTOPLASM)
    for x in (SIDE / 2 - half, SIDE / 2 + half):
        disc(image, x, SIDE / 2, 3.0, NUCLEUS)
    found = sorted(cell.x_px0 for cell in whites(image))
    assert len(found) == 2 and (found[1] - found[0]) * MPP == pytest.approx(apart_um, abs=1.5)


@pytest.mark.parametrize("apart_um", [4.5, 5.5])
def test_two_lobes_in_one_body_are_one_cell(apart_um):
    image = glass(SIDE, SIDE)
    half = apart_um / 2 / MPP
    disc(image, SIDE / 2, SIDE / 2, 6.5, CYTOPLASM)
    for x in (SIDE / 2 - half, SIDE / 2 + half):
        disc(image, x, SIDE / 2, 2.6, NUCLEUS)
    (cell,) = whites(image)
    assert abs(cell.x_px0 - SIDE / 2) * MPP < 1.0


@pytest.mark.parametrize(("radius_um", "count"), [(1.7, 0), (1.9, 0), (3.4, 1)])
def test_a_speck_of_nuclear_stain_is_no_cell(radius_um, count):
    """Less than 22 um2, though its stain is that of a nucleus."""
    image = glass(SIDE, SIDE)
    disc(image, SIDE / 2, SIDE / 2, radius_um, NUCLEUS)
    assert len(whites(image)) == count


@pytest.mark.parametrize(("core_um", "count"), [(0.0, 0), (1.5, 0), (2.8, 1)])
def test_a_body_without_a_nucleus_is_no_cell(core_um, count):
    image = glass(SIDE, SIDE)
    disc(image, SIDE / 2, SIDE / 2, 4.0, CYTOPLASM)
    if core_um:
        disc(image, SIDE / 2, SIDE / 2, core_um, NUCLEUS)
    assert len(whites(image)) == count


def test_pale_cytoplasm_belongs_to_its_cell():
    """A rim of half the stain that bounds white matter: the cell is as large as it looks."""
    pale = tuple(int(g + 0.55 * (c - g)) for g, c in zip(GLASS, CYTOPLASM, strict=True))
    image = glass(SIDE, SIDE)
    disc(image, SIDE / 2, SIDE / 2, 6.0, pale)
    disc(image, SIDE / 2, SIDE / 2, 4.4, NUCLEUS)
    (cell,) = whites(image)
    assert cell.area_um2 == pytest.approx(np.pi * 6.0**2, rel=0.15)
    x0, _, x1, _ = cell.box_px0
    assert (x1 - x0) * MPP == pytest.approx(12.0, abs=1.2)
