"""Which cells a person should look at."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from classify import OTHER_CLASS, Verdict
from segment import Cell
from stream.config import Alerts
from stream.events import Alert, Severity


@dataclass(frozen=True, slots=True)
class CellFinding:
    """What a rule finds in a cell: an alert without its picture."""

    rule: str
    severity: Severity
    score: float
    threshold: float
    reason: str


CellRule = Callable[[Cell, Verdict, Alerts], Iterable[CellFinding]]


def anomaly_rule(cell: Cell, verdict: Verdict, rules: Alerts) -> Iterable[CellFinding]:
    """The cell is unlike the normal cells of every class."""
    anomaly = verdict.anomaly
    if anomaly.score > rules.anomaly_above:
        yield CellFinding(
            "anomaly", rules.severity, anomaly.score, rules.anomaly_above, anomaly.reason
        )


def contradiction_rule(cell: Cell, verdict: Verdict, rules: Alerts) -> Iterable[CellFinding]:
    """Size or form of the cell contradict the class that it was given."""
    if verdict.contradiction:
        yield CellFinding("contradiction", rules.severity, 1.0, 0.5, verdict.contradiction)


def class_rule(cell: Cell, verdict: Verdict, rules: Alerts) -> Iterable[CellFinding]:
    """The cell is of a class that the laboratory wants to see."""
    for rule in rules.classes:
        probability = verdict.scores.get(rule.label, 0.0)
        if verdict.label == rule.label and probability > rule.above:
            reason = f"{rule.label}, probability {probability:.2f}"
            name = f"class {rule.label}"
            yield CellFinding(name, rule.severity, probability, rule.above, reason)


# One more rule is a function, its test, and a name here.
CELL_RULES: tuple[CellRule, ...] = (anomaly_rule, contradiction_rule, class_rule)


def alerts_of(
    cell: Cell, verdict: Verdict, rules: Alerts, cell_rules: Sequence[CellRule] = CELL_RULES
) -> list[Alert]:
    """The alerts that one cell raises; none for most.

    A small object that the model calls `other` (a red cell's edge, a stain particle) raises none;
    an anomalous white cell does, whatever its label.
    """
    if verdict.label == OTHER_CLASS and cell.kind != "wbc":
        return []
    found = [finding for rule in cell_rules for finding in rule(cell, verdict, rules)]
    picture = thumbnail_png(cell.crop) if found else b""
    return [
        Alert(one.rule, one.severity, one.score, one.threshold, one.reason, picture)
        for one in found
    ]


def thumbnail_png(rgb: np.ndarray) -> bytes:
    """A (height, width, 3) uint8 image as PNG."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, format="PNG")
    return out.getvalue()
