"""Every alert of many slides, at both sides of each limit, whole; and the figures behind them."""

import io
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from stream.alerts.cell_rules import alerts_of, thumbnail_png
from stream.alerts.evaluator import AlertEvaluator, check_rules
from stream.alerts.expected import expected_alarms, power
from stream.alerts.rare_classes import (
    RareClass,
    SignedSlide,
    alarm_count,
    beta_binomial_tail,
    own_background,
    rare_classes,
    significant,
)
from stream.alerts.red_cell_rules import red_alerts
from stream.alerts.slide_rules import (
    AnomalyShare,
    LabelledCell,
    SlideFigures,
    SlideTests,
    excess_reason,
    share_drift,
)
from stream.config import Alerts, ConfigError, ExcessRule, RedCells
from tests.make import CLASSES, tiny_model
from tests.stream.making import make_cell, make_verdict

RULES = Alerts(
    anomaly_above=0.99,
    white_at_least=50,
    anomalies_per_slide=10,
    drift_slides=2,
    drift_before=3,
    per_100_white=[
        {"labels": ["ig"], "above": 5, "severity": "urgent"},
        {"labels": ["blast", "ig"], "above": 10, "severity": "notice"},
    ],
    excess=[
        ExcessRule(labels=("blast",), background=0.02),
        ExcessRule(labels=("blast", "promyelocyte"), background=0.02),
    ],
)
TESTS = SlideTests(
    rare_classes(RULES),
    {"lymphocyte": (20.0, 45.0), "granulocyte": (40.0, 75.0), "basophil": (0.0, 1.0)},
    {"neutrophil": "granulocyte", "ig": "granulocyte", "granulocyte": "granulocyte"},
)


def told(alerts):
    """Each alert in a line; scores by their first digits."""
    return [
        f"{one.rule}, {one.severity}, {one.score:.5g} of {one.threshold:g}, {one.cells} cells, "
        f"{one.scanner}: {one.reason} {' '.join(getattr(one, 'cell_ids', ()))} "
        f"{getattr(one, 'advice', '')}".strip()
        for one in alerts
    ]


def slide(odd=0, before=(), **counts):
    at = AlertEvaluator(RULES, "scanner-1", Counter(), tests=TESTS)
    at.odd = odd
    for label, count in counts.items():
        for n in range(min(count, 4)):
            at.note_likely("wbc", label, {label: 0.5 + n / 10}, f"{label[:2]}{n}")
    found = Counter(counts)
    white = sum(n for label, n in found.items() if label not in ("platelet", "other"))
    return told(at.of_slide(found, white, before))


NORMAL = {"lymphocyte": 60, "neutrophil": 120, "monocyte": 20}
SLIDES = {
    "none": {},
    "normal": NORMAL,
    "few": {"ig": 25, "neutrophil": 24},
    "just enough": {"ig": 25, "neutrophil": 25},
    "ig at the limit": {"ig": 10, "neutrophil": 130, "lymphocyte": 60},
    "ig above it": {"ig": 11, "neutrophil": 129, "lymphocyte": 60},
    "blasts": {"blast": 30, "neutrophil": 110, "lymphocyte": 60},
    "a few more blasts": {"blast": 14, "neutrophil": 126, "lymphocyte": 60},
    "both": {"blast": 12, "promyelocyte": 9, "neutrophil": 119, "lymphocyte": 60},
    "many lymphocytes": {"lymphocyte": 180, "neutrophil": 20},
    "no lymphocytes": {"neutrophil": 200},
    "many basophils": {"basophil": 60, "neutrophil": 100, "lymphocyte": 40},
    "granulocytes of both kinds": {"granulocyte": 50, "neutrophil": 140, "ig": 10},
    "ten anomalous": {**NORMAL, "odd": 10},
    "eleven anomalous": {**NORMAL, "odd": 11},
    "four anomalous of few": {"neutrophil": 40, "odd": 4},
    "platelets too": {**NORMAL, "platelet": 800, "odd": 8},
}


def shares(*odd, cells=1000):
    return [AnomalyShare(n, cells) for n in odd]


DRIFTS = {
    "too few before": shares(9, 1, 1),
    "just enough": shares(9, 1, 1, 1),
    "crossed": shares(90, 5, 5, 5, 5),
    "crossed before": shares(90, 90, 5, 5, 5, 5),
    "fallen": shares(0, 60, 60, 60, 60),
    "nothing varies": shares(0, 0, 0, 0, 0),
    "all of them": shares(1000, 1000, 1000, 1000, 1000),
    "no cells": shares(0, 0, 0, 0, cells=0),
}


def test_the_alerts_of_slides(golden):
    found = {name: slide(**about) for name, about in SLIDES.items()}
    found |= {
        f"drift, {name}": [
            line for line in slide(odd=90, before=before, neutrophil=1000) if "drift" in line
        ]
        for name, before in DRIFTS.items()
    }
    found["the drifts"] = [share_drift(before, 2, 3) for before in DRIFTS.values()]
    golden("slides", found)


def test_the_alerts_of_cells_one_after_the_other(golden):
    """Limits a slide and an hour, and the alert in their place."""
    rules = RULES.model_copy(
        update={
            "at_most_per_slide": 2,
            "at_most_per_hour": 5,
            "anomaly_above": 0.5,
            "classes": (SimpleNamespace(label="neutrophil", above=0.9, severity="urgent"),),
        }
    )
    hours = iter([0, 4, 5, 6, 4, 0])
    at = AlertEvaluator(rules, "scanner-1", Counter(anomaly=1), lambda: next(hours), tests=TESTS)
    lines = []
    for n, (score, kind, label, probability) in enumerate(
        [
            (0.5, "wbc", "neutrophil", 0.95),
            (0.6, "wbc", "neutrophil", 0.9),
            (0.6, "platelet", "other", 0.9),
            (0.7, "wbc", "other", 0.9),
            (0.8, "wbc", "neutrophil", 0.91),
            (0.9, "platelet", "platelet", 0.9),
        ]
    ):
        verdict = replace(
            make_verdict(score), label=label, scores={label: probability}, standard_label="ig"
        )
        cell = replace(make_cell(n), kind=kind)
        for alert in at.of_cell(cell, verdict, n + 1):
            cells = getattr(alert, "cells", None)
            picture = len(getattr(alert, "thumbnail_png", b"")) > 50
            lines.append(f"{n} {alert.rule} {alert.severity} {alert.score} {alert.threshold} ")
            lines[-1] += f"{alert.reason} {cells} {picture} {getattr(alert, 'scanner', '')}"
    golden(
        "cells",
        {
            "alerts": lines,
            "given": at.given,
            "odd": at.odd,
            "fits": at.fits,
            "likeliest": {key: sorted(cells) for key, cells in at.likeliest.items()},
        },
    )


def test_the_surest_cells_are_kept_fifty_a_label():
    at = AlertEvaluator(RULES, "scanner-1", Counter(), tests=TESTS)
    for n in range(60):
        share = (n * 37 % 60) / 100
        at.note_likely("wbc", "blast", {"blast": share}, f"{n:02d}")
    kept = sorted(at.likeliest["blast"])
    assert [cell.probability for cell in kept] == [n / 100 for n in range(10, 60)]
    figures = SlideFigures(Counter(), 0, 0, (), "s", TESTS, at.likeliest)
    assert len(figures.evidence(["blast"])) == 50
    assert figures.evidence(["blast"])[0] == max(kept).cell_id
    both = {"a": [LabelledCell(0.5, "x")] * 30, "b": [LabelledCell(0.7, "y")] * 30}
    assert replace(figures, likeliest=both).evidence("ab") == ("y",) * 30 + ("x",) * 20


def test_a_cell_without_a_rule_has_no_picture_and_a_picture_is_the_crop(monkeypatch):
    crop = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    with Image.open(io.BytesIO(thumbnail_png(crop))) as image:
        assert image.format == "PNG" and np.array_equal(np.asarray(image), crop)
    rules = Alerts(anomaly_above=0.5)
    cell = replace(make_cell(), crop=crop)
    assert alerts_of(cell, make_verdict(0.5), rules) == []
    (alert,) = alerts_of(cell, replace(make_verdict(0.1), contradiction="too large"), rules)
    assert (alert.rule, alert.score, alert.threshold) == ("contradiction", 1.0, 0.5)
    assert (alert.reason, alert.thumbnail_png) == ("too large", thumbnail_png(crop))


def taught(name, above=0.2, normal_cells=400):
    point = SimpleNamespace(above=above, false_rate=0.01, sensitivity=0.8)
    expected = SimpleNamespace(false_rate=0.03, sensitivity=0.6)
    counting = point if above is not None else None
    return SimpleNamespace(
        name=name, normal_cells=normal_cells, counting=counting, expected=expected
    )


SIGNED = [
    SignedSlide(Counter(blast=5, neutrophil=90, platelet=40, other=7), Counter(blast=2)),
    SignedSlide(Counter(blast=1, hairy=3, neutrophil=96), Counter(blast=4), Counter(hairy=6)),
    SignedSlide(Counter(neutrophil=10), Counter(neutrophil=30, blast=40)),
]


def test_the_tests_of_rare_classes_and_what_they_may_be_expected_to_do(golden):
    many = taught("many", normal_cells=5000)
    classes = {
        "as set": rare_classes(RULES),
        "of a model": rare_classes(RULES, ("blast", "neutrophil")),
        "taught": rare_classes(RULES, (), [taught("hairy"), taught("blast", None), many]),
        "signed": rare_classes(RULES, None, [taught("hairy"), taught("blast", None)], SIGNED),
    }
    rare = classes["as set"][0]
    golden(
        "rare-classes",
        {
            "classes": classes,
            "names": [(one.name, one.counted_as, one.evidence_keys) for one in classes["signed"]],
            "background": [own_background(("blast",), SIGNED), own_background(("x", "y"), [])],
            "counted": own_background(("hairy",), SIGNED, 0.2),
            "chances": [rare.chance(count, 200) for count in (0, 1, 2, 3, 4, 10, 50, 201)],
            "tails": [beta_binomial_tail(k, 9, 1.5, 7) for k in range(11)],
            "alarm from": [
                alarm_count(rare, white, level)
                for white in (0, 1, 50, 200, 1000)
                for level in (0.1, 0.015, 1e-6)
            ],
            "expected": [
                expected_alarms(one, 0.015, white, found)
                for one in classes["taught"]
                for white in (5, 200)
                for found in (None, 0.5)
            ],
            "power": [power(rare, 12, 200, percent, 0.7) for percent in (0, 1, 5.2, 50)],
        },
    )


def test_a_rare_class_counts_by_its_label_or_its_probability(golden):
    rare = RareClass(("a", "b"), 1.0, 99.0, 3, "urgent", slides=2, taught=True)
    by_share = replace(rare, above=0.25, slides=0, taught=False)
    assert [rare.counts(label, {}) for label in "abc"] == [True, True, False]
    assert not by_share.counts("a", {"a": 0.1, "b": 0.15, "c": 0.75})
    assert by_share.counts("c", {"a": 0.11, "b": 0.15, "c": 0.74})
    figures = SlideFigures(Counter(a=2, b=3, c=4), 9, 0, (), "s", above={"a+b": 7})
    assert [figures.rare_count(one) for one in (rare, by_share)] == [5, 7]
    assert replace(figures, above={}).rare_count(by_share) == 0
    golden(
        "reasons",
        [
            excess_reason(one, 7, 200, chance)
            for one in (rare, by_share)
            for chance in (0.25, 1e-9, 1.1e-9)
        ],
    )


@pytest.mark.parametrize(
    ("chances", "level", "found"),
    [
        ([0.025, 0.05], 0.05, [True, True]),
        ([0.0251, 0.05], 0.05, [False, False]),
        ([0.05, 0.01, 0.02], 0.06, [True, True, True]),
        ([0.05, 0.01, 0.031], 0.06, [False, True, False]),
    ],
)
def test_several_tests_together(chances, level, found):
    assert significant(chances, level) == found


def test_the_alerts_of_red_cells(golden):
    found = {}
    for judged in (0, 100, 2000):
        for count in (0, 1, 19, 20, 60, 70, 100, 400):
            percent = 100 * count / max(judged, 1)
            share = {"count": min(count, judged), "percent": percent}
            for kind in ("schistocyte", "spherocyte"):
                figures = {"judged": judged, "anomalous": count // 10, "kinds": {kind: share}}
                figures["anomalous_long"] = count // 40
                found[f"{count} of {judged} {kind}"] = told(
                    red_alerts(figures, Alerts(), RedCells(), "scanner-1")
                )
    golden("red-cells", found)


def test_a_slide_unlike_the_calibration(golden):
    usual = np.sort(np.random.default_rng(0).normal(0, 1, (3, 500)), axis=1)
    at = AlertEvaluator(RULES, "scanner-1", Counter())
    for n, value in enumerate(np.random.default_rng(1).normal(3, 1, 300)):
        at.count(CLASSES[n % 3], 0.5, float(value))
    golden("calibration", told(at.far_off(replace(tiny_model(), usual=usual))))


def test_rules_about_classes_that_the_model_has_not():
    rules = Alerts(
        classes=[{"label": "ig", "above": 0.5}],
        per_100_white=[{"labels": ["zz", "aa"], "above": 1}],
    )
    check_rules(rules, ("ig", "zz", "aa"))
    with pytest.raises(ConfigError) as refused:
        check_rules(rules, ("b", "a"))
    assert str(refused.value) == "alerts: the model has no class aa, ig, zz (of b, a)"
