"""The figures of the pictures of the command line: any part of them that moves is seen."""

from types import SimpleNamespace

import numpy as np

from ingest import SmearMap, SmearZone
from stream.cli.pictures import explanation_sheet, sheet_of, smear_map


def test_the_sheet_of_an_explanation(golden):
    rng = np.random.default_rng(3)
    seen = rng.integers(0, 255, (12, 12, 3), dtype=np.uint8)
    heat = rng.normal(0, 1, (2, 12, 12)).astype(np.float32)
    other = rng.integers(0, 255, (2, 12, 12, 3), dtype=np.uint8)
    why = SimpleNamespace(classes=("blast", "monocyte"), heat=heat, counterfactual=other, seen=seen)
    near = {"blast": [(0.256, seen[:8, :8], "a"), (1.5, other[0], "b")], "monocyte": []}
    over = explanation_sheet.overlay(seen, heat[0], 1.0)
    sheet = sheet_of(why, near)
    tile = explanation_sheet.captioned(seen, "a")
    figures = {
        "scale": explanation_sheet.scale_of(heat),
        "over": over.ravel(),
        "corner": over[0, :3].ravel(),
        "no heat": explanation_sheet.overlay(seen, heat[0], 0.0)[0, :3].ravel(),
        "tile": {"whole": tile, "caption": tile[:16, :40]},
        "rows": [sheet[:208], sheet[208:]],
        "columns": [sheet[:, at : at + 192] for at in range(0, sheet.shape[1], 192)],
        "alone": sheet_of(why),
    }
    golden("explanation_sheet", figures)


def test_the_map_of_a_smear(golden):
    ground = np.tile(np.array(list(SmearZone)), (4, 2))
    path = np.zeros(ground.shape, bool)
    path[1:4, 2:7] = True
    slide = np.random.default_rng(4).integers(0, 255, (83, 611, 3), dtype=np.uint8)
    found = SmearMap(ground, np.zeros(ground.shape), 500.0, 0.5)
    picture = np.asarray(smear_map.draw(slide, found, path))
    legend = picture[83:]
    ends = [legend[:, at : at + 60] for at in range(0, 600, 60)]
    golden("smear_map", {"map": picture[:83], "legend": ends, "columns": legend[13, ::10].ravel()})
