"""What `find_cells` finds on small synthetic smears, and that it does not depend on the tiles."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segment import CROP_PX, Cell, Stain, cell_id, find_cells, fit_stain
from tests.segment.smears import GLASS, MPP, PLATELET, crowd, cut, disc, glass, red_cell, white_cell

KINDS = ("wbc", "platelet", "rbc")


def usual_stain() -> Stain:
    """Of a plain smear with every kind of cell."""
    image = glass(256, 256)
    for x in range(30, 256, 65):
        for y in range(30, 200, 55):
            red_cell(image, x, y)
    white_cell(image, 60, 215)
    white_cell(image, 160, 215, lobes=3)
    return fit_stain([image], GLASS, MPP)


STAIN = usual_stain()


def find(image: np.ndarray, kinds=KINDS, tile_px: int = 4096, step: int = 1) -> list[Cell]:
    return [
        cell
        for tile in cut(image, tile_px, step)
        for cell in find_cells(tile, STAIN, "slide", kinds)
    ]


def facts(cells: list[Cell]) -> set[tuple]:
    crops = (hashlib.blake2b(c.crop.tobytes()).hexdigest() for c in cells)
    return {
        (c.cell_id, c.kind, c.x_px0, c.y_px0, c.box_px0, c.area_um2, d)
        for c, d in zip(cells, crops, strict=True)
    }


@settings(max_examples=4)
@given(st.integers(0, 10**6), st.integers(70, 140), st.integers(1, 3))
def test_the_cells_do_not_depend_on_the_tiles(seed, tile_px, step):
    image = crowd(
        seed, size=420
    )  # wider than a tile and its margins, so that tiles do cut things off
    stain = fit_stain([image], GLASS, MPP)
    whole, parts = (
        [c for tile in cut(image, px, step) for c in find_cells(tile, stain, "slide", KINDS)]
        for px in (420, tile_px)
    )
    assert facts(parts) == facts(whole)
    assert len({c.cell_id for c in parts}) == len(parts)


def test_every_kind_is_found_once_where_it_lies():
    image = glass(300, 300)
    white_cell(image, 80, 80)
    red_cell(image, 200, 80)
    disc(image, 200, 200, 1.4, PLATELET)
    found = {c.kind: (c.x_px0, c.y_px0) for c in find(image)}
    assert found.keys() == {"wbc", "rbc", "platelet"}
    for kind, place in {"wbc": (80, 80), "rbc": (200, 80), "platelet": (200, 200)}.items():
        assert np.abs(np.subtract(found[kind], place)).max() <= 2


def test_only_the_kinds_asked_for():
    image = glass(300, 300)
    white_cell(image, 80, 80)
    red_cell(image, 200, 80)
    assert {c.kind for c in find(image, ("rbc",))} == {"rbc"}
    assert {c.kind for c in find(image, ("wbc", "platelet"))} == {"wbc"}


@pytest.mark.parametrize("lobes", [1, 2, 3, 4])
def test_the_lobes_of_a_nucleus_are_one_cell_with_its_cytoplasm(lobes):
    image = glass(220, 220)
    white_cell(image, 110, 110, radius_um=6.0, lobes=lobes)
    (cell,) = find(image)
    width, height = cell.box_px0[2] - cell.box_px0[0], cell.box_px0[3] - cell.box_px0[1]
    assert (width * MPP, height * MPP) == pytest.approx((12, 12), abs=1.6)
    assert cell.area_um2 == pytest.approx(np.pi * 36, rel=0.15)


def test_touching_white_cells_are_two():
    image = glass(300, 300)
    white_cell(image, 120, 150)
    white_cell(image, 120 + 12.0 / MPP, 150)
    assert [c.kind for c in find(image)] == ["wbc", "wbc"]


def test_touching_red_cells_are_two():
    image = glass(220, 220)
    red_cell(image, 90, 110)
    red_cell(image, 90 + 6.6 / MPP, 110)
    assert [c.kind for c in find(image)] == ["rbc", "rbc"]


def test_a_speck_on_a_red_cell_is_no_platelet():
    image = glass(220, 220)
    red_cell(image, 110, 110)
    disc(image, 110, 110, 0.9, PLATELET)
    assert find(image, ("platelet",)) == []


def test_an_empty_slide_has_no_cells():
    assert find(glass(300, 300)) == []


def test_level_0_coordinates_and_the_id():
    image = glass(220, 220)
    white_cell(image, 110, 110)
    (one,), (three,) = find(image), find(image, step=3)
    assert (three.x_px0, three.y_px0) == (3 * one.x_px0, 3 * one.y_px0)
    assert three.box_px0 == tuple(3 * v for v in one.box_px0)
    assert one.cell_id == cell_id("slide", one.x_px0, one.y_px0) != three.cell_id


def test_the_crop_is_36_um_about_the_centre():
    image = glass(220, 220)
    white_cell(image, 110, 110)
    (cell,) = find(image)
    assert cell.crop.shape == (CROP_PX, CROP_PX, 3) and cell.crop.dtype == np.uint8
    dark = np.argwhere(cell.crop[..., 0] < 150)
    assert np.abs(dark.mean(0) - (CROP_PX - 1) / 2).max() < 2


def test_a_crop_beyond_the_slide_is_background():
    image = glass(200, 200)
    white_cell(image, 12, 100)
    (cell,) = find(image)
    assert (cell.crop[:, :10] == GLASS).all()
    assert min(cell.box_px0) >= 0
