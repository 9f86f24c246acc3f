"""The red cells of a slide: shares, intervals, grades and names at both sides of each limit, and
what is stored of made-up fields.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binomtest

from ingest import SlideError
from segment import RedCell, RedField
from stream.config import RedCells
from stream.run import red_cells
from stream.run.red_cells import (
    RedFields,
    RedJudge,
    begin_red_fields,
    kind_figures,
    platelet_figures,
    read_red_cells,
)
from stream.run.red_morphology import (
    JudgedRed,
    estimates_of,
    grade_of,
    leading_finding,
    relative_label,
    relative_to_normal,
    shares_of_counts,
    wilson_interval,
)
from tests.make import BrightnessEngine, tiny_model


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(("count", "of"), [(0, 10), (3, 10), (10, 10), (17, 2000), (1, 1)])
def test_an_interval_is_that_of_scipy(count, of, level):
    found = binomtest(count, of).proportion_ci(level, method="wilson")
    assert wilson_interval(count, of, level) == pytest.approx((found.low, found.high), abs=1e-12)


def red(area=40.0, pallor=0.2, place=0, roundness=0.9):
    return RedCell(
        place, place, area, roundness, pallor, box_px0=(place, place, place + 9, place + 8)
    )


@pytest.mark.parametrize(
    ("area", "pallor", "name"),
    [
        (58.0, 0.2, "normal"),
        (58.1, 0.2, "macrocyte"),
        (27.6, 0.2, "normal"),
        (27.5, 0.2, "microcyte"),
        (40.0, 0.45, "normal"),
        (40.0, 0.46, "hypochromic"),
        (58.1, 0.9, "macrocyte"),
    ],
)
def test_a_normal_cell_is_named_against_the_slide_s_own(area, pallor, name):
    assert relative_label(red(area, pallor), 40.0, 0.2) == name
    usual = [JudgedRed(red(), "normal", 0.9, 0.1)] * 20
    other = [JudgedRed(red(99), "schistocyte", 0.9, 0.1)] * 30
    one = JudgedRed(red(area, pallor), "normal", 0.8, 0.2)
    found = relative_to_normal([one, *usual, *other])
    assert found[0].label == name and found[0].probability == 0.8
    assert {cell.label for cell in found[1:]} == {"normal", "schistocyte"}
    few = [one, *usual[:18], *other]
    assert relative_to_normal(few) == few


def test_shares_grades_and_what_leads(golden):
    counts = {
        "mixed": {"normal": 700, "macrocyte": 120, "microcyte": 55, "schistocyte": 11, "other": 90},
        "shapes": {"normal": 100, "spherocyte": 5, "teardrop": 5, "schistocyte": 1, "ovalocyte": 3},
        "one": {"schistocyte": 1},
        "none": {"other": 7, "normal": 0},
    }
    found = {name: shares_of_counts(one) for name, one in counts.items()}
    settings = RedCells(platelet_factor=10, white_factor=4)
    golden(
        "red-shares",
        {
            "shares": found,
            "order": {name: list(one) for name, one in found.items()},
            "leading": {name: leading_finding(one) for name, one in found.items()},
            "grades": [
                grade_of(name, percent)
                for name in ("macrocyte", "teardrop", "schistocyte", "normal")
                for percent in (0.19, 0.2, 1, 2, 2.5, 5, 5.5, 11, 19.9, 20)
            ],
            "estimates": [estimates_of(31, 7, mm2, settings) for mm2 in (0, 0.038, 0.2)],
        },
    )


def field(place, reds, crops=True, platelets=3):
    judged = tuple(range(0, len(reds), 2)) if crops else ()
    rng = np.random.default_rng(place)
    labels = np.zeros((4 + place % 3, 5 + place % 2), np.uint16)
    for number in range(len(reds)):
        labels.ravel()[number] = number + 1
    return RedField(
        (place, 0, place + 100, 100),
        0.02,
        tuple(reds),
        2,
        platelets,
        labels,
        0.5,
        1,
        1,
        judged,
        rng.integers(90, 250, (len(judged), 80, 80, 3)).astype(np.uint8) if crops else None,
    )


def red_judge():
    model = tiny_model()
    about = {
        "classes": ("other", "normal", "spherocyte"),
        "crop_um": 15.2,
        "crop_px": 80,
        "window_px": 80,
    }
    return RedJudge(replace(model, card=model.card.model_copy(update=about)), BrightnessEngine())


def test_how_many_are_anomalous_and_how_many_of_them_are_long():
    def one(anomaly, roundness, label="normal"):
        return JudgedRed(red(roundness=roundness), label, 0.9, anomaly)

    found = kind_figures(
        [one(0.9, 0.4), one(0.5, 0.4), one(0.51, 0.5), one(0.6, 0.49), one(0.9, 0.1, "other")], 0.5
    )
    assert (found["judged"], found["anomalous"], found["anomalous_long"]) == (4, 3, 2)
    made = [field(0, [red()], platelets=3), field(9, [red()], platelets=5)]
    figures = platelet_figures(made, RedCells(platelet_factor=10, white_factor=4))
    assert (figures["platelet_clumps"], figures["large_platelets"]) == (2, 2)
    assert figures["platelets_per_litre"] == float(f"{8 / (0.04 / 0.038) * 10:.3g}")
    assert figures["whites_per_litre"] == float(f"{4 / (0.04 / 0.038) * 4:.3g}")


class Workers:
    """Gives each field; the second cannot be read."""

    def __init__(self):
        self.asked = []

    def each(self, work, specs, limit_s):
        self.asked.append((work.keywords["cut"], list(specs), limit_s))
        for spec in reversed(list(specs)):
            yield None
            yield spec, SlideError("torn") if spec == "b" else work(spec)


@pytest.mark.parametrize(
    ("most", "with_model", "cut"),
    [(40, True, 14), (39, True, 13), (0, True, None), (40, False, None)],
)
def test_fields_are_asked_for_with_as_many_crops_as_are_judged(most, with_model, cut):
    workers = Workers()
    scan = SimpleNamespace(field_at=lambda spec, cut=None: f"field {spec}")
    outlook = SimpleNamespace(scan=scan, fields=["a", "b", "c"])
    judge = red_judge() if with_model else None
    begun = begin_red_fields(workers, outlook, 9.0, RedCells(judged=most), judge)
    ((crops, specs, limit_s),) = workers.asked  # before anybody looks at them
    assert (specs, limit_s, begun.are_cut) == (["a", "b", "c"], 9.0, cut is not None)
    assert (crops and (crops.side_um, crops.px, crops.most)) == (cut and (15.2, 80, cut))
    assert list(begun.arriving) == [None, (2, "field c"), None, None, (0, "field a")]
    assert begun.fields == {2: "field c", 0: "field a"}
    assert red_judge().crops_of(0, 7).most == 7


@pytest.mark.parametrize("are_cut", [True, False])
def test_the_last_white_cells_are_stored_while_red_cells_come(monkeypatch, are_cut):
    asked = []
    writer = SimpleNamespace(write=lambda **how: asked.append(how))
    verdicts = iter([((0, 0), "verdict"), ((0, 1), "verdict")])
    monkeypatch.setattr(red_cells, "judge", lambda *_: verdicts)
    judge = RedJudge(tiny_model(), BrightnessEngine())
    under_way = RedFields(iter([None, None]), {}, are_cut)
    assert read_red_cells(under_way, writer, RedCells(), judge) is None  # no field, no figures
    assert asked == [{"rest": True}, {"rest": True}, {"final": True}]
