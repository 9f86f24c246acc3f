"""Likeness of sets of cells: nothing between equals, much between strangers; copies are found
out.
"""

import numpy as np
import pytest

from classify.evaluation.generation_metrics import (
    Memory,
    covered,
    kid,
    kid_interval,
    nearest_pixels,
)

RNG = np.random.default_rng(0)


def points(n, shift=0.0, spread=1.0):
    return RNG.normal(shift, spread, (n, 8))


def test_kid_is_about_0_between_samples_of_the_same_and_grows_with_the_distance():
    same = kid(points(400), points(400))
    assert abs(same) < 0.05 and kid(points(400), points(400, 0.5)) > 0.1 > same
    value, low, high = kid_interval(points(200), points(200, 1.0))
    assert low < value < high and low > 0.1


def test_kid_is_unbiased():
    many = [kid(points(20), points(20)) for _ in range(300)]
    assert abs(np.mean(many)) < 3 * np.std(many) / np.sqrt(300)


def test_precision_and_recall_tell_strangers_from_want_of_variety():
    real = points(300)
    assert covered(points(100, 20), real).mean() == 0
    narrow = points(100, spread=0.05)
    assert covered(narrow, real).mean() > 0.9 and covered(real, narrow).mean() < 0.1


def test_a_copy_is_nearer_than_unseen_cells_and_a_turned_one_too():
    known, unseen = (RNG.uniform(-1, 1, (40, 3, 32, 32)) for _ in range(2))
    copies = np.rot90(known[:5], 1, axes=(2, 3))[..., ::-1]
    assert nearest_pixels(copies, known) == pytest.approx(np.zeros(5), abs=1e-6)
    generated = np.concatenate([copies, RNG.uniform(-1, 1, (5, 3, 32, 32))])
    memory = Memory(nearest_pixels(generated, known), nearest_pixels(unseen, known))
    assert memory.copied()[:5].all() and not memory.copied()[5:].all()
