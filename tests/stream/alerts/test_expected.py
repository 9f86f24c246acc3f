"""What `alerts --expected` says: worked out exactly, and read from what was measured."""

import numpy as np
import pytest
from scipy.stats import betabinom

from stream.alerts.expected import MeasuredAlarms, MeasuredFile, expected_alarms, measured_alarms
from stream.alerts.rare_classes import rare_classes
from stream.cli.commands.alerts import expected_line, measured_table
from stream.config import Alerts, ExcessRule

(RARE,) = rare_classes(Alerts(excess=(ExcessRule(labels=("blast",), background=0.01),)), None)


def test_it_is_what_simulation_gives():
    row = expected_alarms(RARE, 0.01, 200, found=0.8)
    rng = np.random.default_rng(0)
    rate = rng.beta(RARE.false_calls, RARE.right_calls, 20_000)
    normal = rng.binomial(200, rate)
    sick = rng.binomial(190, rate) + rng.binomial(10, 0.8, 20_000)
    assert row.false_per_100 == pytest.approx(100 * (normal >= row.alarm_from).mean(), abs=0.2)
    assert row.false_per_100 <= 1
    assert row.found[5] == pytest.approx((sick >= row.alarm_from).mean(), abs=0.02)
    assert row.found[2] < row.found[5] < row.found[10] < row.found[20]


def test_false_alarms_are_counted_in_a_hundred_normal_slides():
    row = expected_alarms(RARE, 0.01, 200)
    tail = betabinom.sf(row.alarm_from - 1, 200, RARE.false_calls, RARE.right_calls)
    assert row.false_per_100 == pytest.approx(100 * tail, rel=1e-6)
    before = betabinom.sf(row.alarm_from - 2, 200, RARE.false_calls, RARE.right_calls)
    assert tail <= 0.01 < before


def test_a_share_that_is_not_known_gives_no_sensitivity():
    row = expected_alarms(RARE, 0.01, 200)
    assert row.found == {} and expected_line(row)["alarm_from"] == row.alarm_from


def test_too_few_cells_never_alarm():
    assert expected_alarms(RARE, 1e-12, 3).alarm_from is None


def test_the_measured_figures_are_read_and_shown(tmp_path):
    rows = tuple(
        MeasuredAlarms(setting="as shipped", percent=percent, slides=20, alarms=alarms)
        for percent, alarms in ((0, 1), (5, 18))
    )
    made = MeasuredFile(
        model_id="m1", command="bench", slides="s", white=200, found={"blast": 0.5}, rows=rows
    )
    (tmp_path / "m.json").write_text(made.model_dump_json())
    read = measured_alarms(tmp_path / "m.json")
    assert read == made and measured_alarms(tmp_path / "none.json") is None
    table = measured_table(read, "m2")
    assert table.row_count == 2 and "another model (m1)" in table.title
