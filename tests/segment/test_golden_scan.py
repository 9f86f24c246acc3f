"""What a worker makes of a slide: its stain and cells, whether it is a smear and of which scale,
and the cell that a person has marked.
"""

from dataclasses import replace

import numpy as np
import pytest

from ingest import HeldError, Slide, SlideError, Survey, open_slide, plan_tiles, survey_slide
from ingest.survey import StainMask
from ingest.synthetic import Sprite, glass, place, red_cell_sprite, write_pyramid
from segment import MarkedPlace, begin_reading, begin_scan, cut_marked_cell, plain_scan
from segment.cells import cell_id
from segment.scan import touches
from segment.smear_check import (
    RED_CELL_UM,
    RedCellFit,
    agrees,
    appearance,
    bodies_in,
    box_about,
    fault_of,
    fit_at,
    fits_beside,
    hold_scale,
    is_clear,
    narrowest_um_of,
    places_of,
    windows_at,
)
from tests.golden_figures import GoldenFile
from tests.make import GLASS, white_cell

MPP = 0.25
WIDTH, HEIGHT = 1000, 800
CELLS = [(200, 180), (640, 300), (330, 610), (820, 640)]
DECODED = {"rel": 1e-4, "least": 1e-4}  # decoders of JPEG may differ by a grey level


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    """A smear 250 um wide with four white cells and 90 red ones."""
    rng = np.random.default_rng(12)
    canvas = glass(HEIGHT, WIDTH, GLASS, rng)
    middles = rng.integers(0, (WIDTH, HEIGHT), (90, 2))
    place(canvas, [Sprite(*red_cell_sprite(MPP, rng), int(x), int(y)) for x, y in middles])
    sizes = (5.5, 4.5, 7.0, 6.0)
    whites = [
        Sprite(*white_cell(rng, MPP, size), x, y) for (x, y), size in zip(CELLS, sizes, strict=True)
    ]
    place(canvas, whites)
    path = tmp_path_factory.mktemp("scan") / "smear.tiff"
    write_pyramid(path, canvas, MPP)
    return open_slide(path)


def test_a_slide_is_read_as_it_was(golden: GoldenFile, slide: Slide) -> None:
    begun = begin_reading(slide, ("wbc", "platelet", "rbc"), "battlement")
    scan = begin_scan(slide, ("wbc", "rbc"))
    (spec, *others) = plan_tiles(slide, scan.looked_at)
    found = scan.cells_in(spec)
    reference = plain_scan(slide, ("wbc",), MPP)
    figures = {
        "stain": scan.stain,
        "same stain": begun.scan.stain == scan.stain,
        "looked at": [scan.looked_at.look, begun.scan.looked_at.look, begun.scan.smear.look],
        "whites looked at": replace(scan, kinds=("wbc",)).looked_at.look,
        "tiles": [list(one.box_px0) for one in (spec, *others)],
        "map": [begun.map.block_um, begun.map.stain, begun.map.ground],
        "fields": begun.fields,
        "cells": [[c.kind, c.x_px0, c.y_px0, *c.box_px0, c.area_um2] for c in found.cells],
        "reds": [len(scan.field_at(begun.fields[0]).reds)],
        "reference": [reference.stain, reference.smear.look.all(), reference.work_mpp],
        "timed": [found.read_s > 0, found.find_s > 0],
    }
    golden("scan", figures, **DECODED)
    ids = {cell_id(slide.slide_id, c.x_px0, c.y_px0) for c in found.cells}
    assert {cell.cell_id for cell in found.cells} == ids


def test_the_size_of_red_cells_by_scale(golden: GoldenFile, slide: Slide) -> None:
    seen = survey_slide(slide)
    where = places_of(slide, seen)
    stated = fit_at(slide, where, slide.mpp)
    windows = list(windows_at(slide, where, slide.mpp))
    coarse = fit_at(slide, where, 0.5)
    figures = {
        "places": where,
        "narrowest": narrowest_um_of(slide),
        "windows": [[*tile.spec.box_px0, tile.mpp, tile.step_px0] for tile in windows],
        "finer windows": [list(t.spec.box_px0) for t in windows_at(slide, where, 0.05)],
        "appearance": appearance(windows),
        "stated": [stated, stated.score, stated.diameter_px0, stated.is_dense],
        "clear, agrees": [is_clear(stated, RED_CELL_UM), agrees(stated, RED_CELL_UM)],
        "coarse": [coarse.bodies, coarse.share, coarse.score, coarse.diameter_px0],
        "fault": [fault_of(slide, where, fit, 0.05) for fit in (stated, coarse)],
        "others": [
            [f.mpp, f.bodies, len(f.diameters_um), f.share] for f in fits_beside(slide, where, 7.2)
        ],
    }
    golden("smear-scale", figures, **DECODED)


def fit(share: float = 0.5, bodies: int = 15, um: float = 7.2, cells: int = 10) -> RedCellFit:
    return RedCellFit(0.25, bodies, np.full(cells, um), share)


@pytest.mark.parametrize(
    ("found", "dense", "clear", "agreed", "score"),
    [
        (fit(), True, True, True, 0.5),
        (fit(bodies=14), False, False, False, 0.5),
        (fit(share=0.4), True, True, True, 0.4),
        (fit(share=0.39), True, False, True, 0.39),
        (fit(share=0.24), True, False, True, 0.24),
        (fit(share=0.24, bodies=28), False, False, False, 0.24),
        (fit(share=0.25, bodies=28), False, False, True, 0.25),
        (fit(share=0.12, bodies=27), True, False, True, 0.12),
        (fit(share=0.119), False, False, False, 0.119),
        (fit(um=8.0), True, True, True, 0.5),
        (fit(um=8.1), True, False, True, 0.5),
        (fit(um=6.4), True, True, True, 0.5),
        (fit(um=6.3), True, False, True, 0.5),
        (fit(um=8.9), True, False, True, 0.5),
        (fit(um=9.1), True, False, False, 0.5),
        (fit(um=5.3), True, False, False, 0.5),
        (fit(cells=6), True, True, True, 0.5),
        (fit(cells=3), False, True, True, 0.25),
        (fit(cells=0), False, False, False, 0.0),
    ],
)
def test_where_a_fit_counts(
    found: RedCellFit, dense: bool, clear: bool, agreed: bool, score: float
) -> None:
    assert (found.is_dense, is_clear(found, 7.2), agrees(found, 7.2)) == (dense, clear, agreed)
    assert found.score == pytest.approx(score)
    assert found.diameter_px0 == pytest.approx(
        float(np.median(found.diameters_um)) / 0.25 if len(found.diameters_um) else np.nan,
        nan_ok=True,
    )


@pytest.mark.parametrize(("um", "held"), [(8.9, False), (9.1, True), (5.5, False), (5.3, True)])
def test_a_scale_is_held_where_cells_are_a_quarter_off(slide: Slide, um: float, held: bool) -> None:
    best = fit(um=um)
    if not held:
        hold_scale(slide, best, 7.2)
        return
    with pytest.raises(HeldError) as raised:
        hold_scale(slide, best, 7.2)
    figures = (
        f"at 0.25 um per pixel the median red cell would be {um} um wide, where 7.2 um is usual; "
        f"{7.2 * 0.25 / um:.2g} um per pixel would fit"
    )
    assert raised.value.what == f"{slide.path}: {figures}"
    assert (raised.value.code, raised.value.figures) == ("scale", figures)
    hint = "check the objective, then give the true um per pixel with --mpp-override"
    assert raised.value.hint == hint


def test_windows_lie_within_the_slide(slide: Slide) -> None:
    assert box_about(slide, (500, 400), 640, 1) == (180, 80, 820, 720)
    assert box_about(slide, (0, 800), 640, 1) == (0, 160, 640, 800)
    assert box_about(slide, (1000, 10), 639, 3) == (360, 0, 999, 639)
    assert box_about(slide, (500, 400), 2001, 3) == (0, 0, 999, 798)


def test_places_of_windows_avoid_what_is_thick(golden: GoldenFile, slide: Slide) -> None:
    """Blocks of 32 px: thin ones, a thick part, and all of them thick or faint."""
    density = np.zeros((25, 31))
    density[3:20, 2:12] = 0.3
    density[3:20, 18:30] = 0.9
    mask = StainMask(32, density > 0, (240, 240, 240))
    figures = {
        name: places_of(slide, Survey(mask, shown, shown))
        for name, shown in {
            "thin and thick": density,
            "thick": np.where(density > 0, 0.9, 0),
            "faint": np.where(density > 0, 0.004, 0),
            "at the limits": np.where(density > 0.5, 0.08, 0.09),
        }.items()
    }
    golden("places-of-windows", figures)
    assert all(x < 12 * 32 or 17 * 32 < x < 20 * 32 for x, _ in figures["thin and thick"])


def test_a_round_body_with_free_rim_is_told(golden: GoldenFile) -> None:
    """Discs whole, cut by the border, beside another, an ellipse and a speck."""
    rows, cols = np.mgrid[:60, :90]
    owner = np.full((60, 90), -1)
    shapes = [(20, 20, 8, 8), (30, 0, 6, 6), (45, 50, 7, 7), (45, 63, 7, 7), (15, 60, 4, 12)]
    for number, (y, x, high, wide) in enumerate(shapes):
        owner[((rows - y) / high) ** 2 + ((cols - x) / wide) ** 2 <= 1] = number
    owner[52:54, 10:13] = 6
    owner[40:43, 20:23] = 7
    beside = np.ones(owner.shape, bool)
    beside[:, 56:58] = False
    found = bodies_in(owner, beside, 0.5)
    shaded = bodies_in(owner, beside & (cols < 50) & (rows < 20), 0.5)
    figures = [[b.diameter_um, b.area_um2, b.is_round] for b in found]
    golden("bodies", {"free": figures, "shaded": [b.is_round for b in shaded]})


@pytest.mark.parametrize(
    "box",
    [
        (160, 150, 240, 215),
        (200, 180, 200, 180),
        (220, 196, 221, 197),
        (660, 310, 660, 310),
        (330, 610, 333, 613),
        (5, 5, 5, 5),
        (0, 0, 90, 30),
        (955, 760, 999, 799),
        (820, 640, 832, 652),
    ],
)
def test_a_marked_cell_is_cut_as_it_was(
    golden: GoldenFile, slide: Slide, box: tuple[int, int, int, int]
) -> None:
    found = cut_marked_cell(MarkedPlace(slide, box))
    name = "-".join(map(str, box))
    golden(f"marked/{name}", replace(found, slide_id="", cell_id=""), **DECODED)
    assert found.cell_id == cell_id(slide.slide_id, found.x_px0, found.y_px0)
    assert found.slide_id == slide.slide_id


@pytest.mark.parametrize(
    ("box", "what", "hint"),
    [
        ((-9, 5, 7, 9), "the place lies outside the slide", "mark a cell on the slide"),
        ((5, 799, 9, 801), "the place lies outside the slide", "mark a cell on the slide"),
        ((1000, 5, 1000, 5), "the place lies outside the slide", "mark a cell on the slide"),
        ((100, 100, 245, 120), "the box is wider than 36 um", "draw it around one cell alone"),
        ((100, 100, 120, 245), "the box is wider than 36 um", "draw it around one cell alone"),
    ],
)
def test_what_cannot_be_marked(
    slide: Slide, box: tuple[int, int, int, int], what: str, hint: str
) -> None:
    with pytest.raises(SlideError) as refused:
        cut_marked_cell(MarkedPlace(slide, box))
    assert (refused.value.what, refused.value.hint) == (what, hint)
    cut_marked_cell(MarkedPlace(slide, (100, 100, 244, 244)))


def test_which_cells_a_box_that_cannot_be_read_takes(slide: Slide) -> None:
    """A crop is 72 px wide to each side of its middle at 0.25 um."""
    cell = cut_marked_cell(MarkedPlace(slide, (160, 150, 240, 215)))
    x, y = cell.x_px0, cell.y_px0
    near = [(x + 71, y, x + 80, y + 9), (x, y - 90, x + 9, y - 71), (x - 90, y, x - 71, y + 9)]
    near.append((x, y + 71, x + 5, y + 99))
    far = [(x + 72, y, x + 80, y + 9), (x, y - 90, x + 9, y - 72), (x - 90, y, x - 72, y + 9)]
    far.append((x, y + 72, x + 5, y + 99))
    assert [touches(cell, box, 0.25) for box in near] == [True] * 4
    assert [touches(cell, box, 0.25) for box in far] == [False] * 4
    wide = replace(cell, box_px0=(x - 100, y - 90, x + 110, y + 120))
    outer = [(x + 109, y, x + 200, y), (x, y + 119, x, y + 200), (x - 200, y, x - 99, y)]
    assert all(touches(wide, box, 0.25) for box in [*outer, (x, y - 200, x, y - 89)])
    assert not touches(wide, (x + 110, y, x + 200, y + 1), 0.25)
