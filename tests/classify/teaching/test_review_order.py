"""The order in which cells teach most: alerts first, then what is unlike all that is known."""

import numpy as np

from classify.teaching import review_order


def groups(sizes, features=16, seed=1):
    """Cells (n, F) of groups of these sizes, and the group of each."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(len(sizes)), sizes)
    return 5 * rng.normal(size=(len(sizes), features))[kinds] + rng.normal(
        size=(len(kinds), features)
    ), kinds


def test_a_few_looks_see_every_group_however_rare():
    cells, kinds = groups([200, 100, 3, 2])
    assert set(kinds[review_order(cells, count=6)]) == {0, 1, 2, 3}
    by_chance = np.random.default_rng(0).permutation(len(cells))[:6]
    assert set(kinds[by_chance]) != {0, 1, 2, 3}


def test_alerts_come_first_in_their_order_and_what_is_known_not_at_all():
    cells, kinds = groups([50, 50, 4])
    known = [int(row) for row in np.flatnonzero(kinds == 2)]
    order = review_order(cells, first=[7, 3, 7], known=known, count=12)
    assert order[:2] == [7, 3] and len(set(order)) == len(order) == 12
    assert not set(order) & set(known)
    assert kinds[order[2]] == 1  # the group that nobody has looked at


def test_each_step_takes_the_farthest_as_a_plain_loop_does():
    cells, _ = groups([20, 10, 5], seed=3)
    order = review_order(cells, known=[0], count=8)
    taken = [0]
    for row in order:
        apart = [min(1 - np.corrcoef(cells[i], cells[j])[0, 1] for j in taken) for i in range(35)]
        assert row == int(np.argmax(apart))
        taken.append(row)


def test_alike_pictures_are_looked_at_once_and_cells_without_features_never():
    cells, _ = groups([6])
    cells = np.concatenate([cells, cells, np.full((2, 16), np.nan)]).astype(np.float16)
    assert len(review_order(cells)) == 6
    assert review_order(cells, first=[13])[0] == 13
    assert review_order(cells[12:]) == []
    assert review_order(cells[:0]) == []
