"""Calibrating to a laboratory: what the adaptation of the encoder must not take away."""

from dataclasses import replace

import numpy as np
import pytest

from classify.calibration.laboratory import MOST_BIAS, abnormal_bias, mean_probability
from classify.model_card import ClassEntry
from tests.make import tiny_model

CELLS = 200


@pytest.fixture
def model():
    """`light` is abnormal."""
    made = tiny_model()
    light = ClassEntry(parent="light", code="LI", title="Light", normal=False)
    return replace(made, card=made.card.model_copy(update={"taxonomy": {"light": light}}))


@pytest.fixture
def errors(model):
    """Of cells that the model takes for `dark`, a few less surely than the others."""
    rng = np.random.default_rng(0)
    apart = rng.gamma(2.0, 0.01, (CELLS, 1))
    classes = np.stack([np.zeros_like(apart), apart, apart + 0.2], axis=2)
    return np.broadcast_to(classes, (CELLS, len(model.sigma), 3)).astype(np.float32)


def test_an_abnormal_class_stays_as_probable_as_it_was(model, errors):
    number = model.card.classes.index("light")
    before = mean_probability(model, errors)
    shares = before.copy()
    shares[number] = 1.5 * before[number]
    added = abnormal_bias(model, errors, shares)
    after = mean_probability(replace(model, bias=model.bias + added), errors)
    assert after[number] == pytest.approx(shares[number], rel=1e-3)
    assert np.flatnonzero(added).tolist() == [number]


def test_an_abnormal_class_that_became_more_probable_is_left(model, errors):
    shares = 0.5 * mean_probability(model, errors)
    assert not abnormal_bias(model, errors, shares).any()


def test_a_class_that_nothing_speaks_for_is_raised_up_to_a_bound(model, errors):
    number = model.card.classes.index("light")
    far = errors.copy()
    far[:, :, number] += 10
    assert abnormal_bias(model, far, np.full(3, 0.3))[number] == MOST_BIAS
