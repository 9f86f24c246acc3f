"""When the red cells of a slide are an alert, and when chance explains them."""

import numpy as np
import pytest

from stream.alerts.red_cell_rules import red_alerts
from stream.config import Alerts, RedCells


def figures(schistocytes: int = 0, judged: int = 2000, anomalous: int = 2) -> dict:
    share = {"count": schistocytes, "percent": 100 * schistocytes / judged}
    return {"judged": judged, "anomalous": anomalous, "kinds": {"schistocyte": share}}


def with_spherocytes(count: int, judged: int = 2000) -> dict:
    share = {"count": count, "percent": 100 * count / judged}
    return {"judged": judged, "anomalous": 0, "kinds": {"spherocyte": share}}


def rules_of(made: dict) -> list[str]:
    return [f"{a.severity} {a.rule}" for a in red_alerts(made, Alerts(), RedCells(), "scanner")]


@pytest.mark.parametrize(
    ("schistocytes", "judged", "expected"),
    [
        (0, 2000, []),
        (19, 2000, []),
        (40, 2000, []),
        (70, 2000, ["urgent schistocytes"]),
        (4, 100, []),
        (10, 100, ["urgent schistocytes"]),
    ],
)
def test_schistocytes_are_told_from_one_per_cent_where_chance_is_no_reason(
    schistocytes, judged, expected
):
    assert rules_of(figures(schistocytes, judged, anomalous=0)) == expected


@pytest.mark.parametrize(
    ("count", "judged", "expected"),
    [
        (60, 2000, []),
        (100, 2000, ["warning spherocytes"]),
        (3, 50, []),
        (400, 2000, ["warning spherocytes"]),
    ],
)
def test_spherocytes_are_told_from_five_per_cent_where_chance_is_no_reason(count, judged, expected):
    assert rules_of(with_spherocytes(count, judged)) == expected


def test_the_alert_of_anomalous_cells_says_how_many_are_long():
    made = figures(anomalous=20) | {"anomalous_long": 7}
    (alert,) = red_alerts(made, Alerts(), RedCells(), "scanner")
    assert "7 of them are long and narrow" in alert.reason


def test_many_anomalous_cells_are_told_as_one_alert():
    assert rules_of(figures(anomalous=20)) == ["warning anomalous-red-cells"]


def test_slides_without_judged_red_cells_raise_nothing():
    assert red_alerts({"cells": 10}, Alerts(), RedCells(), "scanner") == []


def test_normal_slides_are_rarely_an_alert():
    rng = np.random.default_rng(0)
    counts = zip(rng.binomial(2000, 0.005, 2000), rng.binomial(2000, 0.001, 2000), strict=True)
    alerts = [rules_of(figures(int(s), anomalous=int(a))) for s, a in counts]
    assert sum(map(bool, alerts)) <= 8  # two tests at 1 in 1,000 each
