"""Figures of the parts of the segmentation, on made-up input at both sides of each branch."""

from types import SimpleNamespace

import numpy as np
import pytest

from segment import cells as marking
from segment.cells import _area_um2, _box
from segment.grid import bin_pixels
from segment.red_cell_fields import (
    RedCell,
    RedCrops,
    RedField,
    _evenly,
    _inside,
    clumps_of,
    labels_of,
    summary_of,
    touched_share,
)
from segment.stain import _mix, _red_ratio, _solid, _stained_threshold, _table, fit_stain, platelet

GLASS = 246, 240, 230
RED, WHITE, PALE, PLATELET = (206, 150, 140), (110, 70, 150), (190, 178, 214), (190, 170, 205)


def window(seed, side=160, **counts):
    """A sample with so many discs of each colour; red cells may have a second colour."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side, 3), GLASS, np.float32)
    y, x = np.mgrid[:side, :side]
    for name, (colour, radius) in {
        "reds": (RED, 13),
        "greys": ((170, 150, 150), 13),
        "pales": (PALE, 20),
        "nuclei": (WHITE, 13),
        "platelets": (PLATELET, 4),
    }.items():
        for _ in range(counts.get(name, 0)):
            at = rng.integers(0, side, 2)
            image[np.hypot(x - at[0], y - at[1]) < radius] = colour
    return np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


SAMPLES = {
    "a smear": [window(n, reds=14, pales=1, nuclei=1, platelets=3) for n in range(3)],
    "red cells": [window(n, reds=14) for n in range(2)],
    "two kinds of red cells": [window(n, reds=8, greys=6) for n in range(2)],
    "few of another kind": [window(n, reds=14, greys=1) for n in range(2)],
    "nuclei": [window(n, nuclei=6) for n in range(2)],
    "glass": [window(n) for n in range(2)],
    "dark": [window(n, reds=30, nuclei=10) // 3 for n in range(2)],
    "too small": [np.full((1, 400, 3), 90, np.uint8)],
    "none": [],
}


@pytest.mark.parametrize("mpp", [0.28, 0.5625])
def test_the_stain_of_samples(golden, mpp):
    found = {name: fit_stain(samples, GLASS, mpp) for name, samples in SAMPLES.items()}
    golden(f"stain-{mpp}", found)


def test_the_parts_of_a_stain(golden):
    sums = [bin_pixels(sample, 2) for sample in SAMPLES["a smear"]]
    every = _mix(sums[0], 4, GLASS, (0.25, 0.5, 0.25))
    noise = np.random.default_rng(0).integers(0, 40, (9, 9)).astype(np.int16)
    maps = {
        "table": [_table(1, 240, 0.5)[::32], _table(4, 255, -0.7)[::128], len(_table(4, 240, 1))],
        "mix": every,
        "solid": [_solid(every, bound).sum() for bound in (30, 100, 5000)],
        "threshold": [
            _stained_threshold(maps, least)
            for maps in ([], [noise], [noise // 2], [every, noise])
            for least in (12, 30)
        ],
        "platelet": platelet(every, every // 2),
        "ratio": [
            _red_ratio(sums, [np.zeros(one.shape[:2], bool) for one in sums], 4, GLASS),
            _red_ratio(sums, [np.ones(one.shape[:2], bool) for one in sums], 4, GLASS),
        ],
    }
    golden("stain-parts", maps)


def ratios_of(low, high, count):
    """The ratio that is taken of cells of two kinds, so many of the first of 200."""
    blue = 400.0
    values = np.where(np.arange(200) < count, low, high) * blue
    return iter([values, np.full(200, blue)])


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0.5, 1.0, 100, 0.5),  # two kinds: the lower one
        (0.5, 0.79, 99, 0.79),  # one kind that varies: the middle
        (0.5, 0.81, 99, 0.5),
        (0.5, 1.0, 20, 1.0),  # too few of the lower one
        (0.5, 1.0, 21, 0.5),
        (1.0, 1.0, 200, 1.0),
        (5.0, 7.0, 200, 2.2),
        (0.1, 0.1, 200, 0.4),
    ],
)
def test_the_lower_of_two_kinds_of_red_cells(monkeypatch, low, high, count, expected):
    seen = ratios_of(low, high, count)
    monkeypatch.setattr("segment.stain._where", lambda *_: next(seen))
    assert _red_ratio([], [], 4, GLASS) == pytest.approx(expected, abs=1e-3)


GRID = SimpleNamespace(mpp=0.5, step_px0=2, x=10, y=20)


def blobs(*places):
    return [SimpleNamespace(centre_px0=lambda grid, at=at: at) for at in places]


@pytest.mark.parametrize(
    ("places", "heaps"),
    [
        ([], 0),
        ([(0, 0), (5, 0)], 0),
        ([(0, 0), (14, 0), (28, 0)], 1),
        ([(0, 0), (15, 0), (30, 0)], 0),
        ([(0, 0), (5, 0), (5, 5), (5, 9)], 1),
        ([(0, 0), (5, 0), (90, 0), (95, 0)], 0),
        ([(0, 0), (5, 0), (9, 0), (90, 0), (95, 0), (99, 0), (200, 0)], 2),
    ],
)
def test_heaps_of_platelets(places, heaps):
    """3.5 um are 14 px of level 0 here."""
    assert clumps_of(blobs(*places), GRID) == heaps


def test_how_much_of_an_outline_another_cell_is():
    owner = np.full((6, 8), -1)
    owner[1:4, 1:3], owner[1:4, 3:5], owner[4, 6] = 0, 1, 2
    shares = touched_share(owner, 4)
    assert shares.tolist() == pytest.approx([3 / 10, 3 / 10, 0, 0])


def test_which_cells_are_cut_out_and_which_are_whole():
    cut = RedCrops(15.2, 80, 3)
    assert _evenly(list(range(10, 20)), cut) == (10, 14, 19)
    assert _evenly([4, 7], cut) == (4, 7) and _evenly([], cut) == _evenly([1], None) == ()
    size = 100, 60
    for box, inside in (
        ((2, 2, 98, 58), True),
        ((1, 2, 98, 58), False),
        ((2, 1, 98, 58), False),
        ((2, 2, 99, 58), False),
        ((2, 2, 98, 59), False),
    ):
        assert _inside(box, size, 2) is inside
    assert _inside((0, 0, 999, 999), None, 2) is True


def test_the_window_of_a_map_of_owners():
    owner = np.full((12, 14), -1)
    owner[2, 3], owner[3, 3], owner[4, 6] = 0, 2, 5
    found = labels_of(owner, [5, 0], GRID, (24, 42, 36, 54))
    assert found.shape == (6, 6) and found.dtype == np.uint16
    assert np.argwhere(found).tolist() == [[1, 1], [3, 4]] and found[1, 1] == 2 and found[3, 4] == 1


def cell(area, whole=True, separate=True):
    return RedCell(0, 0, area, 0.8 + area / 1000, area / 200, whole, separate)


def test_the_figures_of_all_fields(golden):
    def field(*reds, whites=1, platelets=4):
        return RedField((0, 0, 9, 9), 0.03, reds, whites, platelets, np.zeros((1, 1)), 0.5)

    fields = [
        field(cell(40), cell(50), cell(90, whole=False)),
        field(cell(44), cell(10, separate=False), whites=2, platelets=7),
    ]
    golden(
        "red-smear",
        {
            "both": summary_of(fields),
            "none sound": summary_of([field(cell(40, whole=False), cell(60, separate=False))]),
            "none": summary_of([field()]),
        },
    )


def test_the_stained_area_inside_a_box(monkeypatch, golden):
    crop = np.full((128, 128, 3), 245, np.uint8)
    mask = np.zeros((128, 128), bool)
    mask[40:80, 50:100] = True
    sizes = [(3, 2), (10, 6), (20, 12), (36, 36), (80, 50)]
    monkeypatch.setattr(marking, "cell_masks", lambda _: (None, mask))
    found = [_area_um2(crop, *size) for size in sizes]
    monkeypatch.setattr(marking, "cell_masks", lambda _: (None, np.zeros_like(mask)))
    golden(
        "marked-cells",
        {
            "stained": found,
            "not stained": [_area_um2(crop, *size) for size in sizes],
            "box": _box(SimpleNamespace(mpp=0.25), (100, 60), (-3.1, -2, 4, 5.3)),
        },
    )


@pytest.mark.parametrize(
    ("columns", "rows", "box"),
    [
        ((50, 78), (54, 74), (72, 80, 128, 120)),
        ((92, 120), (64, 66), None),  # too far from the click
        ((0, 128), (40, 90), None),  # as wide as the crop
        ((0, 127), (64, 65), None),
        ((1, 127), (64, 65), None),
        ((1, 126), (64, 65), (-26, 100, 224, 102)),
        ((0, 0), (0, 0), None),
    ],
)
def test_the_box_of_what_is_stained_at_a_click(monkeypatch, columns, rows, box):
    """In um, the crop's pixels are 36 / 128; a click on nothing has a box of 12 um."""
    mask = np.zeros((128, 128), bool)
    mask[slice(*rows), slice(*columns)] = True
    monkeypatch.setattr(marking, "_crop", lambda slide, click: (100, 100, None))
    monkeypatch.setattr(marking, "cell_masks", lambda _: (None, mask))
    slide = SimpleNamespace(mpp=36 / 128 / 2)
    found = marking._stained_box(slide, (101.0, 102.0))
    half = 6 / slide.mpp
    click = (101 - half, 102 - half, 101 + half, 102 + half)
    assert found == (tuple(map(round, click)) if box is None else box)
