"""Cells held out to say whether a calibration is better."""

import numpy as np
import pytest

from classify import DataError, LabCells
from classify.calibration.comparison import CalibrationGain, balanced_share, split_cells
from tests.make import tiny_model


def cells(labels):
    crops = np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
    return LabCells(np.broadcast_to(crops, (len(labels), 2, 2, 3)), tuple(labels))


def numbers(part):
    return set(part.crops[:, 0, 0, 0].tolist())


def test_whole_slides_are_held_out_where_every_class_stays_on_both_sides():
    labels = ["dark", "light"] * 40
    slides = [f"s{n // 20}" for n in range(80)]
    split = split_cells(cells(labels), slides)
    assert not numbers(split.fitted) & numbers(split.held_out)
    assert {n // 20 for n in numbers(split.fitted)}.isdisjoint(
        n // 20 for n in numbers(split.held_out)
    )
    assert set(split.held_out.labels) == set(split.fitted.labels) == {"dark", "light"}


def test_of_one_slide_half_the_cells_of_each_class_are_held_out():
    split = split_cells(cells(["dark"] * 30 + ["light"] * 20), ["s"] * 50)
    assert (split.held_out.labels.count("dark"), split.held_out.labels.count("light")) == (15, 10)


def test_too_few_cells_say_nothing():
    with pytest.raises(DataError, match="too few to say"):
        split_cells(cells(["dark"] * 20), ["s"] * 20)


def test_the_share_weighs_every_class_the_same(monkeypatch):
    called = iter(["dark", "dark", "dark", "light"])

    def judged(crops, engine, model):
        for place, _ in crops:
            yield place, type("Verdict", (), {"parent": next(called)})()

    monkeypatch.setattr("classify.calibration.comparison.judge", judged)
    some = cells(["dark", "light", "light", "light"])
    assert balanced_share(tiny_model(), None, some) == pytest.approx((1 + 1 / 3) / 2)
    assert CalibrationGain(0.5, 0.6, 9).is_better and not CalibrationGain(0.5, 0.5, 9).is_better
