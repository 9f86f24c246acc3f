"""How a verdict comes about, part by part: probabilities, anomaly, elimination, sets of classes,
sizes; held to other libraries' formulas where there are some, else to what is written down.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from classify.anomaly.conformal import (
    benjamini_hochberg,
    by_chance,
    fit_tail,
    label_scores,
    p_values,
    padded_scores,
    prediction_sets,
    survival,
)
from classify.anomaly.drift import Drift, calibration_drift
from classify.anomaly.score import (
    all_scores,
    bands_of,
    features,
    fit_oddity,
    least,
    moments,
    oddity_of,
    relative,
    tables_of,
)
from classify.anomaly.verdict import absolute, assess, per_thousand, reason_of
from classify.cell_size import contradiction_of, size_evidence
from classify.elimination import (
    NEVER,
    chance_of,
    fit_settling,
    running_minimum,
    settle,
    settled_at,
    survivors_of,
    threshold,
)
from classify.errors import ModelError
from classify.model_card import CellSize, ClassEntry, Model
from classify.rule import Rule, class_parents, may_be, posterior, within
from tests.golden_figures import GoldenFile
from tests.make import tiny_model

FITTED = {"rel": 2e-3, "least": 1e-5}  # a minimum is found to within its tolerance
SIGMA = np.array([0.05, 0.3, 0.1, 0.9, 0.5, 0.2])


def error_rows(cells: int = 240, draws: int = 6, classes: int = 4, seed: int = 2) -> np.ndarray:
    """Errors (n, D, K) of which class n % K errs least."""
    rng = np.random.default_rng(seed)
    errors = rng.gamma(30, 1 / 30, (cells, draws, classes)) * (0.6 + SIGMA[:draws, None])
    errors[np.arange(cells), :, np.arange(cells) % classes] *= 0.8
    return errors


def test_the_anomaly_score_part_by_part(golden: GoldenFile) -> None:
    errors = error_rows()
    fitted = fit_oddity(errors, SIGMA)
    seen = error_rows(12, seed=5) * np.linspace(0.5, 2.5, 12)[:, None, None]
    abroad = fit_oddity(error_rows(80, seed=7) * 1.3, SIGMA, fitted)
    figures = {
        "bands": bands_of(SIGMA),
        "relative": relative(seen),
        "two classes": relative(seen[:3, :, :2]),
        "least": [least(seen, SIGMA), least(seen[:, :2], SIGMA)],
        "features": [features(seen[:2], SIGMA), features(seen[:2, :2], SIGMA)],
        "fitted": {name: getattr(fitted, name) for name in tables_of(fitted)},
        "whitening": fitted.whitening,
        "raw": [fitted.raw(seen[:, :d]) for d in (1, 3, 6)],
        "p": [fitted.p_value(seen[:, :d]) for d in (1, 3, 6)],
        "abroad": [abroad.raw(seen), abroad.p_value(seen), abroad.normal, abroad.tail],
        "about other moments": all_scores(seen, SIGMA, moments(errors[:100], SIGMA)),
        "other seed and weights": fit_oddity(errors, SIGMA, seed=3, part_weights=(1, 0, 2)).normal,
        "weights": [fitted.part_weights, abroad.part_weights],
    }
    golden("anomaly", figures, rel=1e-5)


def test_a_tail_is_that_of_the_generalised_pareto_distribution() -> None:
    values = np.linspace(0.5, 40, 60)
    for scale, shape in ((2.0, 0.3), (1.0, 0.0), (5.0, 0.9)):
        tail = np.array([3.0, scale, shape])
        expected = np.maximum(stats.genpareto.sf(values, shape, 3.0, scale), 1e-30)
        np.testing.assert_allclose(survival(values, tail), expected, rtol=1e-9)
    assert survival(np.array([1e9]), np.array([0.0, 1.0, 0.0]))[0] == 1e-30


def test_tails_of_scores(golden: GoldenFile) -> None:
    rng = np.random.default_rng(4)
    heavy = np.sort(stats.genpareto.rvs(0.35, size=900, random_state=rng))
    figures = {
        "heavy": fit_tail(heavy),
        "light": fit_tail(np.sort(rng.uniform(0, 1, 500))),
        "of 19": fit_tail(np.sort(rng.exponential(2, 194))),
        "of 20": fit_tail(np.sort(rng.exponential(2, 195))),
        "of few": fit_tail(np.array([1.0, 2.0, 4.0])),
        "of none": fit_tail(np.full(30, 2.0)),
        "beyond": p_values(np.array([0.1, 3, 8, 60, 1e6]), heavy, np.array(fit_tail(heavy))),
    }
    golden("tails", figures)


def test_p_values_count_what_is_at_least_as_anomalous() -> None:
    normal = np.array([1.0, 2.0, 2.0, 3.0])
    raw = np.array([0.5, 1.0, 2.0, 2.5, 3.0, 9.0])
    assert p_values(raw, normal).tolist() == [1.0, 1.0, 0.8, 0.4, 0.4, 0.2]
    tail = np.array([2.0, 1.0, 0.0])
    found = p_values(raw, normal, tail)
    assert found[:5].tolist() == [1.0, 1.0, 0.8, 0.4, 0.4]
    assert found[5] == pytest.approx(0.2 * np.exp(3 - 9))
    assert p_values(np.array([3.01]), normal, tail)[0] <= 0.2


def test_false_discovery_and_chance_are_scipys() -> None:
    p = np.random.default_rng(1).uniform(0, 1, 40) ** 2
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p))
    for alerts, cells, rate in ((1, 200, 0.01), (6, 200, 0.01), (200, 200, 0.5)):
        assert by_chance(alerts, cells, rate) == pytest.approx(
            stats.binom.sf(alerts - 1, cells, rate)
        )
    assert by_chance(0, 200, 0.01) == 1.0


def test_sets_of_classes_cover_what_they_say() -> None:
    """Class 0 was calibrated on probabilities 0.9 to 0.5, class 1 on two cells."""
    probability = np.array([[0.9, 0.1], [0.7, 0.3], [0.5, 0.5], [0.2, 0.8], [0.4, 0.6]])
    ill = label_scores(probability, np.array([0, 0, 0, 1, 1]))
    expected = np.array([[0.1, 0.3, 0.5], [0.2, 0.4, np.inf]])
    np.testing.assert_allclose(ill, expected)
    pooled = label_scores(probability, np.array([0, 0, 0, 1, 1]), least=3)
    np.testing.assert_allclose(pooled[0, :3], [0.1, 0.3, 0.5])
    np.testing.assert_allclose(pooled[1], [0.1, 0.2, 0.3, 0.4, 0.5])
    assert padded_scores([np.array([1.0]), np.array([1.0, 2.0])]).tolist() == [[1, np.inf], [1, 2]]
    asked = np.array([[0.95, 0.05], [0.5, 0.5], [0.49, 0.61], [0.7, 0.3]])
    sets = {c: prediction_sets(asked, expected, c).astype(int).tolist() for c in (0.3, 0.6, 0.9)}
    assert sets == {
        0.3: [[1, 0], [0, 0], [0, 0], [0, 0]],
        0.6: [[1, 0], [1, 0], [0, 1], [1, 0]],
        0.9: [[1, 1], [1, 1], [1, 1], [1, 1]],
    }


@pytest.mark.parametrize(
    ("drift", "far"),
    [
        (Drift(0.26, 9e-4, 30), True),
        (Drift(0.25, 9e-4, 30), False),
        (Drift(0.26, 1e-3, 30), False),
        (Drift(0.26, 9e-4, 29), False),
    ],
)
def test_which_drift_is_far(drift: Drift, far: bool) -> None:
    assert drift.far is far


def test_drift_is_kolmogorovs_distance_of_ranks() -> None:
    usual = np.array([[0.0, 1.0, 2.0, 3.0], [5.0, 6.0, np.inf, np.inf], [np.inf] * 4])
    model = replace(tiny_model(), usual=usual)
    labels = ["dark", "dark", "light", "light", "other", "unknown"]
    values = [2.5, 1.0, 6.5, 5.5, 3.0, 1.0]
    ranks = [0.75, 0.375, 1.0, 0.5]
    found = calibration_drift(model, labels, values)
    assert found.cells == 4
    assert found.distance == pytest.approx(stats.kstest(ranks, "uniform").statistic)
    apart = found.distance * np.sqrt(4 * 6 / 10)
    assert found.p_value == pytest.approx(stats.kstwobign.sf(apart))
    assert calibration_drift(tiny_model(), labels, values) == Drift(0.0, 1.0, 0)
    assert calibration_drift(model, ["other"], [1.0]) == Drift(0.0, 1.0, 0)


def test_anomaly_and_its_reason(golden: GoldenFile) -> None:
    model = tiny_model()
    errors = np.abs(np.random.default_rng(3).normal(0.6, 0.2, (5, 4, 3)))
    probability = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3]])
    found = assess(model, oddity_of(model), errors[:3], probability)
    figures = {
        "score": found.score,
        "relative": found.relative,
        "absolute": found.absolute,
        "part": found.part(np.array([2, 0])),
        "z": absolute(errors, np.array([0, 1, 2, 0, 1]), model.mean, model.spread),
        "reasons": [
            reason_of(model, probability[row], z, score)
            for row, z, score in ((0, 1.26, 0.52), (1, -0.4, 0.99924), (2, 0.0, 1 - 1e-9))
        ],
        "in 1,000": [per_thousand(p) for p in (1.0, 0.01, 0.0099, 1e-6, 9e-7, 0.0994, 0.00996)],
    }
    golden("anomaly-of-cells", figures)
    with pytest.raises(ModelError) as refused:
        oddity_of(replace(model, centre=None))
    assert refused.value.what == ".: nothing on normal cells in its tables"
    assert refused.value.hint == "export the model again"
    without_weights = oddity_of(replace(model, part_weights=None))
    assert without_weights.part_weights.tolist() == [0.5, 1.0, 1.0]


def chances() -> np.ndarray:
    """Probabilities (n, D, K) of 60 cells that settle at different draws."""
    scale = replace(
        tiny_model(),
        weight=np.linspace(1, 3, 6),
        temperature=np.linspace(0.2, 0.6, 6),
        bias=np.array([0.1, 0.0, -0.2, 0.3]),
    )
    return posterior(error_rows(60), scale)


def test_how_classes_are_eliminated(golden: GoldenFile) -> None:
    probability = chances()
    reference = probability[:, -1].argmax(axis=1)
    settling = fit_settling(probability, reference)
    sharp = chance_of(probability, settling)
    figures = {
        "probability": probability,
        "settling": settling,
        "chance": sharp,
        "least": running_minimum(sharp, reference),
        "survivors": survivors_of(sharp, 0.02).sum(axis=1),
        "settled": settled_at(sharp, 0.02),
        "settle": settle([probability, probability**1.2], 0.2),
        "thresholds": [threshold(np.linspace(0, 1, n), 0.01) for n in (298, 299, 500, 1001)],
        "other confidence": threshold(np.linspace(0, 1, 1001), 0.01, 0.5),
    }
    golden("elimination", figures, **FITTED)
    assert threshold(np.zeros(1000), 0.01) == NEVER == 1e-12


def test_what_survives_and_when_one_is_alone() -> None:
    chance = np.array(
        [
            [[0.5, 0.4, 0.1], [0.9, 0.05, 0.05]],
            [[0.1, 0.1, 0.8], [0.8, 0.1, 0.1]],
            [[0.4, 0.3, 0.3], [0.4, 0.4, 0.2]],
        ]
    )
    assert survivors_of(chance, 0.2).astype(int).tolist() == [[1, 0, 0], [1, 0, 0], [1, 1, 1]]
    assert settled_at(chance, 0.2).tolist() == [2, 1, 2]
    assert settled_at(chance, 0.4).tolist() == [2, 1, 1]
    assert running_minimum(chance, np.array([0, 0, 0])).tolist() == [0.5, 0.1, 0.4]
    assert running_minimum(chance, np.array([1, 1, 2])).tolist() == [0.0, 0.0, 0.0]


def test_rounds_end_as_the_card_says(golden: GoldenFile) -> None:
    """Some cells are done early, plain ones at once, anomalous ones after the screening draws."""
    model = tiny_model(elimination=0.05)
    card = model.card.model_copy(update={"screen_draws": 3, "screen": 0.6, "coverage": 0.8})
    ill = np.array([[0.1, 0.3, 0.5], [0.1, 0.2, 0.6], [0.2, 0.3, 0.9]])
    model = replace(model, card=card, ill=ill)
    rng = np.random.default_rng(8)
    errors = 0.3 + np.abs(rng.normal(0.3, 0.3, (14, 6, 3)))
    errors[np.arange(14), :, np.arange(14) % 3] *= np.linspace(0.2, 1.1, 14)[:, None]
    figures = {}
    for name, rule in (("rule", Rule(model)), ("exhaustive", Rule(model, exhaustive=True))):
        for draws in (1, 2, 3, 6):
            decision = rule.decide(errors[:, :draws])
            figures[f"{name} after {draws}"] = decision and [
                decision.rows,
                decision.left,
                decision.draws,
                [
                    [v.label, v.parent, v.decided, v.may_be, v.parents_possible, v.scores]
                    for v in rule.verdicts(decision)
                ],
            ]
    evidence = np.tile([0.0, -3.0, 1.0], (14, 1))
    figures["with evidence"] = Rule(model).decide(errors, evidence)
    figures["posterior"] = posterior(errors[:2], model, evidence[:2])
    golden("rounds", figures)


def with_parents() -> Model:
    model = tiny_model()
    taxonomy = {"dark": ClassEntry(parent="grey"), "light": ClassEntry(parent="grey")}
    return replace(model, card=model.card.model_copy(update={"taxonomy": taxonomy}))


def test_classes_of_one_parent_count_together() -> None:
    model = with_parents()
    parents = class_parents(model)
    assert parents.names == ("grey", "other")
    assert parents.inside.tolist() == [[1, 1, 0], [0, 0, 1]]
    assert parents.parent_of == {"dark": "grey", "light": "grey", "other": "other"}
    assert within(np.array([[0.2, 0.3, 0.5]]), parents.inside).tolist() == [[0.5, 0.5]]
    assert may_be(model, np.array([[0.2, 0.3, 0.5], [0.6, 0.1, 0.3]])) == [("other",), ("dark",)]


def sized_model(**sizes: CellSize) -> Model:
    model = tiny_model()
    taxonomy = {
        "dark": ClassEntry(parent="neutrophil"),
        "light": ClassEntry(parent="platelet"),
    }
    card = model.card.model_copy(update={"sizes": sizes, "taxonomy": taxonomy})
    return replace(model, card=card)


SIZES = {
    "dark": CellSize(log_mean=4.6, log_spread=0.3, white=0.98, cells=50),
    "light": CellSize(log_mean=1.8, log_spread=0.4, white=0.1, cells=50),
}


def test_what_a_size_says_of_a_class(golden: GoldenFile) -> None:
    card = sized_model(**SIZES).card
    asked = [("wbc", 100.0), ("wbc", 8.0), ("platelet", 8.0), ("platelet", 100.0), ("wbc", 500.0)]
    figures = {
        "evidence": {f"{kind} {area}": size_evidence(card, kind, area) for kind, area in asked},
        "contradiction": {
            f"{kind} {area} {label}": contradiction_of(card, kind, area, label)
            for kind, area in [*asked, ("wbc", 20.0), ("platelet", 30.0), ("wbc", 25.0)]
            for label in ("dark", "light", "other")
        },
    }
    golden("cell-size", figures)
    for kind, area, known in (("rbc", 50.0, card), ("wbc", 0.0, card), ("wbc", 9.0, None)):
        asked_card = known or tiny_model().card
        assert size_evidence(asked_card, kind, area).tolist() == [0.0, 0.0, 0.0]
    assert contradiction_of(card, "rbc", 50.0, "dark") == ""
    best = stats.norm.pdf(np.log(100), 4.6, 0.3) * 0.98 + 0.02 / np.log(1000)
    poor = stats.norm.pdf(np.log(100), 1.8, 0.4) * 0.98 + 0.02 / np.log(1000)
    expected = np.log(0.1 * poor) - np.log(0.98 * best)
    assert size_evidence(card, "wbc", 100.0)[1] == pytest.approx(expected)


def test_a_model_without_tables_is_named(tmp_path: Path) -> None:
    model = replace(tiny_model(), centre=None, graph=tmp_path / "denoiser.onnx")
    with pytest.raises(ModelError) as refused:
        oddity_of(model)
    assert refused.value.what.startswith(f"{tmp_path}: ")
