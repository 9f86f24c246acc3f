"""Adapting a model's encoder to a laboratory: shares of classes, and what is left as it was."""

from dataclasses import replace

import numpy as np

from classify.calibration.adaptation import can_adapt, class_shares, measured_normal
from tests.make import BrightnessEngine, tiny_model


def measured(model, spread):
    channels = np.array(spread, np.float32)[:, None]
    return replace(model, channel_mean=np.zeros_like(channels), channel_spread=channels)


def images_of(model, counts):
    """As many inputs of each class, as bright as the engine has them."""
    targets = BrightnessEngine().targets
    px = model.card.image_px
    levels = np.repeat(targets, counts)
    return np.broadcast_to(levels[:, None, None, None], (len(levels), 3, px, px)).astype(np.float32)


def test_a_model_without_statistics_of_home_is_left_as_it_is():
    assert not can_adapt(tiny_model()) and can_adapt(measured(tiny_model(), [1, 1, 1]))


def test_shares_are_those_of_the_verdicts_among_normal_classes():
    model = measured(tiny_model(), [1, 1, 1])
    shares = class_shares(model, BrightnessEngine(), images_of(model, (30, 10, 20)), [])
    assert shares.sum() == 1 and shares[2] == 0, "what is no cell to count has no share"
    np.testing.assert_allclose(shares[:2], (0.75, 0.25), atol=0.05)


def test_labels_say_the_shares():
    model = measured(tiny_model(), [1, 1, 1])
    names = ["dark"] * 9 + ["light"]
    shares = class_shares(model, BrightnessEngine(), images_of(model, (9, 1, 0)), names)
    np.testing.assert_allclose(shares, (0.9, 0.1, 0))


def test_a_class_that_was_not_measured_at_home_has_no_share():
    model = measured(tiny_model(), [1, 0, 1])
    assert measured_normal(model).tolist() == [True, False, False]
    shares = class_shares(model, BrightnessEngine(), images_of(model, (0, 10, 0)), ["light"] * 10)
    assert shares.tolist() == [1, 0, 0]
