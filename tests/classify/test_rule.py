"""The rule over all cells of a round says what the slow one says of each cell."""

from dataclasses import replace

import numpy as np
import pytest

from classify.anomaly import label_scores
from classify.calibration.certainty import replayed_verdicts
from classify.elimination import settle
from classify.model_card import ClassEntry
from classify.rule import Rule, posterior
from tests.classify.slow_rule import slow_verdict
from tests.make import tiny_model


def error_rows(model, count, seed=0):
    """Errors (n, D, K) of cells plainly of a class, between two, and of none."""
    rng = np.random.default_rng(seed)
    draws = len(model.sigma)
    middle = rng.choice([-0.6, 0.1, 0.8, -0.25, 0.45, 3.0], count) + rng.normal(0, 0.1, count)
    base = 0.3 + np.abs(middle[:, None, None] - np.linspace(-0.6, 0.8, 3))
    return (base + rng.normal(0, 0.02, (count, draws, 3))).astype(np.float32)


def whole_model(draws=6):
    """With parents, settling and prediction sets, as a released one has them."""
    model = tiny_model(draws)
    taxonomy = {
        name: ClassEntry(parent=parent)
        for name, parent in zip(model.card.classes, ("cell", "cell", "other"), strict=True)
    }
    card = model.card.model_copy(update={"taxonomy": taxonomy, "screen": 0.7})
    known = posterior(error_rows(model, 900, seed=5), model)
    settling, threshold = settle([known], 0.02)
    return replace(
        model,
        card=card.model_copy(update={"elimination": threshold}),
        settling=settling,
        ill=label_scores(known[:, -1], known[:, -1].argmax(axis=1)),
    )


MODELS = {"plain": tiny_model(), "whole": whole_model()}


@pytest.mark.parametrize("name", MODELS)
def test_all_cells_at_once_as_each_alone_by_the_slow_rule(name):
    model = MODELS[name]
    errors = error_rows(model, 150)
    fast = [verdict for verdict, _ in replayed_verdicts(model, errors)]
    assert len({v.draws for v in fast}) > 2
    for own, verdict in zip(errors, fast, strict=True):
        slow = slow_verdict(model, own)
        exact = ("label", "draws", "decided", "may_be", "parent", "parents_possible")
        assert [getattr(verdict, n) for n in exact] == [getattr(slow, n) for n in exact]
        assert verdict.scores == pytest.approx(slow.scores, abs=1e-6)
        assert verdict.parents == pytest.approx(slow.parents, abs=1e-6)
        assert verdict.anomaly.score == pytest.approx(slow.anomaly.score, abs=1e-9)
        assert verdict.anomaly.relative == pytest.approx(slow.anomaly.relative, abs=1e-6)
        assert verdict.anomaly.absolute == pytest.approx(slow.anomaly.absolute, rel=1e-5)


def test_the_exhaustive_rule_takes_every_draw():
    model = MODELS["whole"]
    errors = error_rows(model, 30)
    rule = Rule(model, exhaustive=True)
    assert rule.decide(errors[:, :-1]) is None
    decision = rule.decide(errors)
    assert decision.rows.tolist() == list(range(30))
    slow = [slow_verdict(model, own, exhaustive=True).label for own in errors]
    assert [verdict.label for verdict in rule.verdicts(decision)] == slow


@pytest.mark.parametrize("draws", [1, 2, 9, 20])
def test_what_stands_beside_a_cell_changes_no_bit_of_it(draws):
    model = whole_model(20)
    rule = Rule(model)
    errors = error_rows(model, 61)[:, :draws]
    together = rule.decide(errors)
    verdicts = dict(zip(together.rows.tolist(), rule.verdicts(together), strict=True))
    for row in range(len(errors)):
        alone = rule.decide(errors[row : row + 1])
        assert (alone is not None) == (row in verdicts)
        if alone:
            assert rule.verdicts(alone) == [verdicts[row]]
