"""Each step from stain to cells: maps and peaks of three crowded fields, and decisions on
small made-up bodies at both sides of their limits.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from segment import nuclei, platelets, red_cells, white_cells
from segment.grid import Grid, work_grid
from segment.kinds import StainSignals
from segment.peaks import Peaks, find_peaks, group, lowest_between, pairs_within, smooth
from segment.red_cells import RING
from tests.golden_figures import summed
from tests.segment.test_golden_cells import FIELDS, field


def signals_of(name):
    tile, stain = field(name)
    return StainSignals(work_grid(tile), stain)


def peaks_figures(peaks):
    return [len(peaks), *(summed(np.asarray(one)) for one in (peaks.y, peaks.x, peaks.score))]


@pytest.mark.parametrize("name", FIELDS)
def test_white_matter_and_nuclei(golden, name):
    signals = signals_of(name)
    values, grid, stain = signals.white, signals.grid, signals.stain
    white = nuclei.white_matter(values, grid, stain)
    pale = nuclei.pale_matter(values, grid, stain)
    found, root = nuclei.find_nuclei(white, grid)
    pairs = pairs_within(found, nuclei.LOBE_REACH_UM / grid.mpp)
    golden(
        f"white-{name}",
        {
            "white": [summed(one) for one in (white.body, white.nucleus, white.mass)],
            "pale": [summed(one) for one in (pale.body, pale.nucleus, pale.mass)],
            "hint": summed(nuclei.pale_hint(values, grid, stain)),
            "peaks": peaks_figures(found),
            "rank": summed(found.rank),
            "root": summed(root),
            "pairs": len(pairs),
            "one cell": summed(nuclei._one_cell(white, found, pairs, grid)),
            "necks": [nuclei._neck(white.body, found, two, grid) for two in pairs[:20]],
            "valleys": lowest_between(white.mass, found, pairs[:20]),
            "windows": [
                [[s.start, s.stop] for s in white_cells.window_around(white, found, n, grid)]
                for n in range(0, len(found), 5)
            ],
            "cells": [
                summed(white_cells.cell_around(white, found, root, n, grid)[1])["mean"]
                for n in np.flatnonzero(root == np.arange(len(found))).tolist()[:12]
            ],
            "around": [
                [[s.start, s.stop] for s in white_cells._around(white.nucleus, 9)],
                white_cells._around(np.zeros((4, 4), bool), 3),
            ],
        },
    )


@pytest.mark.parametrize("name", FIELDS)
def test_red_matter_and_middles(golden, name):
    signals = signals_of(name)
    values, grid, stain = signals.red, signals.grid, signals.stain
    rims = red_cells._rims_around(values, grid, stain)
    body = red_cells.red_matter(values, rims, grid, stain) & ~signals.taken
    depth = np.minimum(red_cells.ndi.distance_transform_edt(body) * grid.mpp, 5.0)
    score = red_cells._middles(rims, depth, grid)
    peaks = find_peaks(score, grid.x, grid.y, grid.px(1.8), red_cells._LEAST)
    pairs = pairs_within(peaks, red_cells.SAME_CELL_UM / grid.mpp)
    root = group(peaks, pairs, red_cells.SAME_CELL_UM / grid.mpp)
    owner = red_cells._owner(body, depth, peaks, root, grid)
    whole = red_cells._whole(owner, peaks)
    moments = red_cells._moments(whole, len(peaks))
    golden(
        f"red-steps-{name}",
        {
            "rims": summed(rims),
            "glass": summed(red_cells._glass(values, grid, stain)),
            "edge": summed(red_cells._edge(values, values > stain.red_mod, 9, stain)),
            "means": summed(red_cells._mean_where(values, values > stain.red_mod, 5)),
            "pallor": summed(red_cells._pallor(body, rims, grid)),
            "body": [summed(body), summed(red_cells.red_body(values, grid, stain))],
            "middles": summed(score),
            "peaks": peaks_figures(peaks),
            "root": summed(root),
            "owner": summed(owner),
            "whole": summed(whole),
            "joined": summed(red_cells._joined(whole, depth, peaks, root, grid)),
            "moments": summed(moments),
            "ellipticity": summed(red_cells._ellipticity(moments[moments[:, 0] > 20])),
            "numbered": len(red_cells.numbered(whole, len(peaks), grid)),
        },
        least=1e-6,
    )


@pytest.mark.parametrize("name", FIELDS)
def test_platelets_step_by_step(golden, name):
    signals = signals_of(name)
    grid, stain = signals.grid, signals.stain
    values = np.where(signals.taken, 0, platelets.platelet(signals.white, signals.stained))
    body = platelets.opening(values > platelets.BODY * stain.platelet_mod)
    places = platelets._peaks(values * body, grid, stain)
    around = [platelets._around(values, body, row, col, grid) for row, col in places]
    golden(
        f"platelets-{name}",
        {
            "places": places,
            "windows": [[[s.start, s.stop] for s in where] for where, _ in around],
            "bodies": [None if mask is None else int(mask.sum()) for _, mask in around],
            "slim": [platelets._slimness(*np.nonzero(one)) for _, one in around if one is not None],
            "found": [
                [blob.count, *blob.box, blob.x_sum, blob.y_sum]
                for blob in platelets.find_platelets(
                    signals.white, signals.stained, signals.taken, grid, stain
                )
            ],
        },
    )


GRID = Grid(np.zeros((1, 1, 3)), 1, 0, 0, 1, 0.5)


def test_what_is_a_platelet_at_each_limit():
    """Half a um a pixel: 5 px are the least area, 120 the most, 16 px the longest."""

    def is_one(body, glass_share=1.0, least=0.5):
        padded = np.pad(body, 6)
        around = platelets.grown(padded, 3) & ~platelets.grown(padded, 1)
        glass = np.zeros(padded.shape, bool)
        places = np.argwhere(around)
        for row, col in places[: round(glass_share * len(places))]:
            glass[row, col] = True
        return platelets._is_platelet(padded, glass, least, GRID)

    square = np.ones((4, 4), bool)
    assert is_one(square)
    five = np.zeros((3, 3), bool)
    five[1], five[:, 1] = True, True
    assert is_one(five) and not is_one(np.ones((2, 2), bool))  # 1.25 and 1 um2
    assert is_one(np.ones((10, 12), bool)) and not is_one(np.ones((11, 11), bool))  # 30, 30.25
    ring = np.ones((16, 16), bool)
    ring[1:-1, 1:-1] = False
    assert is_one(ring)  # 8 um long
    assert not is_one(np.pad(ring, ((0, 1), (0, 0)), mode="edge"))
    assert is_one(np.ones((6, 10), bool)) and not is_one(np.ones((6, 11), bool))  # 1.67 and 1.83
    count = np.count_nonzero(
        platelets.grown(np.pad(square, 6), 3) & ~platelets.grown(np.pad(square, 6), 1)
    )
    half = (count // 2) / count
    assert is_one(square, half, half) and not is_one(square, half - 1 / count, half)


def test_a_slimness_is_that_of_the_moments():
    rows, cols = np.nonzero(np.ones((4, 8), bool))
    assert platelets._slimness(rows, cols) == pytest.approx(2.0)
    rows, cols = np.nonzero(np.eye(9, dtype=bool))
    assert platelets._slimness(rows, cols) == pytest.approx(
        np.sqrt((2 * 80 / 12 + 1 / 12) / (1 / 12))
    )


def box(top, left, high, wide):
    return slice(top, top + high), slice(left, left + wide)


def rims_at(row, col, value):
    rims = np.zeros((60, 60), np.int32)
    rims[row, col] = value
    return rims


@pytest.mark.parametrize(
    ("where", "rims", "is_pallor"),
    [
        (box(20, 20, 10, 10), rims_at(0, 0, 0), True),  # 5 um
        (box(20, 20, 4, 11), rims_at(0, 0, 0), False),
        (box(20, 20, 11, 4), rims_at(25, 22, RING), True),
        (box(20, 20, 11, 4), rims_at(25, 22, RING - 1), False),
        (box(20, 20, 15, 15), rims_at(27, 27, RING), True),  # 7.5 um
        (box(20, 20, 16, 16), rims_at(28, 28, RING), False),
        (box(20, 20, 12, 12), rims_at(24, 26, RING), True),  # within 2 px of the middle
        (box(20, 20, 12, 12), rims_at(28, 28, RING), True),
        (box(20, 20, 12, 12), rims_at(23, 26, RING), False),
        (box(20, 20, 12, 12), rims_at(29, 26, RING), False),
        (box(20, 20, 12, 12), rims_at(26, 29, RING), False),
        (box(20, 20, 12, 12), rims_at(26, 23, RING), False),
    ],
)
def test_a_gap_is_a_pallor_or_glass(where, rims, is_pallor):
    assert red_cells._is_pallor(where, rims, GRID) is is_pallor


def test_an_ellipse_is_told_from_two_discs():
    y, x = np.mgrid[:80, :120]
    owner = np.full((80, 120), -1)
    owner[((x - 30) / 25) ** 2 + ((y - 40) / 12) ** 2 <= 1] = 0
    owner[np.hypot(x - 80, y - 40) < 10] = 1
    owner[np.hypot(x - 100, y - 40) < 10] = 1
    ellipse, discs = red_cells._ellipticity(red_cells._moments(owner, 2))
    assert ellipse == pytest.approx(1, abs=0.005) and discs == pytest.approx(0.9, abs=0.02)
    moments = red_cells._moments(owner, 3)
    rows, cols = np.nonzero(owner == 1)
    assert moments[1].tolist() == [
        len(rows),
        cols.sum(),
        rows.sum(),
        (cols**2).sum(),
        (rows**2).sum(),
        (rows * cols).sum(),
    ]
    assert moments[2].tolist() == [0] * 6


def test_cells_that_are_too_small_or_too_large_are_none():
    """12 to 150 um2 are 48 to 600 px of half a um."""
    owner = np.full((40, 120), -1)
    for number, size in enumerate((47, 48, 600, 601)):
        rows, cols = np.unravel_index(np.arange(size), (40, 29))
        owner[rows, cols + 30 * number] = number
    grid = Grid(np.zeros((1, 1, 3)), 1, 7, 9, 1, 0.5)
    found = red_cells.numbered(owner, 5, grid)
    assert [number for number, _ in found] == [1, 2]
    blob = found[0][1]
    rows, cols = np.nonzero(owner == 1)
    assert (blob.kind, blob.count) == ("rbc", 48)
    assert (blob.x_sum, blob.y_sum) == ((cols + 7).sum(), (rows + 9).sum())
    assert blob.box == (cols.min() + 7, rows.min() + 9, cols.max() + 8, rows.max() + 10)


def peaks_of(*places):
    y, x, score = (np.array(one) for one in zip(*places, strict=True))
    return Peaks(y, x, score, np.argsort(np.argsort(score)))


def test_what_is_not_with_its_peak_is_dropped():
    owner = np.full((5, 9), -1)
    owner[1:4, 1:3], owner[2, 5], owner[2, 7] = 0, 0, 1
    peaks = peaks_of((2, 1, 9), (2, 7, 5), (0, 0, 3))
    found = red_cells._whole(owner, peaks)
    expected = owner.copy()
    expected[2, 5] = -1
    assert np.array_equal(found, expected)
    assert (red_cells._whole(owner, peaks_of((0, 0, 9), (0, 8, 5))) == -1).all()


def test_a_pixel_falls_to_the_disc_that_it_lies_deepest_in():
    body = np.ones((30, 60), bool)
    depth = np.zeros((30, 60))
    peaks = peaks_of((15, 15, 9), (15, 25, 5))
    plain = red_cells._owner(body, depth, peaks, np.array([0, 1]), GRID)
    assert (plain[15, 15:21] == 0).all() and (plain[15, 21:26] == 1).all()  # the stronger at 20
    depth[15, 25] = 3.0
    larger = red_cells._owner(body, depth, peaks, np.array([0, 1]), GRID)
    assert np.flatnonzero(larger[15] == 1)[0] == 19
    reach = np.flatnonzero(plain[15] >= 0)
    assert (reach[0], reach[-1]) == (2, 38)  # 13 px are 6.5 um
    body[:, :15] = False
    cut = red_cells._owner(body, depth, peaks, np.array([0, -1]), GRID)
    assert (cut[:, :15] == -1).all() and not (cut == 1).any() and (cut == 0).any()


def test_groups_have_no_long_chains():
    """Each joins the strongest that it is paired with, two steps at most and within reach."""
    peaks = peaks_of((0, 0, 1), (0, 10, 2), (0, 20, 3), (0, 30, 4), (0, 90, 5))
    chain = np.array([[0, 1], [1, 2], [2, 3]])
    assert group(peaks, chain, 100).tolist() == [-1, 3, 3, 3, 4]
    assert group(peaks, chain, 20).tolist() == [-1, 3, 3, 3, 4]
    assert group(peaks, chain, 19.9).tolist() == [-1, -1, 3, 3, 4]
    assert group(peaks, chain[:0], 100).tolist() == [0, 1, 2, 3, 4]
    assert group(peaks, np.array([[0, 1], [3, 0], [2, 0]]), 100).tolist() == [3, 1, 2, 3, 4]


def test_the_lowest_value_on_the_way_from_either_end():
    values = np.arange(100, 0, -1).reshape(10, 10)
    values[5, 5] = -7
    peaks = peaks_of((0, 0, 1), (9, 9, 2), (0, 9, 3), (9, 0, 4), (2, 2, 1))
    pairs = np.array([[0, 1], [1, 0], [2, 3], [3, 2], [0, 2], [0, 4]])
    assert lowest_between(values, peaks, pairs).tolist() == [-7, -7, 10, 10, 91, 78]
    assert pairs_within(peaks_of((0, 0, 1)), 5).shape == (0, 2)
    two = peaks_of((0, 0, 1), (3, 4, 1))
    assert len(pairs_within(two, 5)) == 1 and len(pairs_within(two, 4.99)) == 0


def test_peaks_do_not_depend_on_where_the_array_begins():
    rng = np.random.default_rng(0)
    score = smooth(rng.integers(0, 255, (50, 60)), 3)
    assert score.dtype == np.int32 and np.array_equal(
        smooth(np.full((5, 5), 9), 2, 1), np.full((5, 5), 9 * 64)
    )
    flat = np.full((40, 40), 500, np.int32)
    whole = find_peaks(flat, 100, 200, 6, 500)
    part = find_peaks(flat[10:, 5:], 105, 210, 6, 500)
    assert len(whole) and len(find_peaks(flat, 100, 200, 6, 501)) == 0
    there = {(y, x) for y, x in zip(whole.y, whole.x, strict=True) if y >= 16 and x >= 11}
    here = {(y + 10, x + 5) for y, x in zip(part.y, part.x, strict=True) if y >= 6 and x >= 6}
    assert there == here
    found = find_peaks(score, 0, 0, 4, 9000)
    order = np.argsort(found.rank)
    assert (np.diff(found.score[order]) >= 0).all() and sorted(found.rank) == list(
        range(len(found))
    )


def test_a_part_that_holds_a_point_is_filled():
    mask = np.zeros((7, 12), bool)
    mask[1:6, 1:6], mask[3, 3], mask[2, 9] = True, False, True
    filled = white_cells._holding(mask, 1, 1)
    assert filled[3, 3] and filled.sum() == 25
    assert not white_cells._holding(mask, 3, 3).any()
    peaks = SimpleNamespace(y=np.array([5, 5]), x=np.array([2, 8]), rank=np.array([0, 1]))
    where = slice(0, 11), slice(0, 11)
    near = np.array([0, 1])
    own = white_cells._nearest(peaks, near, np.array([True, False]), where, 3)
    assert own[5].tolist() == [True] * 5 + [False] * 6  # at 5 the stronger one
    other = white_cells._nearest(peaks, near, np.array([False, True]), where, 3)
    assert other[5].tolist() == [False] * 5 + [True] * 6
    assert own[8, 2] and not own[9, 2]
