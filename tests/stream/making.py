"""Builders: the smallest slide, cell and verdict that make an event."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from classify import Anomaly, Verdict
from ingest import Slide
from segment import Cell
from stream.events.cell_events import cell_event
from stream.events.event import Event, Provenance

STAMP = Provenance("test", model_hash="m1", config_hash="c1", versions={"cytostream": "0.1.0"})


def make_slide(slide_id: str = "s1") -> Slide:
    return Slide(
        slide_id,
        Path("/scans/Smith John 1970.tiff"),
        4000,
        3000,
        0.25,
        (),
        "generic",
        "unknown",
        "image",
    )


def make_cell(number: int = 1, slide_id: str = "s1") -> Cell:
    crop = np.full((128, 128, 3), number % 256, np.uint8)
    return Cell(f"c{number}", slide_id, "wbc", 100 + number, 200, (90, 180, 110, 220), 120.5, crop)


def make_verdict(anomaly: float = 0.5) -> Verdict:
    return Verdict(
        "neutrophil",
        {"neutrophil": 0.9, "ig": 0.1},
        Anomaly(anomaly, 0.2, -0.3, "an ordinary cell"),
        8,
        True,
    )


def make_events(count: int, slide_id: str = "s1") -> list[Event]:
    slide = make_slide(slide_id)
    return [
        cell_event(slide, make_cell(number, slide_id), make_verdict(), STAMP)
        for number in range(1, count + 1)
    ]


def share_names(stamp: Provenance = STAMP) -> Provenance:
    return replace(stamp, share_names=True)
