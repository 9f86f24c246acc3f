"""The order of draws: what tells classes first, and what the earlier draws do not foretell next."""

import numpy as np

from classify.calibration.draws import (
    SIGMA_RANGE,
    log_loss,
    order,
    random_draws,
    unforetold,
    weigh,
    weight_of,
)


def table(n=300, draws=6, classes=3, seed=0):
    """Errors (n, D, K) and labels (n,): draws 0-2 are alike and so are 3-5; only the latter tell
    the classes.
    """
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n)
    first, second = rng.normal(0, 1, (2, n, 1, classes))
    second = second - 2.0 * np.eye(classes)[y][:, None]
    errors = np.concatenate([np.repeat(first, 3, axis=1), np.repeat(second, 3, axis=1)], axis=1)
    return errors + rng.normal(0, 0.1, errors.shape), y


def test_the_first_draw_tells_classes_and_the_second_what_it_does_not():
    errors, y = table()
    chosen = order(errors, np.ones(6), y, 4)
    assert chosen[0] >= 3 and chosen[1] < 3 and len(set(chosen)) == 4


def test_weights_favour_the_draws_that_tell():
    errors, y = table()
    weight = weigh(errors, np.ones(6), y)
    assert weight[:3].sum() < 0.3 * weight[3:].sum() and weight.min() > 0
    together = [log_loss(-np.einsum("d,ndk->nk", w, errors), y) for w in (np.ones(6), weight)]
    assert together[1] < 0.8 * together[0]


def test_what_a_draw_adds():
    errors, _ = table()
    assert unforetold(errors, 4, [3]) < 0.1 < 0.8 < unforetold(errors, 0, [3]) <= 1


def test_random_draws_are_reproducible_and_within_the_range():
    draws, again = (random_draws(50, 8, seed=3) for _ in range(2))
    assert (
        draws.sigma.min() >= SIGMA_RANGE[0]
        and draws.sigma.max() <= SIGMA_RANGE[1]
        and draws.noise.shape == (50, 3, 8, 8)
    )
    assert set(draws.turn) == set(range(8))
    np.testing.assert_array_equal(draws.noise, again.noise)


def test_the_weight_between_known_noise_levels():
    known = np.array([0.2, 0.4, 0.8])
    np.testing.assert_allclose(
        weight_of(np.array([0.1, 0.4]), known, 3 * known**-0.5), [3 * 0.1**-0.5, 3 * 0.4**-0.5]
    )
