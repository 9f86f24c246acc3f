"""Alert rules over cells, slides and scanners; a bad stain gives one alert."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from stream.alerts.evaluator import AlertEvaluator, check_rules
from stream.alerts.slide_rules import AnomalyShare, share_drift
from stream.config import Alerts, ClassRule, ConfigError, RatioRule
from stream.events.alert import Alert, SlideAlert
from stream.events.cell_events import cell_event
from tests.make import CLASSES, tiny_model
from tests.stream.making import STAMP, make_cell, make_slide, make_verdict

ODD, PLAIN = 0.99999, 0.5


def desk(given=(), this_hour=0, **rules):
    return AlertEvaluator(Alerts(**rules), "scanner-1", Counter(given), lambda: this_hour)


def test_a_bad_stain_gives_a_few_alerts_and_one_for_the_slide():
    at = desk(at_most_per_slide=3)
    found = [
        alert for n in range(200) for alert in at.of_cell(make_cell(n), make_verdict(ODD), n + 1)
    ]
    assert [type(alert) for alert in found[:4]] == [Alert, Alert, Alert, SlideAlert]
    assert {alert.rule for alert in found[3:]} == {
        "many-anomaly"
    }  # one event: its id is of slide and rule
    assert at.odd == 200


def test_a_run_that_goes_on_counts_the_alerts_of_before():
    at = desk(given={"anomaly": 3}, at_most_per_slide=3)
    (alert,) = at.of_cell(make_cell(), make_verdict(ODD), 1)
    assert isinstance(alert, SlideAlert)


def test_alerts_of_all_slides_have_a_limit_an_hour():
    (alert,) = desk(this_hour=5000).of_cell(make_cell(), make_verdict(ODD), 1)
    assert isinstance(alert, SlideAlert) and "hour" in alert.reason


def test_a_class_above_its_level():
    at = desk(classes=(ClassRule(label="neutrophil", above=0.8, severity="urgent"),))
    (alert,) = at.of_cell(make_cell(), make_verdict(PLAIN), 1)
    assert (alert.rule, alert.severity, alert.score) == ("class neutrophil", "urgent", 0.9)
    unsure = replace(make_verdict(PLAIN), scores={"neutrophil": 0.7, "ig": 0.3})
    assert at.of_cell(make_cell(), unsure, 2) == []


@pytest.mark.parametrize(
    ("blasts", "white", "speaks"),
    [(2, 5, False), (3, 200, False), (10, 200, False), (16, 200, True), (40, 200, True)],
)
def test_more_blasts_than_normal_slides_have(blasts, white, speaks):
    counts = Counter({"blast": blasts, "lymphocyte": white - blasts})
    found = [a for a in desk().of_slide(counts, white, []) if a.rule == "excess blast"]
    assert len(found) == speaks
    if speaks:
        assert (
            found[0].severity == "urgent" and f"{blasts} of {white} white cells" in found[0].reason
        )


@pytest.mark.parametrize(
    ("ig", "white", "speaks"), [(6, 100, True), (5, 100, False), (6, 49, False), (6, 200, False)]
)
def test_so_many_per_100_white_cells(ig, white, speaks):
    at = desk(per_100_white=(RatioRule(labels=("ig",), above=5.0),), white_at_least=50)
    found = [
        a
        for a in at.of_slide(Counter(ig=ig, neutrophil=white - ig), white, [])
        if a.rule.startswith("per-100-white")
    ]
    assert bool(found) == speaks
    assert not found or (found[0].severity, found[0].score) == ("urgent", 6.0)


def test_more_odd_cells_than_a_slide_may_have():
    at = desk(anomalies_per_slide=10)
    for n in range(11):
        at.of_cell(make_cell(n), make_verdict(ODD), n)
    assert "anomalies" in {alert.rule for alert in at.of_slide(Counter(neutrophil=500), 500, [])}


def slides(odd, count):
    return [AnomalyShare(odd, 1000)] * count


def test_drift_speaks_when_the_line_is_crossed_and_then_no_more():
    at = desk(drift_slides=3, drift_before=10, drift_z=5.0)
    at.odd = 60
    first = at.of_slide(Counter(neutrophil=1000), 1000, [*slides(60, 2), *slides(10, 10)])
    (alert,) = [a for a in first if a.rule == "drift"]
    assert alert.score > 5 and "scanner" in alert.reason and alert.cells == 3000
    again = at.of_slide(Counter(neutrophil=1000), 1000, [*slides(60, 3), *slides(10, 10)])
    assert not [a for a in again if a.rule == "drift"]


def test_drift_is_two_proportions():
    """Against the formula worked by hand: 30 of 1,000 and 10 of 1,000."""
    assert share_drift([AnomalyShare(30, 1000), AnomalyShare(10, 1000)], 1, 1) == pytest.approx(
        0.02 / (0.02 * 0.98 * 0.002) ** 0.5
    )
    assert share_drift(slides(10, 20), 5, 10) == 0
    assert share_drift(slides(10, 9), 5, 10) is None and share_drift(slides(0, 20), 5, 10) is None


def test_a_rule_for_a_class_that_the_model_has_not_is_an_error():
    with pytest.raises(ConfigError, match="no class blast"):
        check_rules(
            Alerts(per_100_white=(RatioRule(labels=("ig", "blast"), above=1),)),
            ("ig", "neutrophil"),
        )
    check_rules(Alerts(), ("ig",))


def test_a_cell_that_is_called_what_it_was_not_found_as():
    verdict = replace(make_verdict(PLAIN), contradiction="found as a platelet of 9 um2")
    (alert,) = desk().of_cell(make_cell(), verdict, 1)
    assert (alert.rule, alert.score) == ("contradiction", 1.0) and "9 um2" in alert.reason
    assert cell_event(make_slide(), make_cell(), verdict, STAMP).data["outcome"] == "unidentified"


def odd_slide(odd, cells, **rules):
    """The evaluator of a slide of so many cells, some of them anomalous."""
    at = desk(anomaly_above=0.99, **rules)
    for n in range(cells):
        at.of_cell(make_cell(n), make_verdict(ODD if n < odd else PLAIN), n + 1)
    return at


@pytest.mark.parametrize(("odd", "speaks"), [(0, False), (2, False), (3, False), (12, True)])
def test_an_ordinary_slide_is_silent_and_one_with_too_many_anomalies_speaks(odd, speaks):
    """2 of 200 are to be expected at 1 in 100; every alert of the slide is looked at."""
    counts = Counter(neutrophil=200)
    found = odd_slide(odd, 200).of_slide(counts, 200, [])
    assert [alert.rule for alert in found] == ["more-than-chance"] * speaks
    if speaks:
        assert found[0].score < 1e-3 == found[0].threshold and found[0].cells == 200
        assert found[0].reason.startswith("12 ") and "of 200, where 2.0" in found[0].reason


@pytest.mark.parametrize(("shift", "speaks"), [(0.0, False), (4.0, True), (-4.0, True)])
def test_a_slide_unlike_the_calibration_says_so(shift, speaks):
    """Probabilities do not hold where cells fit their classes otherwise than the calibration's."""
    usual = np.sort(np.random.default_rng(0).normal(0, 1, (3, 500)), axis=1)
    model = replace(tiny_model(), usual=usual)
    at = desk()
    absolute = np.random.default_rng(1).normal(shift, 1, 300)
    for n, value in enumerate(absolute):
        at.count(CLASSES[n % 3], 0.5, float(value))
    found = at.far_off(model)
    assert [alert.rule for alert in found] == ["calibration"] * speaks
    if speaks:
        assert found[0].cells == 300 and found[0].score > found[0].threshold
    few = desk()
    few.count(CLASSES[0], 0.5, 4.0)
    assert few.far_off(model) == []
