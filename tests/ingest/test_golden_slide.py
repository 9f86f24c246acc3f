"""All that is read of a slide before its cells are found: facts, first look, map, tiles, views."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ingest import (
    Slide,
    SmearMap,
    SmearZone,
    Tile,
    TileSpec,
    associated_image,
    background_of,
    battlement,
    map_smear,
    open_slide,
    plan_tiles,
    read_grid,
    read_tile,
    sample_fields,
    seams_of,
    stain_samples,
    step_px0,
    survey_slide,
    thumbnail,
    view_levels,
    view_tile,
    whole_field,
)
from ingest.errors import SlideError
from ingest.readers.black_fill import without_black
from ingest.readers.reader import TiffReader, levels_for, places, reader_of, whole_step_px0
from ingest.scale import settled_mpp
from ingest.slide import Level
from ingest.smear_map import edge_width_px, middle_of
from ingest.survey import look_step_px0, look_threshold
from ingest.synthetic import Layer, Synthetic, write_synthetic
from tests.golden_figures import GoldenFile, summed
from tests.make import white_cell

DECODED = {"rel": 1e-4, "least": 1e-4}  # decoders of JPEG may differ by a grey level


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    """2 by 1.2 mm from thin to thick, with a scratch, the last third out of focus."""
    rgb, alpha = white_cell(np.random.default_rng(0), 0.5)
    light = 1 - alpha[..., None] * (1 - rgb / np.float32(255))
    path = tmp_path_factory.mktemp("slide") / "smear.tiff"
    smear = Synthetic(
        4000,
        2400,
        0.5,
        [Layer(light, "lymphocyte")],
        thin=-0.6,
        thick=2.2,
        scratches=1,
        blurred=0.3,
        seed=2,
    )
    write_synthetic(path, smear)
    return open_slide(path)


def test_the_facts_of_a_slide(golden: GoldenFile, slide: Slide) -> None:
    facts = {
        name: getattr(slide, name)
        for name in ("width_px0", "height_px0", "mpp", "levels", "vendor", "scanner", "reader")
    }
    figures = {
        **facts,
        "origin": slide.origin_px0,
        "steps": [step_px0(slide), step_px0(slide, 1.2), look_step_px0(slide)],
        "whole steps": [whole_step_px0(slide, wanted) for wanted in (0.5, 1, 3.9, 4, 16, 99)],
        "levels for": [levels_for(slide, step) for step in (1, 2, 4, 8, 16, 3)],
        "compared": list(places(slide)),
        "fast": isinstance(reader_of(slide), TiffReader),
        "digits": [len(slide.slide_id), len(slide.file_state)],
    }
    golden("slide-facts", figures)


def test_the_first_look_and_the_map(golden: GoldenFile, slide: Slide) -> None:
    seen = survey_slide(slide)
    found = map_smear(slide, seen)
    figures = {
        "block_px0": seen.smear.block_px0,
        "glass": seen.smear.background_rgb,
        "look": seen.smear.look,
        "density": seen.density,
        "stained": seen.stained,
        "zones": {zone.name: found.area_mm2(zone) for zone in SmearZone},
        "ground": found.ground,
        "edge_um": found.edge_um,
        "block_um": found.block_um,
        "stain": found.stain,
        "problems": found.problems(),
        "path": battlement(found),
        "fields": [field.box_px0 for field in sample_fields(slide, found)],
        "margin": [sample_fields(slide, found)[0].margin_px0, whole_field(slide)],
        "samples": [len(stain_samples(slide, seen)), np.stack(stain_samples(slide, seen))],
        "few samples": np.stack(stain_samples(slide, seen, 5)),
        "thumbnail": [thumbnail(slide, 300), thumbnail(slide).shape],
    }
    golden("slide-map", figures, **DECODED)


def test_tiles_and_views_show_what_they_did(golden: GoldenFile, slide: Slide) -> None:
    seen = survey_slide(slide)
    specs = list(plan_tiles(slide, seen.smear, 1000))
    box = (-30, 2000, 500, 2500)
    views = [(level, 0, 0) for level in (0, 5, 9)] + [(12, 3, 2), (12, 15, 9)]
    figures = {
        "tiles": [[*spec.box_px0, spec.margin_px0, spec.step_px0] for spec in specs],
        "coarse": [list(s.box_px0) for s in plan_tiles(slide, seen.smear, 500, 2.0)],
        "first": read_tile(slide, specs[0], (9, 8, 7)).pixels,
        "last": read_tile(slide, specs[-1]),
        "beyond": [read_grid(slide, box, step, (1, 200, 3)) for step in (1, 2, 10)],
        "outside": read_grid(slide, (-40, -40, 0, -20), 4, (1, 200, 3)),
        "views": [np.asarray(Image.open(io.BytesIO(view_tile((slide, *v))))) for v in views],
        "view levels": view_levels(slide),
    }
    golden("slide-tiles", figures, **DECODED)


@pytest.mark.parametrize(
    "place", [(-1, 0, 0), (13, 0, 0), (12, 16, 0), (12, 0, 10), (12, -1, 0), (12, 0, -1)]
)
def test_a_view_outside_of_the_slide(slide: Slide, place: tuple[int, int, int]) -> None:
    with pytest.raises(SlideError) as refused:
        view_tile((slide, *place))
    level, column, row = place
    assert refused.value.what == f"no tile ({column}, {row}) of level {level}"
    assert refused.value.hint == "ask for one within the slide"


def test_a_picture_that_is_not_there(slide: Slide) -> None:
    with pytest.raises(SlideError) as refused:
        associated_image((slide, "label"))
    assert refused.value.what == f"{slide.path}: no label image"
    assert refused.value.hint == "not every scanner stores one"


@pytest.mark.parametrize("mpp", [0.25, 0.5, 4.0])
def test_black_filling_its_edge_and_its_shade_are_white(golden: GoldenFile, mpp: float) -> None:
    """A field seen through an eyepiece: black around it, a grey shade at its rim, dark nuclei."""
    side = 240
    rows, cols = np.mgrid[:side, :side]
    away = np.hypot(rows - side / 2, cols - side / 2) * min(mpp, 0.5)
    pixels = np.stack([np.clip((56 - away) * 12, 0, 235)] * 3, axis=-1)
    pixels[..., 2] -= np.where(away < 30, 40, 0)
    for x, size_um in ((70, 8.5), (120, 9.9), (165, 12.0)):
        half = round(size_um / mpp / 2)
        pixels[120 - half : 120 + half, x - half : x + half] = (31, 10, 31)
    pixels[40:44, 110:130] = (150, 150, 172)
    found = without_black(pixels.astype(np.uint8), mpp)
    white = (found == 255).all(axis=2)
    untouched = np.full((60, 60, 3), (32, 31, 31), np.uint8)
    figures = {
        "white": [int(white.sum()), summed(white)["along"]],
        "rows": [np.flatnonzero(white[row])[[0, -1]].tolist() for row in (0, 30, 60)],
        "line": "".join("-#"[int(one)] for one in white[120]),
        "pixels": found,
        "as dark as stain": bool(np.array_equal(without_black(untouched, mpp), untouched)),
    }
    golden(f"black-fill-{mpp}", figures)


def test_seams_lie_where_the_image_jumps(golden: GoldenFile) -> None:
    rng = np.random.default_rng(3)
    figures = {}
    for name, jump, noise in (("faint", 5, 1), ("clear", 14, 1), ("noisy", 30, 4)):
        pixels = 200 + rng.normal(0, noise, (180, 220, 1)) + np.zeros(3)
        pixels[:, 90:] += jump
        pixels[70:, :] -= jump
        pixels[:80, 150:] += jump
        pixels[:, 3:] += jump
        spec = TileSpec(300, 600, 500, 400, 20, 3)
        tile = Tile(spec, pixels.clip(0, 255).astype(np.uint8), 280, 580, 0.5)
        seams = seams_of(tile)
        figures[name] = seams
        boxes = [(550 + dx, 0, 560 + dx, 10) for dx in (-15, -14, -13, -12, 2, 3, 4)]
        figures[f"{name} cut"] = [seams.cut(box, 3) for box in boxes]
    narrow = Tile(TileSpec(0, 0, 8, 90, 0, 1), pixels[:90, 86:94].astype(np.uint8), 0, 0, 0.5)
    figures["narrow"] = seams_of(narrow)
    golden("seams", figures)


def test_a_path_like_the_top_of_a_wall() -> None:
    """Lanes of 6 blocks up, across at the top, down, across at the bottom, 60 blocks high."""
    ground = np.full((130, 30), SmearZone.MONOLAYER, np.uint8)
    path = battlement(SmearMap(ground, np.ones(ground.shape), 50.0, 0.5))
    drawn = ["".join("-#"[int(one)] for one in path[row, ::6]) for row in (0, 5, 6, 53, 54, 59)]
    assert drawn == ["###-#", "###-#", "#-#-#", "#-#-#", "#-###", "#-###"]
    assert not path[60:120].any() and np.array_equal(path[120:], path[:10])
    assert "".join("-#"[int(one)] for one in path[30]) == ("#" * 6 + "-" * 6) * 2 + "#" * 6


@pytest.mark.parametrize(
    ("zones", "stain", "problems"),
    [
        ({}, 0.5, ["nothing lies on the glass"]),
        ({"MONOLAYER": 400}, 0.12, []),
        (
            {"MONOLAYER": 400},
            0.119,
            ["pale stain: the darkest places have an optical density of 0.12"],
        ),
        ({"MONOLAYER": 81, "THICK": 319}, 0.5, []),
        (
            {"MONOLAYER": 79, "THICK": 321},
            0.5,
            ["only 0.20 mm2 of monolayer: most is too thick"],
        ),
        ({"MONOLAYER": 20, "THIN": 380}, 0.5, ["only 0.05 mm2 of monolayer: most is too thin"]),
        ({"MONOLAYER": 200, "BLURRED": 200}, 0.5, []),
        ({"MONOLAYER": 199, "BLURRED": 201}, 0.5, ["50% of the smear is out of focus"]),
    ],
)
def test_what_is_wrong_with_a_smear(
    zones: dict[str, int], stain: float, problems: list[str]
) -> None:
    ground = np.zeros(900, np.uint8)
    start = 0
    for name, count in zones.items():
        ground[start : start + count] = SmearZone[name]
        start += count
    found = SmearMap(ground.reshape(30, 30), np.ones((30, 30)), 50.0, stain)
    assert found.problems() == problems


def test_much_monolayer_is_enough_however_large_the_smear() -> None:
    ground = np.full((100, 100), SmearZone.THICK, np.uint8)
    ground[:4] = SmearZone.MONOLAYER
    assert SmearMap(ground, np.ones((100, 100)), 50.0, 0.5).problems() == []
    ground[0, 0] = SmearZone.THICK
    assert len(SmearMap(ground, np.ones((100, 100)), 50.0, 0.5).problems()) == 1


def test_fields_are_spread_over_the_monolayer_alone() -> None:
    """Squares of 195 um, four blocks of 50 um, of which four fifths can be read."""
    slide = Slide("s", Path("x"), 4000, 3000, 0.5, (Level(4000, 3000, 1.0),), "", "", "image")
    ground = np.full((30, 40), SmearZone.THICK, np.uint8)
    ground[4:12, 8:20] = SmearZone.MONOLAYER
    ground[4, 8:11] = SmearZone.THIN  # 13 of 16
    ground[8, 12:16] = SmearZone.THIN  # 12 of 16
    found = SmearMap(ground, np.ones(ground.shape), 50.0, 0.5)
    fields = sample_fields(slide, found)
    corners = [(800, 400), (1200, 400), (1600, 400), (800, 800), (1600, 800)]
    assert [field.box_px0[:2] for field in fields] == corners
    assert {(f.width_px0, f.height_px0, f.margin_px0, f.step_px0) for f in fields} == {
        (390, 390, 80, 1)
    }
    assert [f.box_px0[:2] for f in sample_fields(slide, found, 2)] == [corners[0], corners[-1]]
    narrow = SmearMap(ground[:3], np.ones((3, 40)), 50.0, 0.5)
    assert sample_fields(slide, narrow) == []
    small = Slide("s", Path("x"), 780, 300, 0.5, (Level(780, 300, 1.0),), "", "", "image")
    assert sample_fields(small, found) == [TileSpec(0, 0, 780, 300, 80, 1)]
    larger = Slide("s", Path("x"), 781, 300, 0.5, (Level(781, 300, 1.0),), "", "", "image")
    assert len(sample_fields(larger, found)) == 5


@pytest.mark.parametrize("block_um", [30.0, 42.0, 50.0, 61.0])
def test_no_cell_is_of_two_fields(block_um: float) -> None:
    """Else it is counted twice, and its second crop is lost behind the first."""
    slide = Slide("s", Path("x"), 4000, 3000, 0.5, (Level(4000, 3000, 1.0),), "", "", "image")
    found = SmearMap(np.full((30, 40), SmearZone.MONOLAYER), np.ones((30, 40)), block_um, 0.5)
    taken = np.zeros((3000, 4000), int)
    for field in sample_fields(slide, found, 100):
        x0, y0, x1, y1 = field.box_px0
        taken[y0:y1, x0:x1] += 1
    assert taken.max() == 1


def test_the_glass_is_the_bright_fifth_that_is_not_blown_out() -> None:
    tones = np.arange(100)[:, None] + np.array([100, 90, 80])
    assert background_of(tones) == (189, 179, 169)
    for blown in ((254, 254, 254), (255, 255, 255), (0, 0, 0)):
        most = np.concatenate([tones, np.full((1880, 3), blown)])
        assert background_of(most) == (189, 179, 169)
    nearly = np.concatenate([tones, np.full((40, 3), (254, 254, 253))])
    assert background_of(nearly) == (254, 254, 253)
    all_blown = np.concatenate([tones, np.full((1920, 3), 255)])
    assert background_of(all_blown) == (255, 255, 255)


def test_how_wide_an_edge_is(golden: GoldenFile) -> None:
    rng = np.random.default_rng(5)
    figures = {}
    for contrast in (11, 18, 90):
        tones = 150 + contrast / (1 + np.exp(-(np.arange(96) - 40) / 3))
        image = np.broadcast_to(tones[None, :, None], (96, 96, 3)) + rng.normal(0, 1, (96, 96, 1))
        figures[str(contrast)] = edge_width_px(image)
    mask = np.zeros((6, 9), bool)
    mask[1, 1] = mask[4, 6] = mask[5, 3] = True
    figures["middle"] = middle_of(mask)
    tones = [[168 + n, 150, 200 + n % 3] for n in range(9)]
    samples = np.array([*tones, *[[90, 60, 150]] * 4, *[[240, 206, 230]] * 9])
    glass = (240, 235, 230)
    figures["looked for"] = [
        look_threshold(np.array(s, np.uint8), glass) for s in (samples, samples[9:], samples[5:])
    ]
    golden("edges", figures)


@pytest.mark.parametrize(
    ("stated", "mpp", "override", "settled"),
    [
        ((0.25, 0.25), None, None, 0.25),
        ((0.25, 0.2549), None, None, 0.25),
        ((0.2549, 0.25), None, None, 0.2549),
        ((0.25, 0.25), 0.5, None, 0.25),
        ((0.25, 0.25), 0.5, 0.3, 0.3),
        ((1.0, 1.0), None, None, 1.0),
        ((0.02, 0.02), None, None, 0.02),
        ((353.0, 353.0), 0.5, None, 0.5),
        ((0.25, 353.0), 0.5, None, 0.5),
        (None, 0.5, None, 0.5),
    ],
)
def test_which_scale_counts(
    stated: tuple[float, float] | None, mpp: float | None, override: float | None, settled: float
) -> None:
    assert settled_mpp(Path("s"), stated, mpp, override) == settled


@pytest.mark.parametrize(
    ("stated", "mpp", "override", "what", "hint"),
    [
        (
            None,
            None,
            None,
            "s: does not say its um per pixel",
            "give --mpp, 0.25 for most 40x scanners",
        ),
        (
            (0.25, 0.2552),
            None,
            None,
            "s: pixels of 0.25 x 0.2552 um, which are not square",
            "resample it to square pixels, or give the true scale with --mpp-override",
        ),
        (
            (1.01, 1.01),
            None,
            None,
            "s: 1.01 um per pixel is what no microscope has",
            "give the true one with --mpp",
        ),
        (
            (0.25, 0.25),
            None,
            0.019,
            "s: 0.019 um per pixel is what no microscope has",
            "give the true one with --mpp",
        ),
        (
            (0.25, 0.25),
            2.0,
            0.3,
            "s: 2 um per pixel is what no microscope has",
            "give the true one with --mpp",
        ),
    ],
)
def test_a_scale_that_cannot_be_says_so(
    stated: tuple[float, float] | None,
    mpp: float | None,
    override: float | None,
    what: str,
    hint: str,
) -> None:
    with pytest.raises(SlideError) as refused:
        settled_mpp(Path("s"), stated, mpp, override)
    assert (refused.value.what, refused.value.hint) == (what, hint)
