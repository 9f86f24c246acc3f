"""When the red cells of a slide are an alert, and when chance explains them."""

import numpy as np
import pytest

from stream.alerts.red_cell_rules import red_alerts
from stream.config import Alerts, RedCells


def figures(schistocytes: int = 0, judged: int = 2000, anomalous: int = 2) -> dict:
    share = {"count": schistocytes, "percent": 100 * schistocytes / judged}
    return {"judged": judged, "anomalous": anomalous, "kinds": {"schistocyte": share}}


def rules_of(made: dict) -> list[str]:
    return [f"{a.severity} {a.rule}" for a in red_alerts(made, Alerts(), RedCells(), "scanner")]


@pytest.mark.parametrize(
    ("schistocytes", "judged", "expected"),
    [
        (0, 2000, []),
        (19, 2000, []),
        (40, 2000, ["notice schistocytes"]),
        (2, 100, []),
        (8, 100, ["notice schistocytes"]),
    ],
)
def test_schistocytes_are_told_from_one_per_cent_where_chance_is_no_reason(
    schistocytes, judged, expected
):
    assert rules_of(figures(schistocytes, judged, anomalous=0)) == expected


def test_many_anomalous_cells_are_told_as_one_alert():
    assert rules_of(figures(anomalous=20)) == ["warning anomalous-red-cells"]


def test_slides_without_judged_red_cells_raise_nothing():
    assert red_alerts({"cells": 10}, Alerts(), RedCells(), "scanner") == []


def test_normal_slides_are_rarely_an_alert():
    rng = np.random.default_rng(0)
    counts = zip(rng.binomial(2000, 0.005, 2000), rng.binomial(2000, 0.001, 2000), strict=True)
    alerts = [rules_of(figures(int(s), anomalous=int(a))) for s, a in counts]
    assert sum(map(bool, alerts)) <= 8  # two tests at 1 in 1,000 each
