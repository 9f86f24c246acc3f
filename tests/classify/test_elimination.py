"""Elimination decides otherwise than all draws do in at most the stated share of cells, wherever it
stops.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classify.elimination import NEVER, chance_of, running_minimum, settle, survivors_of, threshold

DRAWS, CLASSES = 10, 5


def simulated(n, seed, drift=0.0, tails=3.0, memory=0.5, ease=2.0):
    """Probabilities (n, D, K) of cells from easy to hopeless: evidence with heavy tails, memory and
    a late drift.
    """
    rng = np.random.default_rng(seed)
    ease = rng.gamma(0.7, ease, (n, 1, 1))
    toward = rng.normal(0, 1, (n, 1, CLASSES)) * ease
    shocks = rng.standard_t(tails, (n, DRAWS, CLASSES)) * 0.7
    for d in range(1, DRAWS):
        shocks[:, d] += memory * shocks[:, d - 1]
    late = drift * np.linspace(-1, 1, DRAWS)[:, None] * rng.normal(0, 1, (n, 1, CLASSES))
    evidence = np.cumsum(toward + shocks + late, axis=1)
    p = np.exp(evidence - evidence.max(axis=2, keepdims=True))
    return p / p.sum(axis=2, keepdims=True)


def early(probability, settling, tau):
    """(labels, draws) of stopping where one class is left: the judge's rule, cell by cell and draw
    by draw.
    """
    labels, draws = [], []
    for p, chance in zip(probability, chance_of(probability, settling), strict=True):
        for d in range(1, len(p) + 1):
            left = survivors_of(chance[:d], tau)
            if left.sum() == 1:
                break
        labels.append(int(np.argmax(np.where(left, p[d - 1], -1))))
        draws.append(d)
    return np.array(labels), np.array(draws)


@settings(max_examples=6)
@given(
    st.integers(0, 10**6),
    st.sampled_from([0.005, 0.02, 0.05]),
    st.floats(0, 3),
    st.floats(2.1, 30),
    st.floats(0, 0.9),
)
def test_the_level_holds_over_thousands_of_cells_whatever_they_are_like(
    seed, level, drift, tails, memory
):
    """Forty calibrations: the share of 10,000 fresh cells decided otherwise exceeds the level in
    few of them (5 % expected).
    """
    kind = (drift, tails, memory)
    settling, _ = settle([simulated(400, seed, *kind)], level)

    def least(n, seed):
        p = simulated(n, seed, *kind)
        return running_minimum(chance_of(p, settling), p[:, -1].argmax(axis=1))

    fresh = least(10_000, seed + 1)
    beyond = level + 3 * np.sqrt(
        level * (1 - level) / len(fresh)
    )  # what 10,000 cells can tell from the level
    broken = sum(
        (fresh < threshold(least(1100, seed + 2 + i), level)).mean() > beyond for i in range(40)
    )
    assert broken <= 6  # binomial(40, 0.05): 6 or fewer with probability 0.997


@pytest.mark.parametrize("drift", [0.0, 2.0])
def test_the_early_label_differs_at_no_more_than_the_level_and_saves_draws(drift):
    level = 0.01
    settling, tau = settle([simulated(3000, 1, drift, ease=20)], level)
    fresh = simulated(2000, 2, drift, ease=20)
    labels, draws = early(fresh, settling, tau)
    assert (labels != fresh[:, -1].argmax(axis=1)).mean() <= level
    assert draws.mean() < 0.8 * DRAWS


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(1e-6, 0.4))
def test_only_a_cell_whose_running_minimum_is_below_the_threshold_is_decided_otherwise(seed, tau):
    """The step that makes the bound hold at every stopping time."""
    fresh = simulated(50, seed, drift=2.0)
    settling = np.linspace(0.5, 0.1, DRAWS)
    reference = fresh[:, -1].argmax(axis=1)
    labels, _ = early(fresh, settling, tau)
    kept = running_minimum(chance_of(fresh, settling), reference) >= tau
    assert (labels[kept] == reference[kept]).all()


def test_another_rounding_counts_against_the_level():
    """Cells that a lower precision labels otherwise in the end use up what elimination may
    spend.
    """
    whole = simulated(2000, 3)
    low = whole.copy()
    low[1:20:2] = low[1:20:2, :, ::-1]  # ten cells called something else whenever one stops
    level = 0.01
    assert settle([whole, low], level)[1] < settle([whole], level)[1]
    assert settle([whole, np.ascontiguousarray(whole[:, :, ::-1])], level)[1] == NEVER


def test_few_calibration_cells_allow_no_elimination():
    assert threshold(np.linspace(0.1, 1, 597), 0.005) == NEVER
    assert threshold(np.linspace(0.1, 1, 598), 0.005) == 0.1


def test_the_last_leader_stays_when_all_are_out():
    chance = np.array([[0.3, 0.3, 0.4], [0.1, 0.6, 0.3]])
    assert survivors_of(chance, 0.5).tolist() == [False, True, False]


def test_chances_are_surer_than_probabilities():
    p = np.array([[0.7, 0.2, 0.1]])
    chance = chance_of(p, np.array([0.2]))
    assert (
        chance.sum() == pytest.approx(1)
        and chance[0, 0] > 0.99
        and (np.argsort(chance) == np.argsort(p)).all()
    )
