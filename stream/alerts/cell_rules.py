"""Which cells a person should look at."""

import io

import numpy as np
from PIL import Image

from classify import OTHER_CLASS, Verdict
from segment import Cell
from stream.config import Alerts
from stream.events import Alert


def alerts_of(cell: Cell, verdict: Verdict, rules: Alerts) -> list[Alert]:
    """The alerts that one cell raises; none for most.

    A small thing that the model calls `other` (a red cell's edge, a grain of stain) is named and
    not alarmed; an odd white cell is, whatever it is called.
    """
    if verdict.label == OTHER_CLASS and cell.kind != "wbc":
        return []
    anomaly = verdict.anomaly
    found = []
    if anomaly.score > rules.anomaly_above:
        found.append(
            ("anomaly", rules.severity, anomaly.score, rules.anomaly_above, anomaly.reason)
        )
    if verdict.contradiction:
        found.append(("contradiction", rules.severity, 1.0, 0.5, verdict.contradiction))
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
    return [Alert(*facts, thumbnail_png(cell.crop)) for facts in found]


def thumbnail_png(rgb: np.ndarray) -> bytes:
    """A (height, width, 3) uint8 image as PNG."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, format="PNG")
    return out.getvalue()
