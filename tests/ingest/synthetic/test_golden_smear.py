"""What made smears consist of: every white cell's place, and the pixels of each strip."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from ingest.synthetic import LOOKS, Layer, Sprite, Synthetic, glass, place, red_cell_sprite
from ingest.synthetic.smear import SyntheticError
from ingest.synthetic.smear_file import absorb, strips, tile_row, tiles, write_synthetic
from tests.golden_figures import GoldenFile
from tests.make import white_cell

MPP = 0.5
PIXELS = 1e-4  # a processor may round a pixel otherwise


def layers() -> list[Layer]:
    rng = np.random.default_rng(4)
    found = []
    for label, radius in (("lymphocyte", 5.0), ("monocyte", 7.5)):
        rgb, alpha = white_cell(rng, MPP, radius)
        light = 1 - alpha[..., None] * (1 - rgb / np.float32(255))
        found.append(Layer(light, label, image=f"{label}.png"))
    covering = Layer(found[1].light, "blast", cover=np.float32(0.8) * found[1].light, apart_um=12.0)
    return [*found, covering]


PLANS = {
    "drawn": Synthetic(900, 700, MPP, layers(), whites_per_mm2=260.0, seed=5),
    "scratched": Synthetic(
        700,
        800,
        0.4,
        layers(),
        look=LOOKS["giemsa"],
        thin=0.2,
        thick=2.5,
        scratches=2,
        blurred=0.4,
        seed=6,
        whites_per_mm2=400.0,
    ),
    "each once": Synthetic(900, 700, MPP, layers() * 2, look=LOOKS["pale"], each_once=True),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_smear_is_made_of_the_same_cells(golden: GoldenFile, name: str) -> None:
    smear = PLANS[name]
    found = list(strips(smear))
    reds = smear.reds()
    figures = {
        "patch_px": smear.patch_px,
        "sown": [[*at, layer.label] for at, layer in smear.sown.items()]
        if smear.each_once
        else None,
        "strips": [pixels for pixels, _ in found],
        "cells": [[[c.label, c.x_px0, c.y_px0, c.side_px0, c.image] for c in s] for _, s in found],
        "reds": [len(reds), *(red.light for red in reds[:3])],
        "layers": [
            [len(all_of := smear.layers_of(row, 1, reds)), *[list(one[:2]) for one in all_of[-3:]]]
            for row in range(3)
        ],
        "scratches": [smear.scratch_x(n, np.arange(0, 700, 100)) for n in range(smear.scratches)],
    }
    golden(f"smear-{name.replace(' ', '-')}", figures, rel=PIXELS, least=1e-6)


def test_a_written_smear_has_its_levels_and_its_truth(golden: GoldenFile, tmp_path: Path) -> None:
    smear = replace(PLANS["drawn"], width_px=2200, height_px=1100, mpp=0.45)
    steps: list[tuple[int, int]] = []
    count = write_synthetic(tmp_path / "s.tiff", smear, lambda *done: steps.append(done))
    with tifffile.TiffFile(tmp_path / "s.tiff") as file:
        pages = [
            {
                "pixels": page.asarray(),
                "um per px": 1e4
                * page.tags["XResolution"].value[1]
                / page.tags["XResolution"].value[0],
                "unit": page.tags["ResolutionUnit"].value,
                "tile": [page.tilewidth, page.tilelength],
                "reduced": page.subfiletype,
                "compression": page.compression,
                "bytes": sum(page.databytecounts) > 1000,
            }
            for page in file.pages
        ]
    truth = (tmp_path / "s.tiff.truth.jsonl").read_text().splitlines()
    figures = {
        "count": count,
        "steps": steps,
        "levels": pages,
        "truth": [list(json.loads(line).values()) for line in truth],
    }
    golden("smear-file", figures, rel=1e-3, least=2e-3)


def test_red_cells_and_what_is_placed_on_glass(golden: GoldenFile) -> None:
    rng = np.random.default_rng(9)
    sprites = [red_cell_sprite(mpp, rng) for mpp in (0.25, 0.5, 0.1)]
    canvas = glass(60, 90, (246, 240, 230), rng)
    bare = canvas.copy()
    places = [(20, 20), (0, 30), (89, 59), (-200, 10), (60, -3)]
    place(canvas, [Sprite(*sprites[1], x, y) for x, y in places])
    figures = {"sprites": sprites, "glass": bare, "canvas": canvas}
    golden("sprites", figures, rel=PIXELS, least=1e-6)


def test_a_layer_is_cut_where_it_leaves_the_strip() -> None:
    """Densities add up where a layer covers nothing; else it takes the place of what is there."""
    light = np.full((3, 5, 1), 0.5, np.float32)
    dark = np.full((4, 5, 1), 0.25, np.float32)
    left, whole, none = light.copy(), light.copy(), light.copy()
    absorb(left, Layer(dark, "x"), 0, 0)
    assert left[..., 0].tolist() == [[0.125] * 3 + [0.5] * 2] * 2 + [[0.5] * 5]
    absorb(whole, Layer(dark, "x", cover=np.full((4, 5, 1), 0.5, np.float32)), 4, 3)
    assert whole[..., 0].tolist() == [[0.5] * 5] + [[0.5] * 2 + [0.375] * 3] * 2
    for x, y in ((-3, 1), (8, 1), (2, -2), (2, 5)):
        absorb(none, Layer(dark, "x"), x, y)
        assert (none == light).all()


def test_strips_become_tiles_filled_up_with_white() -> None:
    rows = [np.full((300, 600, 3), tone, np.uint8) for tone in (10, 20, 30, 40)]
    made = list(tiles(iter(rows), 600))
    assert [tile.shape for tile in made] == [(512, 512, 3)] * 6
    column = np.concatenate([tile[:, 0, 0] for tile in made[::2]])
    assert column.tolist() == [t for t in (10, 20, 30, 40) for _ in range(300)] + [255] * 336
    assert [int(tile[0, 87, 1]) for tile in made[1::2]] == [10, 20, 40]
    assert [int(tile[0, 88, 1]) for tile in made[1::2]] == [255, 255, 255]
    assert len(list(tiles(iter([rows[0][:256], rows[1][:256]]), 600))) == 2
    assert [part.shape for part in tile_row(rows[0][:1, :512], 512)] == [(1, 512, 3)]


def test_more_cells_than_there_is_room_for_are_refused() -> None:
    smear = Synthetic(600, 500, 0.5, layers() * 4, each_once=True)
    assert len(replace(smear, whites=layers() * 2).sown) == 6
    assert smear.patch_px == 256 and Synthetic(600, 500, 4.0, []).patch_px == 64
    with pytest.raises(SyntheticError) as refused:
        _ = smear.sown
    assert refused.value.what == "12 white cells do not fit on 600 x 500 px"
    assert refused.value.hint == "make it larger: a cell needs 128 px a side"
