"""Probabilities and oddities of both arms, on errors and features made up to have known answers."""

import numpy as np
import pytest

from classify.anomaly.score import fit_oddity
from classify.calibration.fit import ErrorTable
from classify.evaluation.scoring import (
    ScoreScale,
    bare,
    centred,
    discriminative,
    fit_nearness,
    ours,
    score_scale_of,
)

RNG = np.random.default_rng(0)
SIGMA = np.geomspace(0.1, 2, 8)


def errors_of(y, own=0.3, others=0.5, noise=0.03):
    """Errors (n, 8, 3) that are least under the class y (n,)."""
    level = np.where(np.arange(3) == y[:, None], own, others)
    return level[:, None] + RNG.normal(0, noise, (len(y), 8, 3))


def test_more_weight_is_more_certainty_and_the_temperature_takes_it_back():
    y = RNG.integers(0, 3, 300)
    errors = errors_of(y, own=0.45, noise=0.1)
    sure, unsure = (
        ScoreScale(np.full(8, w), t, np.zeros(3)).probability(errors).max(axis=1).mean()
        for w, t in ((9, 1), (9, 9))
    )
    assert sure > unsure
    fitted = [
        score_scale_of(ErrorTable(errors, y), np.full(8, w)).probability(errors)
        for w in (2.0, 200.0)
    ]
    assert np.abs(fitted[0] - fitted[1]).max() < 0.01
    assert np.log(fitted[0][np.arange(300), y]).mean() > np.log(1 / 3)


def test_evidence_that_all_cells_of_a_laboratory_lack_is_given_back():
    y = RNG.permutation(np.repeat(np.arange(3), 100))
    home = ScoreScale(np.full(8, 10.0), 1.0, np.zeros(3)).probability(errors_of(y))
    shifted = errors_of(y) + np.array(
        [0.25, 0.0, -0.05]
    )  # another stain: class 0 explains everything worse, 2 better
    away = ScoreScale(np.full(8, 10.0), 1.0, np.zeros(3)).probability(shifted)
    assert (away.argmax(axis=1) == y).mean() < 0.8
    assert (centred(away, home) == y).mean() > 0.99
    np.testing.assert_array_equal(centred(home, home), home.argmax(axis=1))


def test_cells_that_no_class_explains_are_odd_by_every_score_that_can_tell():
    y = RNG.integers(0, 3, 400)
    normal = errors_of(y)
    oddity = fit_oddity(normal, SIGMA)
    scale = ScoreScale(np.full(8, 10.0), 1.0, np.zeros(3))
    unexplained = ours(RNG.normal(0.6, 0.03, (50, 8, 3)), scale, oddity)
    usual = ours(errors_of(RNG.integers(0, 3, 200)), scale, oddity)
    for name in ("relative", "absolute", "pattern", "combined"):
        assert np.median(unexplained.odd[name]) > np.quantile(usual.odd[name], 0.95), name
    assert ours(normal, scale, None).odd == {}


def test_the_baselines_scores():
    means = np.array([[4.0, 0, 0, 0], [0, 4, 0, 0], [0, 0, 4, 0]])
    y = RNG.integers(0, 3, 300)
    known = means[y] + RNG.normal(0, 0.3, (300, 4))
    nearness = fit_nearness(known, y)
    away = RNG.normal(0, 0.3, (20, 4)) + np.array([0, 0, 0, 6.0])
    features = np.concatenate([known[:20], away])
    found = discriminative(features, features @ means.T, bare(np.ones(1), 3), nearness)
    assert (found.predicted[:20] == y[:20]).all() and found.probability.sum(
        axis=1
    ) == pytest.approx(np.ones(40))
    for name in ("softmax", "energy", "Mahalanobis"):
        assert found.odd[name][20:].min() > found.odd[name][:20].max(), name
    logits = features @ means.T
    assert found.odd["energy"] == pytest.approx(-np.log(np.exp(logits).sum(axis=1)))


def test_mahalanobis_is_what_it_says_and_stands_few_cells():
    y = np.repeat([0, 1], 2000)
    known = np.stack([RNG.normal(3 * y, 1.0), RNG.normal(0, 5.0, 4000)], axis=1)
    distance = fit_nearness(known, y).distance(np.array([[0.0, 5.0], [4.0, 0.0]]))
    assert distance == pytest.approx([1, 1], rel=0.15)
    few = fit_nearness(RNG.normal(size=(6, 40)), np.array([0, 0, 0, 1, 1, 1]))
    assert np.isfinite(few.distance(RNG.normal(size=(3, 40)))).all()
