"""A verdict is a function of the cell: not of batch, order or company; and elimination decides as
all draws do.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classify import judge
from classify.calibration.fit import error_table
from classify.judge import FEATURE_DRAWS
from classify.pixels import to_input, turned
from classify.rule import posterior
from tests.make import CLASSES, BrightnessEngine, tiny_model


def crops(n, seed=0):
    """Cells from plainly dark to plainly light, some in between."""
    rng = np.random.default_rng(seed)
    level = rng.choice([50, 120, 230], n) + rng.normal(0, 18, n)
    return np.clip(level[:, None, None, None] + rng.normal(0, 20, (n, 128, 128, 3)), 0, 255).astype(
        np.uint8
    )


def verdicts(cells, order=None, batch=8, exhaustive=False, gaps=()):
    engine = BrightnessEngine()
    engine.batch = batch
    order = range(len(cells)) if order is None else order
    items = []
    for n, i in enumerate(order):
        items += [None] * (n in gaps) + [(i, cells[i])]
    return dict(judge(items, engine, tiny_model(), exhaustive)), engine


CELLS = crops(40)
REFERENCE, _ = verdicts(CELLS)


@settings(max_examples=20)
@given(
    st.permutations(range(40)), st.sampled_from([1, 7, 64]), st.sets(st.integers(0, 39), max_size=6)
)
def test_neither_order_nor_company_changes_a_verdict(order, batch, gaps):
    found = verdicts(CELLS, order, batch, gaps=gaps)[0]
    assert found == REFERENCE
    for number, verdict in found.items():
        np.testing.assert_array_equal(verdict.features, REFERENCE[number].features)


def test_each_draw_sees_the_cell_as_its_turn_says():
    model, found = tiny_model(), verdicts(CELLS, exhaustive=True)[0]
    x = to_input(CELLS, model.card.window_px, model.card.image_px)
    table, unturned = (
        error_table(BrightnessEngine(), x, m) for m in (model, replace(model, turn=np.zeros(0)))
    )
    assert not np.allclose(table, unturned)
    for i, p in enumerate(posterior(table, model)[:, -1]):
        assert list(found[i].scores.values()) == pytest.approx(p.tolist(), abs=2e-6)


def test_features_are_the_mean_over_the_first_draws_that_a_cell_took():
    model = tiny_model()
    engine = BrightnessEngine()
    images = to_input(CELLS, model.card.window_px, model.card.image_px)
    taken = set()
    for number, verdict in REFERENCE.items():
        draws = range(min(verdict.draws, FEATURE_DRAWS))
        looks = np.stack([turned(images[number], model.turn[d]) for d in draws])
        expected = engine.features(looks, model.noise[: len(looks)], model.sigma[: len(looks)])
        np.testing.assert_array_equal(verdict.features, expected.mean(axis=0).astype(np.float16))
        taken.add(len(looks))
    assert len(taken) > 1


def test_elimination_decides_as_all_draws_do():
    many = crops(300, seed=3)
    fast, quick = verdicts(many)
    slow, thorough = verdicts(many, exhaustive=True)
    assert {k: v.label for k, v in fast.items()} == {k: v.label for k, v in slow.items()}
    assert quick.passes < thorough.passes / 2
    assert {v.draws for v in slow.values()} == {6}


def test_a_verdict_is_whole():
    for verdict in REFERENCE.values():
        assert set(verdict.scores) == set(CLASSES) and sum(
            verdict.scores.values()
        ) == pytest.approx(1, abs=1e-4)
        assert 0 <= verdict.anomaly.score < 1 and 1 <= verdict.draws <= 6 and verdict.anomaly.reason


def test_an_undecided_cell_says_so():
    between = np.full((1, 128, 128, 3), 96, np.uint8)  # as far from one class as from another
    (verdict,) = verdicts(between)[0].values()
    assert verdict.draws == 6 and not verdict.decided


def test_cells_come_out_while_others_wait():
    """With nothing more to come just now, what is there is finished: no cell waits for a full
    batch.
    """

    def source():
        yield 0, CELLS[0]
        yield None
        yield 1, CELLS[1]

    stream = judge(source(), BrightnessEngine(), tiny_model())
    assert next(stream)[0] == 0


def test_batches_are_full_where_cells_are_plenty():
    _, engine = verdicts(CELLS)
    assert sum(v.draws for v in REFERENCE.values()) / (engine.passes * engine.batch) > 0.6


def test_a_small_crop_is_refused():
    with pytest.raises(ValueError, match="smaller than the model's window"):
        list(judge([(0, np.zeros((64, 64, 3), np.uint8))], BrightnessEngine(), tiny_model()))
