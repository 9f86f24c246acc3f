"""Kind and area of a cell as it was found count in its verdict."""

import json
from dataclasses import replace

import numpy as np
import pytest

from classify import SHIPPED, contradiction_of, judge, read_card, size_evidence
from classify.calibration import MeasuredCell, fit_sizes, measure_crops
from classify.model_card import Card, CellSize
from classify.verdict import UNIDENTIFIED
from ingest.synthetic.sprites import Sprite, glass, place, red_cell_sprite
from segment import fit_crop_stain, measure_middle
from tests.make import GLASS, BrightnessEngine, tiny_model, white_cell

SMALL = CellSize(log_mean=2.3, log_spread=0.6, white=0.3, cells=50)
LARGE = CellSize(log_mean=4.9, log_spread=0.3, white=0.98, cells=50)


def card_of(**sizes: CellSize) -> Card:
    made = tiny_model().card
    taxonomy = {
        "dark": {"parent": "dark"},
        "light": {"parent": "platelet"},
        "other": {"parent": "other"},
    }
    facts = json.loads(made.model_dump_json()) | {"taxonomy": taxonomy, "sizes": sizes}
    return Card(**facts)


def crop_with(diameter_um: float, seed: int = 0) -> np.ndarray:
    """A crop with one violet cell in its middle and red cells about it."""
    rng = np.random.default_rng(seed)
    mpp = 36 / 128
    crop = glass(128, 128, GLASS, rng)
    corners = [(20, 20), (105, 20), (20, 105), (105, 105)]
    reds = [Sprite(*red_cell_sprite(mpp, rng), x, y) for x, y in corners]
    place(crop, [*reds, Sprite(*white_cell(rng, mpp, radius_um=diameter_um / 2), 64, 64)])
    return crop


def test_a_large_white_cell_is_no_platelet_and_a_small_body_no_white_cell():
    card = card_of(dark=LARGE, light=SMALL)
    dark, light, other = size_evidence(card, "wbc", 130.0)
    assert dark == 0 == other and light < -5
    dark, light, other = size_evidence(card, "platelet", 8.0)
    assert light == 0 == other and dark < -5


def test_areas_do_not_tell_white_cells_from_each_other():
    larger = LARGE.model_copy(update={"log_mean": 5.4})
    card = card_of(dark=LARGE, other=larger, light=SMALL)
    for area_um2 in (60.0, 130.0, 300.0):
        dark, _, other = size_evidence(card, "wbc", area_um2)
        assert dark == other == 0


def test_a_cell_cut_by_a_seam_keeps_a_chance():
    card = card_of(dark=LARGE, light=SMALL)
    assert np.isfinite(size_evidence(card, "wbc", 1000.0)).all()
    assert size_evidence(card, "wbc", 0.4)[0] > -12


@pytest.mark.parametrize(("kind", "area_um2"), [("rbc", 40.0), ("wbc", 0.0)])
def test_what_is_not_measured_says_nothing(kind, area_um2):
    assert not size_evidence(card_of(dark=LARGE), kind, area_um2).any()
    assert not size_evidence(tiny_model().card, "wbc", 130.0).any()


def test_what_remains_is_a_contradiction_and_unidentified():
    card = card_of(dark=LARGE, light=SMALL)
    assert "found as a white cell of 130 um2" in contradiction_of(card, "wbc", 130.0, "light")
    assert "found as a platelet" in contradiction_of(card, "platelet", 9.0, "dark")
    assert "hardly ever" in contradiction_of(card, "wbc", 12.0, "dark")
    for kind, label in (("wbc", "dark"), ("platelet", "other"), ("rbc", "light")):
        assert contradiction_of(card, kind, 130.0, label) == ""
    assert contradiction_of(card, "platelet", 9.0, "light") == ""


def test_a_large_platelet_that_was_found_as_a_white_cell_is_no_contradiction():
    sizes = read_card(SHIPPED).sizes
    card = card_of(dark=sizes["lymphocyte"], light=sizes["platelet"])
    for area_um2 in (22.5, 40.0, 64.9):
        assert contradiction_of(card, "wbc", area_um2, "light") == ""
    for area_um2 in (90.0, 110.0, 130.0):
        assert "found as a white cell" in contradiction_of(card, "wbc", area_um2, "light")
    unmeasured = card_of(dark=LARGE)
    assert "found as a white cell" in contradiction_of(unmeasured, "wbc", 30.0, "light")


def test_the_judge_takes_the_evidence_into_the_posterior():
    rng = np.random.default_rng(0)
    model = tiny_model()
    crops = [
        (n, np.clip(rng.normal(118, 12, (128, 128, 3)), 0, 255).astype(np.uint8)) for n in range(6)
    ]
    plain = dict(judge(crops, BrightnessEngine(), model))
    none = dict(judge(crops, BrightnessEngine(), model, evidence=lambda _: np.zeros(3)))
    assert none == plain
    against = np.array([0.0, -50.0, 0.0])
    told = dict(judge(crops, BrightnessEngine(), model, evidence=lambda _: against))
    assert all(verdict.scores["light"] < 1e-6 for verdict in told.values())
    assert any(verdict.scores["light"] > 0.01 for verdict in plain.values())
    verdict = replace(plain[0], contradiction="found as a platelet")
    assert verdict.outcome == UNIDENTIFIED


def test_sizes_are_fitted_on_crops_as_the_finder_sees_them():
    large = [crop_with(13.0, seed) for seed in range(12)]
    small = [crop_with(9.0, seed) for seed in range(12)]
    images = np.stack(large + small)
    allowed = [("dark", "light")] * 12 + [("light",)] * 12
    cells = measure_crops(images, allowed, np.zeros(24, int))
    sizes = fit_sizes(cells)
    assert np.exp(sizes["dark"].log_mean) == pytest.approx(np.pi * 6.5**2, rel=0.25)
    assert sizes["light"].log_mean < sizes["dark"].log_mean and sizes["light"].cells > 12
    assert sizes["dark"].white > 0.9


def test_laboratories_count_alike_and_few_cells_are_no_class():
    def cells(count: int, laboratory: int, area_um2: float) -> list[MeasuredCell]:
        return [MeasuredCell(("dark",), laboratory, "wbc", area_um2)] * count

    found = fit_sizes(cells(90, 0, 100.0) + cells(10, 1, 400.0) + cells(3, 2, 5.0))
    assert np.exp(found["dark"].log_mean) == pytest.approx(200.0, rel=0.01)
    assert fit_sizes(cells(3, 0, 100.0)) == {}


def test_a_crop_without_a_cell_is_left_out():
    stain = fit_crop_stain([crop_with(13.0)])
    assert measure_middle(np.full((128, 128, 3), GLASS, np.uint8), stain) is None
    kind, area_um2 = measure_middle(crop_with(13.0), stain)
    assert kind == "wbc" and area_um2 == pytest.approx(133, rel=0.25)
