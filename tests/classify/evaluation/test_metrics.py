"""Metrics against values worked out by hand, and bootstrap intervals against theory."""

import numpy as np
import pytest

from classify.evaluation import metrics

Y = np.array([0, 0, 0, 1, 1, 2])
SAID = np.array([0, 0, 1, 1, 1, 0])


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_there():
    assert metrics.recalls(Y, SAID) == {0: pytest.approx(2 / 3), 1: 1.0, 2: 0.0}
    assert metrics.balanced_accuracy(Y, SAID) == pytest.approx(5 / 9)


def test_rows_of_the_confusion_are_the_truth():
    assert metrics.confusion(Y, SAID, 4).tolist() == [
        [2, 1, 0, 0],
        [0, 2, 0, 0],
        [1, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_auc_counts_pairs_in_order_and_half_the_ties():
    odd, anomalous = np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True])
    assert metrics.auc(odd, anomalous) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert metrics.auc(-odd, anomalous) == pytest.approx(1 - metrics.auc(odd, anomalous))


def test_no_more_normal_cells_than_stated_are_above_the_threshold_of_sensitivity():
    normal, strange = np.arange(200.0), np.array([150.0, 197.5, 198.5, 300.0])
    odd, anomalous = np.concatenate([normal, strange]), np.arange(204) >= 200
    assert metrics.sensitivity(odd, anomalous, 0.01) == pytest.approx(
        0.5
    )  # threshold 198: one normal cell is above it


def test_a_tie_of_all_cells_alarms_nobody():
    assert metrics.sensitivity(np.zeros(100), np.arange(100) >= 50) == 0


def test_ece_of_what_is_right_as_often_as_it_says_is_small_and_of_the_overconfident_is_the_gap():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 60_000)
    assert metrics.ece(confidence, rng.random(60_000) < confidence) < 0.01
    shuffled = rng.permutation(np.arange(30_000) < 18_000)
    assert metrics.ece(np.full(30_000, 0.9), shuffled) == pytest.approx(0.3, abs=0.01)


def test_brier_is_0_when_sure_and_right_and_2_when_sure_and_wrong():
    sure = np.eye(3)[[0, 1, 2]]
    assert (
        metrics.brier(sure, np.array([0, 1, 2])) == 0
        and metrics.brier(sure, np.array([1, 2, 0])) == 2
    )


def test_risk_falls_on_the_least_confident_first():
    confidence, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, True, False])
    assert metrics.risk_coverage(confidence, right).tolist() == [0, 0, 0, 0.25]
    assert metrics.aurc(confidence, right) == pytest.approx(0.0625)
    assert (
        metrics.selective_accuracy(confidence, right, 0.75) == 1
        and metrics.selective_accuracy(confidence, right, 1) == 0.75
    )


def test_the_interval_of_a_share_is_that_of_the_binomial():
    hit = np.arange(400) < 300
    value, low, high = metrics.interval(lambda i: float(hit[i].mean()), np.zeros(400))
    half = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert (
        value == 0.75
        and low == pytest.approx(0.75 - half, abs=0.01)
        and high == pytest.approx(0.75 + half, abs=0.01)
    )


def test_resampling_keeps_the_size_of_each_stratum():
    strata = np.array([0] * 5 + [1] * 3)
    sizes = []
    metrics.interval(
        lambda i: sizes.append(np.bincount(strata[i]).tolist()) or 0.0, strata, resamples=20
    )
    assert sizes == [[5, 3]] * 21
