"""Scores by hand."""

import numpy as np
import pytest

from tests.scoring import BoxScore, dice, iou, score_boxes

NONE = np.zeros((0, 4))


def test_iou_of_boxes():
    assert iou([[0, 0, 2, 2]], [[1, 0, 3, 2], [5, 5, 6, 6], [0, 0, 2, 2]]) == pytest.approx(
        np.array([[1 / 3, 0, 1]])
    )
    assert iou(NONE, [[0, 0, 1, 1]]).shape == (0, 1)


def test_a_box_matches_once():
    truth = [[0, 0, 10, 10]]
    assert score_boxes([[0, 0, 10, 10], [0, 0, 10, 9]], truth) == BoxScore(1, 0, 1)


def test_the_most_pairs_not_the_first():
    found = [[0, 0, 10, 10], [0, 0, 10, 6]]
    truth = [[0, 0, 10, 9], [0, 3, 10, 12]]
    assert score_boxes(found, truth, 0.4).hits == 2


def test_scores():
    score = BoxScore(hits=6, missed=2, false=4)
    assert (score.f1, score.precision, score.recall) == pytest.approx((12 / 18, 0.6, 0.75))


def test_nothing_to_find():
    assert score_boxes(NONE, NONE).f1 == 1
    assert score_boxes(NONE, [[0, 0, 1, 1]]) == BoxScore(0, 1, 0)


def test_dice():
    a, b = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    assert dice(a, b) == 0.5
    assert dice(a & False, b & False) == 1
