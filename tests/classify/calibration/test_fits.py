"""Temperatures, settling and tails against what can be worked out by hand."""

import numpy as np
import pytest

from classify.anomaly import ANOMALY_WEIGHTS
from classify.anomaly.conformal import fit_tail, p_values
from classify.calibration.fit import ErrorTable, fit
from classify.elimination import chance_of

DRAWS, CLASSES, CELLS = 3, 4, 900
WEIGHT = np.array([2.0, 5.0, 1.0])


def table(seed=0):
    """Errors of cells of which the own class errs least, mostly."""
    rng = np.random.default_rng(seed)
    y = rng.integers(CLASSES, size=CELLS)
    errors = rng.normal(1.0, 0.25, (CELLS, DRAWS, CLASSES))
    errors[np.arange(CELLS), :, y] -= 0.3
    return ErrorTable(errors.astype(np.float32), y)


def loss(made, draw, temperature, bias):
    """Mean log loss after a draw: softmax of weighed, summed errors over the temperature."""
    total = sum(WEIGHT[d] * made.errors[:, d].astype(float) for d in range(draw + 1))
    logits = bias - total / temperature
    top = logits.max(axis=1)
    own = logits[np.arange(CELLS), made.y]
    return float((np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top - own).mean())


def test_each_temperature_is_the_one_under_which_the_labels_are_likeliest():
    made = table()
    bias = np.log(np.array([0.4, 0.3, 0.2, 0.1]))
    found = fit(
        made, WEIGHT, np.array([0.3, 0.6, 0.9]), np.ones(CLASSES, bool), bias, ANOMALY_WEIGHTS
    )
    np.testing.assert_array_equal(found["bias"], bias)
    for draw, temperature in enumerate(found["temperature"]):
        best = loss(made, draw, temperature, bias)
        others = [
            loss(made, draw, temperature * factor, bias) for factor in (0.85, 0.95, 1.05, 1.18)
        ]
        assert best <= min(others) + 1e-6, draw
        assert min(others[0], others[-1]) > best + 1e-5


def test_chances_are_probabilities_at_the_temperature_of_their_draw():
    probability = np.array([[[0.5, 0.3, 0.2], [0.7, 0.2, 0.1]]])
    settling = np.array([0.5, 2.0])
    raised = [np.array([0.5, 0.3, 0.2]) ** 2, np.array([0.7, 0.2, 0.1]) ** 0.5]
    expected = [row / row.sum() for row in raised]
    np.testing.assert_allclose(chance_of(probability, settling)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("rare", [0.02, 1e-3, 1e-4])
def test_p_values_of_odd_cells_are_those_of_the_distribution_on_both_sides(rare):
    """An exponential tail is known: a score of that quantile has that p-value, give or take what
    5,000 scores can say of it.
    """
    found = []
    for seed in range(12):
        normal = np.sort(np.random.default_rng(seed).exponential(2.0, 5000))
        raw = np.array([-2.0 * np.log(rare)])
        found.append(p_values(raw, normal, np.array(fit_tail(normal)))[0])
    ratio = np.median(found) / rare
    assert 0.6 < ratio < 2.5 and max(found) / rare < 12 and min(found) / rare > 0.2


def test_the_tail_is_of_a_tenth_of_the_scores():
    normal = np.sort(np.random.default_rng(1).exponential(2.0, 4000))
    threshold, scale, shape = fit_tail(normal)
    assert (normal > threshold).mean() == pytest.approx(0.1, abs=0.001)
    assert scale * (1 / (1 - shape)) == pytest.approx(2.0, rel=0.12) and shape < 0.15
