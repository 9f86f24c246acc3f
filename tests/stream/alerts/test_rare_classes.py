"""Tests of slides on counts: exact, corrected by the laboratory's own slides, over all classes."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import betabinom

from stream.alerts.evaluator import AlertEvaluator
from stream.alerts.rare_classes import (
    SignedSlide,
    alarm_count,
    beta_binomial_tail,
    own_background,
    rare_classes,
    significant,
)
from stream.alerts.slide_rules import SlideTests
from stream.config import Alerts, ConfigError, ExcessRule, load_config

BLAST = ExcessRule(labels=("blast",), background=0.02)


@pytest.mark.parametrize(
    ("count", "cells", "a", "b"), [(0, 10, 1, 9), (3, 200, 10, 490), (40, 5000, 20, 1980)]
)
def test_the_tail_is_that_of_scipy(count, cells, a, b):
    assert beta_binomial_tail(count, cells, a, b) == pytest.approx(
        betabinom.sf(count - 1, cells, a, b), rel=1e-9
    )


def test_so_many_of_none_are_impossible():
    assert beta_binomial_tail(3, 2, 1, 9) == 0 and beta_binomial_tail(0, 0, 1, 9) == 1


def test_holm_finds_what_bonferroni_finds_and_more():
    assert significant([0.04, 0.001, 0.2], 0.05) == [False, True, False]
    assert significant([0.02, 0.001, 0.2], 0.05) == [True, True, False]
    assert significant([], 0.05) == []


def test_normal_slides_raise_no_more_alarms_than_the_level():
    """Two tests that share cells, with the background that they assume."""
    rng = np.random.default_rng(0)
    tests = SlideTests(rare_classes(Alerts(), ("blast", "promyelocyte")))
    at = AlertEvaluator(Alerts(), "scanner", Counter(), tests=tests)
    alarms = 0
    for _ in range(2000):
        immature = rng.binomial(200, rng.beta(10, 490))
        blasts = rng.binomial(immature, 0.5)
        counts = Counter(blast=blasts, promyelocyte=immature - blasts, monocyte=200 - immature)
        alarms += bool([a for a in at.of_slide(counts, 200, []) if a.rule.startswith("excess")])
    assert alarms <= 2000 * Alerts().false_alarms_per_100 / 100 * 1.3


def signed(called, kept, white=200):
    return SignedSlide(
        Counter(blast=called, neutrophil=white - called, other=50),
        Counter(blast=kept, neutrophil=white - kept),
    )


def test_slides_that_people_have_signed_for_correct_the_background():
    """What a person has renamed was called wrongly; what was kept as a blast was not."""
    slides = [signed(1, 0)] * 10 + [signed(30, 28)]
    assert own_background(("blast",), slides) == (12, 2200 - 28)
    (before,), (after,) = (
        rare_classes(Alerts(excess=(BLAST,)), ("blast",), signed=some) for some in ([], slides)
    )
    assert before.background == pytest.approx(0.02)
    assert after.background == pytest.approx((10 + 12) / (500 + 2172)) and after.slides == 11
    assert alarm_count(after, 200, 0.01) < alarm_count(before, 200, 0.01)


def test_the_least_number_that_alarms():
    (rare,) = rare_classes(Alerts(excess=(BLAST,)), ("blast",))
    least = alarm_count(rare, 200, 0.01)
    assert rare.chance(least, 200) <= 0.01 < rare.chance(least - 1, 200)
    assert alarm_count(rare, 2, 1e-9) == 3  # no number among so few cells


def test_classes_that_the_model_has_not_are_left_out():
    assert [rare.labels for rare in rare_classes(Alerts(), ("promyelocyte",))] == [
        ("promyelocyte",)
    ]
    assert rare_classes(Alerts(), ("neutrophil",)) == ()


def test_the_alert_says_what_how_many_how_sure_which_cells_and_what_to_do():
    at = AlertEvaluator(Alerts(), "scanner", Counter())
    for n in range(40):
        at.note_likely("wbc", "blast", {"blast": 0.5 + n / 100}, f"{n:04x}")
    counts = Counter(blast=40, neutrophil=160)
    alert = next(a for a in at.of_slide(counts, 200, []) if a.rule == "excess blast")
    assert alert.severity == "urgent" and "40 of 200 white cells (20.0 %)" in alert.reason
    assert "4.0 are expected" in alert.reason and "normal slides" in alert.reason
    assert alert.cell_ids[0] == "0027" and len(alert.cell_ids) == 40
    assert alert.advice.startswith("look at the cells named")


@pytest.mark.parametrize(
    ("lymphocytes", "rules"),
    [(30, []), (50, []), (90, ["range lymphocyte", "range neutrophil"])],
)
def test_a_class_far_outside_its_range_is_an_alert(lymphocytes, rules):
    ranges = {"lymphocyte": (20.0, 45.0), "neutrophil": (40.0, 75.0)}
    tests = SlideTests(ranges=ranges, parents={"band": "neutrophil"})
    at = AlertEvaluator(Alerts(), "scanner", Counter(), tests=tests)
    counts = Counter({"lymphocyte": 2 * lymphocytes, "band": 200 - 2 * lymphocytes})
    found = at.of_slide(counts, 200, [])
    assert [alert.rule for alert in found] == rules
    assert all(alert.severity == "notice" for alert in found)


def test_one_label_may_be_written_as_before(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('[[alerts.excess]]\nlabel = "blast"\nbackground = 0.01\n')
    assert load_config(path).alerts.excess[0].labels == ("blast",)
    path.write_text("[[alerts.excess]]\nbackground = 0.01\n")
    with pytest.raises(ConfigError, match="labels"):
        load_config(path)


def taught(false_rate=0.01, normal_cells=400):
    """A taught class as far as the tests of slides look at it."""
    point = SimpleNamespace(above=0.2, false_rate=false_rate, sensitivity=0.8)
    return SimpleNamespace(name="hairy", normal_cells=normal_cells, counting=point)


def test_cells_of_a_taught_class_count_from_a_probability_on_whatever_their_label():
    tests = SlideTests(rare_classes(Alerts(excess=()), (), [taught()]))
    at = AlertEvaluator(Alerts(excess=()), "scanner", Counter(), tests=tests)
    for n in range(30):
        at.note_likely("wbc", "lymphocyte", {"lymphocyte": 0.7, "hairy": 0.3}, f"{n:04x}")
    at.note_likely("platelet", "lymphocyte", {"hairy": 0.9}, "ffff")
    at.note_likely("wbc", "other", {"hairy": 0.9}, "fffe")
    at.note_likely("wbc", "lymphocyte", {"hairy": 0.1}, "fffd")
    (alert,) = [a for a in at.of_slide(Counter(lymphocyte=200), 200, []) if "excess" in a.rule]
    assert "30 of 200" in alert.reason and "taught class hairy" in alert.reason
    assert len(alert.cell_ids) == 30 and not {"ffff", "fffe", "fffd"} & set(alert.cell_ids)


def test_a_taught_background_is_corrected_by_slides_under_the_same_class():
    slides = [SignedSlide(Counter(lymphocyte=200), Counter(), Counter(hairy=1))] * 10
    before, after = (
        rare_classes(Alerts(excess=()), (), [taught()], some)[0] for some in ([], slides)
    )
    assert before.background == pytest.approx(4.5 / 401)
    assert after.background == pytest.approx((4.5 + 10) / (401 + 2000)) and after.slides == 10
    other = [SignedSlide(Counter(lymphocyte=200), Counter())] * 10
    assert rare_classes(Alerts(excess=()), (), [taught()], other)[0] == before
