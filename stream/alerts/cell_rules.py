"""Which cells a person should look at."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from classify import Verdict
from segment import Cell
from stream.config import Alerts
from stream.events.payloads import Severity

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Alert:
    """The rule that spoke, its score against its threshold, the sentence for a person, and a PNG of
    the cell.
    """

    rule: str
    severity: Severity
    score: float
    threshold: float
    reason: str
    thumbnail_png: bytes


@dataclass(frozen=True, slots=True)
class SlideAlert:
    """A rule that spoke about a slide as a whole: its score against its threshold, over `cells`
    cells.
    """

    rule: str
    severity: Severity
    score: float
    threshold: float
    reason: str
    cells: int
    scanner: str


def alerts_of(cell: Cell, verdict: Verdict, rules: Alerts) -> list[Alert]:
    """The alerts that one cell raises; none for most.

    A small thing that the model calls `other` (a red cell's edge, a grain of stain) is named and
    not alarmed; an odd white cell is, whatever it is called.
    """
    if verdict.label == OTHER and cell.kind != "wbc":
        return []
    anomaly, found = verdict.anomaly, []
    if anomaly.score > rules.anomaly_above:
        found.append(
            ("anomaly", rules.severity, anomaly.score, rules.anomaly_above, anomaly.reason)
        )
    for rule in rules.classes:
        if verdict.label == rule.label and (p := verdict.scores[rule.label]) > rule.above:
            found.append(
                (
                    f"class {rule.label}",
                    rule.severity,
                    p,
                    rule.above,
                    f"{rule.label}, probability {p:.2f}",
                )
            )
    return [Alert(*facts, png(cell.crop)) for facts in found]


def png(rgb: np.ndarray) -> bytes:
    """A (height, width, 3) uint8 image as PNG."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, format="PNG")
    return out.getvalue()
