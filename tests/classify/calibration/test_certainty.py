"""Error rates are what they say, by simulation and against slow counting."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classify.anomaly.conformal import (
    benjamini_hochberg,
    by_chance,
    fit_tail,
    label_scores,
    p_values,
    prediction_sets,
)
from classify.anomaly.drift import calibration_drift
from classify.anomaly.score import (
    ANOMALY_WEIGHTS,
    fit_oddity,
    moments,
    oddity_of,
    tables_of,
)
from classify.calibration.psychometric import curve, fit_psychometric
from tests.make import tiny_model


def normal_errors(n, rng, shift=0.0):
    """Three kinds of cells under six draws and three classes."""
    kind = rng.integers(0, 3, n)
    own = 0.3 + np.abs(kind[:, None] - np.arange(3)) * 0.4
    return np.exp(rng.normal(shift, 0.1, (n, 1, 3)) + rng.normal(0, 0.05, (n, 6, 3))) * own[:, None]


SIGMA = np.array([0.2, 0.8, 0.3, 0.5, 0.15, 1.1])


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(-1, 10))
def test_a_p_value_counts_the_normal_cells_at_least_as_odd(normal, value):
    slow = (1 + sum(n >= value for n in normal)) / (len(normal) + 1)
    assert p_values(np.array([value]), np.sort(normal))[0] == pytest.approx(slow)


def test_normal_cells_raise_no_more_false_alerts_than_said():
    rng = np.random.default_rng(0)
    alerts = 0
    for _ in range(60):
        normal = np.sort(rng.gamma(3, 1, 1200))
        alerts += (p_values(rng.gamma(3, 1, 2000), normal, fit_tail(normal)) <= 0.001).sum()
    assert alerts / (60 * 2000) <= 0.0012


def test_beyond_every_normal_cell_the_tail_goes_on_and_never_up():
    normal = np.sort(np.random.default_rng(1).gamma(3, 1, 300))
    p = p_values(np.linspace(0, 60, 500), normal, fit_tail(normal))
    assert (np.diff(p) <= 0).all() and p[0] == 1 and 0 < p[-1] < 1 / 301


def test_the_oddity_of_new_normal_cells_is_spread_evenly_and_odd_ones_stand_out():
    rng = np.random.default_rng(2)
    oddity = fit_oddity(normal_errors(800, rng), SIGMA)
    new = normal_errors(800, rng)
    for draws in (1, 3, 6):
        p = oddity.p_value(new[:, :draws])
        assert abs((p <= 0.1).mean() - 0.1) < 0.04 and abs((p <= 0.5).mean() - 0.5) < 0.08
    too_ill, too_well = normal_errors(100, rng, shift=0.8), normal_errors(100, rng, shift=-0.8)
    assert (oddity.p_value(too_ill) <= 0.01).mean() > 0.9 and (
        oddity.p_value(too_well) <= 0.01
    ).mean() > 0.9


def test_in_another_laboratory_new_cells_are_spread_evenly_about_the_moments_of_home():
    rng = np.random.default_rng(3)
    home = moments(normal_errors(800, rng), SIGMA)
    there = fit_oddity(normal_errors(300, rng, shift=0.5), SIGMA, home)
    p = there.p_value(normal_errors(800, rng, shift=0.5))
    assert abs((p <= 0.1).mean() - 0.1) < 0.05 and np.array_equal(there.centre, home.centre)
    assert (there.p_value(normal_errors(100, rng, shift=1.5)) <= 0.01).mean() > 0.9


def test_a_models_own_oddity_is_what_was_fitted():
    model = tiny_model()
    assert oddity_of(model).p_value(np.full((1, 6, 3), 9.0))[0] < 0.01


def test_the_weights_of_the_three_scores_are_the_models_own():
    """A cell of which all classes err alike is anomalous to the first score."""
    rng = np.random.default_rng(5)
    normal = normal_errors(800, rng)
    between = normal.mean(axis=2, keepdims=True).repeat(normal.shape[2], axis=2)[:100]
    first = fit_oddity(normal, SIGMA, part_weights=(1.0, 0.0, 0.0))
    second = fit_oddity(normal, SIGMA, part_weights=(0.0, 1.0, 0.0))
    assert (first.p_value(between) <= 0.05).all()
    np.testing.assert_array_equal(
        second.raw(normal), second.raw(normal[:, :, ::-1])
    )  # the least error alone
    kept = replace(tiny_model(), **tables_of(first))
    assert oddity_of(kept).part_weights.tolist() == [1.0, 0.0, 0.0]
    assert fit_oddity(normal, SIGMA, first).part_weights is first.part_weights


def test_a_model_that_keeps_no_weights_has_those_of_before():
    kept = replace(tiny_model(), part_weights=None)
    assert oddity_of(kept).part_weights.tolist() == list(ANOMALY_WEIGHTS)


def softmax_cells(n, rng):
    y = rng.integers(0, 4, n)
    logits = rng.normal(0, 1, (n, 4)) + 2 * np.eye(4)[y]
    p = np.exp(logits)
    return p / p.sum(axis=1, keepdims=True), y


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_sets_cover_each_class_as_often_as_they_say(coverage):
    rng = np.random.default_rng(4)
    ill = label_scores(*softmax_cells(1500, rng))
    p, y = softmax_cells(6000, rng)
    sets = prediction_sets(p, ill, coverage)
    for c in range(4):
        assert abs(sets[y == c, c].mean() - coverage) < 0.04
    assert prediction_sets(p, ill, 0.99).sum() > sets.sum()


def test_a_class_of_too_few_cells_is_held_against_all():
    p, y = softmax_cells(400, np.random.default_rng(5))
    y = np.where(y == 3, 2, y)
    assert np.isfinite(label_scores(p, y, least=20)[3]).sum() == len(y)


def test_chance_and_false_discoveries():
    assert by_chance(0, 1000, 0.001) == 1 and by_chance(1, 1000, 0.001) == pytest.approx(
        1 - 0.999**1000
    )
    p = np.array([0.01, 0.04, 0.03, 0.9])
    assert benjamini_hochberg(p) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.9])


def test_the_psychometric_function_is_found_again():
    rng = np.random.default_rng(6)
    x = 1 - rng.beta(0.6, 2, 4000)
    right = rng.random(4000) < curve(x, 0.6, 0.4, 0.04, 1 / 8)
    fit = fit_psychometric(x, right, 8, resamples=20)
    assert fit.threshold == pytest.approx(0.6, abs=0.03) and fit.width == pytest.approx(
        0.4, abs=0.12
    )
    assert (
        fit.lapse == pytest.approx(0.04, abs=0.02)
        and fit.threshold_interval[0] < 0.6 < fit.threshold_interval[1]
    )
    with pytest.raises(ValueError, match="no cells"):
        fit_psychometric(x[:0], right[:0], 8)


def test_drift_is_seen_and_another_mix_of_classes_is_none():
    from dataclasses import replace

    rng = np.random.default_rng(7)
    usual = np.sort(rng.normal([[0], [3], [0]], 1, (3, 500)), axis=1)
    model = replace(tiny_model(), usual=usual)
    names = ["light"] * 400
    assert not calibration_drift(model, names, rng.normal(3, 1, 400)).far
    assert calibration_drift(model, names, rng.normal(4.5, 1, 400)).far
    assert (
        calibration_drift(model, [], np.zeros(0)).cells == 0
        and not calibration_drift(tiny_model(), names, np.zeros(400)).far
    )
