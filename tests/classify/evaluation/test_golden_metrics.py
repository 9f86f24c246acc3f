"""The figures of an evaluation and of the judge's cost, held to scipy's where it has them, else to
what is written down.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import mahalanobis

pytest.importorskip("torch", reason="the train extra is not installed")

from classify.anomaly import fit_oddity  # noqa: E402
from classify.benchmark.judge_timing import (  # noqa: E402
    ABROAD,
    HOME,
    ODD,
    Cells,
    TimedEntry,
    disagreement,
    figures,
    first_verdicts,
    one_pair,
)
from classify.benchmark.paper_procedure import steps, survivors  # noqa: E402
from classify.benchmark.scaling import chances, quality  # noqa: E402
from classify.calibration import ErrorTable  # noqa: E402
from classify.evaluation import metrics  # noqa: E402
from classify.evaluation.axis_generated import counted_in  # noqa: E402
from classify.evaluation.figures import (  # noqa: E402
    DIFFERENCE,
    Figure,
    ResampledRow,
    best_figure,
    plain,
)
from classify.evaluation.generation_metrics import (  # noqa: E402
    covered,
    kid,
    kid_interval,
    nearest_pixels,
    thumbnails,
)
from classify.evaluation.scoring import (  # noqa: E402
    bare,
    centred,
    discriminative,
    fit_nearness,
    ours,
    score_scale_of,
    search_scores,
)
from classify.evaluation.training_report import losses_of, smoothed  # noqa: E402
from classify.model_card import SHIPPED, ClassEntry, read_card  # noqa: E402
from tests.golden_figures import GoldenFile  # noqa: E402
from tests.make import BrightnessEngine, tiny_model  # noqa: E402

pytestmark = pytest.mark.train
RNG = np.random.default_rng(4)
Y = RNG.integers(0, 4, 200)
P = RNG.dirichlet((0.7, 0.7, 0.7, 0.7), 200) * 0.6 + 0.4 * np.eye(4)[RNG.permutation(Y)]
SAID = P.argmax(axis=1)
SURE = P.max(axis=1)


def test_all_figures_of_a_set_of_verdicts(golden: GoldenFile) -> None:
    right = SAID == Y
    golden(
        "metrics",
        {
            "recalls": metrics.recalls(Y, SAID),
            "balanced accuracy": metrics.balanced_accuracy(Y, SAID),
            "confusion": metrics.confusion(Y, SAID, 4),
            "auc": [metrics.auc(SURE, Y == 2), metrics.auc(np.round(SURE, 1), Y == 2)],
            "ece": [metrics.ece(SURE, right), metrics.ece(SURE, right, 4)],
            "brier": metrics.brier(P, Y),
            "aurc": metrics.aurc(SURE, right),
            "risk": metrics.risk_coverage(SURE, right)[::10],
            "selective": [metrics.selective_accuracy(SURE, right, c) for c in (0.001, 0.5, 1.0)],
            "sensitivity": [metrics.sensitivity(SURE, Y == 3, s) for s in (0.01, 0.1, 0.4)],
            "default": metrics.sensitivity(SURE, Y == 3),
            "interval": metrics.interval(lambda rows: float(right[rows].mean()), Y, 80),
            "other seed": metrics.interval(lambda rows: float(SURE[rows].max()), Y, 20, 3),
        },
    )


def test_rows_of_a_table_of_figures(golden: GoldenFile) -> None:
    row = ResampledRow("home", "all", "accuracy", Y, 30)
    arms = {
        "ours": lambda rows: float((SAID == Y)[rows].mean()),
        "baseline": lambda rows: float((P[rows, 0] > 0.3).mean()),
    }
    found = row.compare(arms, ("ours", "baseline"))
    assert [f.arm for f in found] == ["ours", "baseline", DIFFERENCE]
    assert [f.arm for f in row.compare(arms)] == ["ours", "baseline"]
    alone = plain("home", "all", "cells", "ours", 12.3456789, 7)
    golden("figures", [f.as_dict() for f in [*found, alone]])
    ranked = [replace(alone, arm=arm, value=v) for arm, v in (("a 1", 1), ("a 2", 3), ("b", 9))]
    assert best_figure(ranked, "a") == "a 2"
    assert isinstance(alone, Figure) and alone.as_dict()["low"] is None


def test_scores_of_both_kinds_of_arm(golden: GoldenFile) -> None:
    errors = np.random.default_rng(2).gamma(20, 1 / 20, (200, 5, 4))
    errors[np.arange(200), :, Y] -= 0.12
    weight = np.array([1.0, 2.0, 3.0, 2.0, 1.0])
    scale = score_scale_of(ErrorTable(errors, Y), weight, np.array([0.0, 0.3, 0.0, -0.5]))
    oddity = fit_oddity(errors[:120], np.geomspace(0.05, 1, 5))
    features = np.random.default_rng(3).normal(0, 1, (200, 5)) + Y[:, None]
    logits = 6 * P
    nearness = fit_nearness(features, Y)
    mine = ours(errors[:6], scale, oddity)
    other = discriminative(features[:6], logits[:6], scale_of_logits(), nearness)
    taxonomy = {
        "blast": ClassEntry(parent="blast", normal=False, beside=("mono", "absent")),
        "mono": ClassEntry(parent="mono"),
        "gone": ClassEntry(parent="gone", normal=False),
    }
    classes = ("seg", "mono", "blast", "lymph")
    golden(
        "scores",
        {
            "scale": scale,
            "without bias": score_scale_of(ErrorTable(errors, Y), weight),
            "ours": [mine.probability, mine.odd, mine.predicted, mine.confidence],
            "bare": [ours(errors[:6], bare(weight, 4), None)],
            "baseline": other,
            "without features": discriminative(features[:2], logits[:2], scale_of_logits(), None),
            "searched": search_scores(P[:8], classes, taxonomy),
            "centred": [np.bincount(centred(P[:90] ** 2, P[90:]), minlength=4), centred(P, P)[:9]],
            "nearness": nearness,
        },
        rel=1e-4,
    )


def scale_of_logits():
    return bare(np.ones(1), 4)


def test_nearness_is_mahalanobis_distance_to_the_nearest_class() -> None:
    features = np.random.default_rng(3).normal(0, 1, (200, 3)) + Y[:, None]
    found = fit_nearness(features, Y)
    inside = sum(np.cov(features[c == Y].T, bias=True) * (c == Y).mean() for c in range(4))
    share = 3 / 203
    shrunk = (1 - share) * inside + share * np.diag(np.diag(inside) + 1e-9)
    inverse = np.linalg.inv(shrunk)
    means = [features[c == Y].mean(axis=0) for c in range(4)]
    expected = [min(mahalanobis(row, m, inverse) ** 2 for m in means) for row in features[:9]]
    np.testing.assert_allclose(found.distance(features[:9]), expected, rtol=1e-9)


def test_generated_cells_are_measured(golden: GoldenFile) -> None:
    rng = np.random.default_rng(5)
    real, made = rng.normal(0, 1, (30, 6)), rng.normal(0.4, 1.2, (24, 6))
    images = rng.normal(0, 1, (5, 3, 35, 35))
    known = np.concatenate([images[:2, :, :, ::-1], rng.normal(0, 1, (3, 3, 35, 35))])
    kept = images[:, :, :32, :32].reshape(5, 3, 16, 2, 16, 2).mean(axis=(3, 5)).reshape(5, -1)
    np.testing.assert_allclose(thumbnails(images), kept)
    golden(
        "generated",
        {
            "kid": kid(made, real),
            "interval": kid_interval(made, real, 1)[1:],
            "default": kid_interval(made[:8], real[:8]),
            "covered": [int(covered(made, real, k).sum()) for k in (1, 3, 99)],
            "by default": covered(made, real),
            "pixels": nearest_pixels(images, known),
        },
    )


def entry(labels: np.ndarray, seed: int = 0) -> TimedEntry:
    rng = np.random.default_rng(seed)
    n = len(labels)
    odd = rng.random(n)
    return TimedEntry("way", 4.0, 3.0, 5 * n, labels, odd, rng.integers(1, 9, n), odd < 0.8)


def test_what_a_way_of_judging_costs(golden: GoldenFile) -> None:
    n = len(Y)
    group = np.repeat([HOME, ABROAD, ODD], [100, 60, 40])
    y = np.where(group == ODD, -1, Y)
    cells = Cells(np.zeros((n, 1, 1, 3), np.uint8), y, group, np.arange(n) % 2 == 1)
    mine, reference = entry(SAID), entry(Y, 1)
    home_only = cells.part(np.arange(60))
    both = cells.part(np.arange(100, 200))
    kinds = {
        "all": figures(mine, cells, reference),
        "home": figures(entry(SAID[:60]), home_only, entry(Y[:60])),
        "away": figures(entry(SAID[100:]), both, entry(Y[100:])),
        "disagreement": disagreement(mine, cells, reference),
        "disagreement at home": disagreement(entry(SAID[:60]), home_only, entry(Y[:60])),
        "thinned": [cells.thinned(count).group for count in (7, 3)],
        "not thinned": [len(cells.thinned(count).y) for count in (0, 200, 201, 199)],
    }
    golden("judge-cost", kinds)
    assert list(kinds["home"]) == [
        "cells",
        "cells_per_s",
        "draws",
        "passes",
        "utilisation",
        "undecided",
        "agreement",
        "balanced_accuracy",
    ]
    assert set(kinds["away"]) - set(kinds["home"]) == {"auc_same_lab"}


def test_the_first_verdict_takes_one_cell_at_a_time() -> None:
    model = tiny_model()
    crops = np.full((3, 128, 128, 3), 90, np.uint8)
    engine = BrightnessEngine()
    took = first_verdicts(model, engine, crops)
    assert took.shape == (3,) and (took > 0).all() and engine.passes > 3
    assert [x.shape for x in one_pair(model)] == [(1, 3, 16, 16), (1, 3, 16, 16), (1,)]


def test_what_draws_buy_and_what_the_paper_spends(golden: GoldenFile) -> None:
    rng = np.random.default_rng(7)
    errors = rng.gamma(20, 1 / 20, (200, 9, 4))
    errors[np.arange(200), :, Y] -= 0.15
    group = np.repeat([HOME, ODD], [150, 50])
    cells = Cells(np.zeros((200, 1, 1, 3), np.uint8), Y, group, np.ones(200, bool))
    at_home = Cells(cells.crops, np.where(Y == 3, -1, Y), np.zeros(200, int), cells.fresh)
    model = tiny_model()
    three = errors[:4, :6, :3]
    settled = replace(model, settling=np.full(6, 0.5, np.float32))
    golden(
        "draws-and-passes",
        {
            "quality": quality(errors, np.linspace(1, 2, 9), cells),
            "home": quality(errors, np.linspace(1, 2, 9), at_home),
            "chances": [chances(model, three), chances(settled, three[..., :2])],
            "tests": [steps(37), steps(21), steps(26), len(steps(2000))],
        },
        rel=1e-4,
    )
    left = np.array([0, 2, 3])
    apart = errors[:, 0].copy()
    expected = [
        c
        for c in left
        if c == left[apart[:, left].mean(axis=0).argmin()]
        or stats.ttest_rel(
            apart[:, c],
            apart[:, left[apart[:, left].mean(axis=0).argmin()]],
            alternative="greater",
        ).pvalue
        >= 2e-3
    ]
    assert survivors(apart, left).tolist() == expected
    apart[:, 2] += np.linspace(0.05, 0.4, 200)
    assert 2 not in survivors(apart, left)


def test_losses_are_smoothed_over_fifty_steps() -> None:
    rows = [{"denoising": float(n), "guide": 2.0, "other": 1.0} for n in range(120)]
    found = losses_of(rows)
    assert list(found) == ["denoising", "guide"]
    assert found["denoising"][[0, 1, 49, 50, 119]].tolist() == [0.0, 0.5, 24.5, 25.5, 94.5]
    assert smoothed([4.0, 8.0]).tolist() == [4.0, 6.0]


def test_the_classes_that_the_crops_are_labelled_with_or_their_parents() -> None:
    """Generated cells are compared with real ones of these."""
    card = read_card(SHIPPED)
    real = SimpleNamespace(classes=("lymphocyte", "ig", "band-neutrophil"))
    assert counted_in(real, card) == ("band-neutrophil", "ig", "lymphocyte")
    parents = SimpleNamespace(classes=("neutrophil", "blast"))
    assert counted_in(parents, card) == ("neutrophil", "blast")
