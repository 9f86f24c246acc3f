"""Every cell that is found in three crowded fields, and all that is measured on it."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ingest import Tile, background_of
from segment import (
    RedCrops,
    Stain,
    cell_labels,
    cell_masks,
    find_cells,
    fit_crop_stain,
    fit_stain,
    measure_field,
    measure_middle,
    outline,
    summary_of,
)
from segment.grid import work_grid
from segment.kinds import KIND_NAMES, StainSignals
from tests.golden_figures import GoldenFile, summed
from tests.segment.smears import crowd, cut, disc, glass, red_cell, white_cell

RED = (196, 140, 150)


def long_and_joined() -> np.ndarray:
    """Long, touching and overlapping red cells, target cells, smudges, on uneven glass."""
    rng = np.random.default_rng(11)
    image = glass(420, 420)
    for x, y in rng.integers(10, 410, (34, 2)):
        red_cell(image, x, y)
        if rng.random() < 0.5:
            turn = rng.uniform(0, np.pi)
            for step in np.linspace(-9, 9, 7):
                disc(image, x + step * np.cos(turn), y + step * np.sin(turn), 2.4, RED)
        elif rng.random() < 0.4:
            disc(image, x, y, 2.6, (226, 205, 205))
            disc(image, x, y, 0.9, RED)
    for x, y in rng.integers(30, 390, (5, 2)):
        disc(image, x, y, 8.0, (186, 160, 200))
    for x, y in rng.integers(30, 390, (10, 2)):
        white_cell(image, x, y, 3.6, 2)
    for x, y in ((70, 350), (340, 60)):  # smudges: a pale net of nuclear stain
        net = rng.random((90, 90)) < 0.5
        rows, cols = np.nonzero(net & (np.hypot(*np.mgrid[-45:45, -45:45]) < 34))
        image[y - 45 + rows, x - 45 + cols] = (150, 120, 185)
    light = (
        1 - 0.12 * np.linspace(0, 1, 420)[None, :, None] * np.linspace(0.3, 1, 420)[:, None, None]
    )
    noisy = image * light + rng.normal(0, 4, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


@cache
def field(name: str) -> tuple[Tile, Stain]:
    """A tile and its stain: one as it is, one read finer, one at which two pixels make one."""
    image = {"crowd": lambda: crowd(5), "blots": lambda: crowd(8), "long": long_and_joined}[name]()
    (tile,) = cut(image, 420, {"crowd": 1, "blots": 3, "long": 1}[name])
    if name == "long":
        tile = replace(tile, mpp=0.24)
    background = background_of(image.reshape(-1, 3))
    return tile, fit_stain([image, image[:200, 100:]], background, tile.mpp)


FIELDS = ["crowd", "blots", "long"]


@pytest.mark.parametrize("name", FIELDS)
def test_cells_are_found_where_they_were(golden: GoldenFile, name: str) -> None:
    tile, stain = field(name)
    signals = StainSignals(work_grid(tile), stain)
    cells = find_cells(tile, stain, "slide", KIND_NAMES)
    figures = {
        "stain": stain,
        "white": signals.white,
        "stained": signals.stained,
        "red": signals.red,
        "taken": signals.taken,
        "cells": [
            [c.cell_id, c.kind, c.x_px0, c.y_px0, *c.box_px0, c.area_um2, round(c.crop.mean(), 6)]
            for c in cells
        ],
        "crops": summed(np.stack([cell.crop for cell in cells])),
    }
    golden(f"cells-{name}", figures)


@pytest.mark.parametrize("name", FIELDS)
def test_red_cells_of_a_field_measure_what_they_did(golden: GoldenFile, name: str) -> None:
    tile, stain = field(name)
    size = {"crowd": (400, 420), "blots": (1260, 1200), "long": (420, 420)}[name]
    found = measure_field(tile, stain, size, RedCrops(10.0, 40, 7))
    plain_field = measure_field(tile, stain)
    figures = {
        "field": replace(found, reds=()),
        "reds": [
            [r.x_px0, r.y_px0, *r.box_px0, r.area_um2, r.diameter_um, r.roundness, r.pallor]
            for r in found.reds
        ],
        "whole, separate": [[r.whole, r.separate] for r in found.reds],
        "whole without the size of the slide": sum(r.whole for r in plain_field.reds),
        "not cut out": [plain_field.crops, list(plain_field.judged)],
        "together": summary_of([found, replace(found, reds=found.reds[:9], mm2=0.02)]),
    }
    golden(f"red-cells-{name}", figures)


@pytest.mark.parametrize("name", FIELDS)
def test_masks_of_crops_cover_what_they_did(golden: GoldenFile, name: str) -> None:
    tile, stain = field(name)
    cells = [c for c in find_cells(tile, stain, "slide", ("wbc", "platelet"))][:12]
    crop_stain = fit_crop_stain([cell.crop for cell in cells])
    figures = []
    for cell in cells:
        masks = [*cell_masks(cell.crop), *cell_masks(cell.crop, stain)]
        line = outline(masks[3])
        figures.append(
            {
                "px": [int(mask.sum()) for mask in masks],
                "labels": np.bincount(cell_labels(cell.crop, cell.kind, stain).ravel()),
                "whole": summed(masks[1])["along"],
                "nucleus": summed(masks[2])["along"],
                "middle": measure_middle(cell.crop, crop_stain),
                "outline": [len(line), float(np.abs(np.diff(line, axis=0)).sum()), *line[:2]]
                if line is not None
                else None,
            }
        )
    golden(f"masks-{name}", {"stain of the crops": crop_stain, "crops": figures})
