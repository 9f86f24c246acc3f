"""Red cells of a slide: its sampled fields measured by the workers, kept in its store, summed up
for its event.
"""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from ingest import CytostreamError, Workers
from segment import Outlook, RedField, RedSmear, summary_of
from stream.store import SlideStore

LABELS = "labels/red/0"
BOXES = "reds/field_box_px0"


def measure_reds(
    workers: Workers, outlook: Outlook, limit_s: float, store: SlideStore
) -> RedSmear | None:
    """Measure and store them; None where there is no monolayer with red cells. A field that cannot
    be read is left out.
    """
    arrived = [
        r for r in workers.each(outlook.scan.field_at, outlook.fields, limit_s) if r is not None
    ]
    fields = sorted(
        (f for _, f in arrived if not isinstance(f, CytostreamError)),
        key=lambda field: field.box_px0,
    )
    if summary := summary_of(fields):
        for name, values in columns_of(fields).items():
            store.put(name, values)
        store.mark_labels("red", fields[0].mpp)
    return summary


def columns_of(fields: Sequence[RedField]) -> dict[str, np.ndarray]:
    """The store's arrays: an image of labels and a box a field; a row a red cell, the n-th of a
    field being label n there.
    """
    cells = [(number, cell) for number, field in enumerate(fields) for cell in field.reds]
    high, wide = (max(field.labels.shape[axis] for field in fields) for axis in (0, 1))
    padded = [
        np.pad(f.labels, ((0, high - f.labels.shape[0]), (0, wide - f.labels.shape[1])))
        for f in fields
    ]
    measured = {
        f"reds/{name}": np.array([getattr(c, name) for _, c in cells], np.float32)
        for name in ("area_um2", "roundness", "pallor")
    }
    return {
        LABELS: np.stack(padded),
        BOXES: np.array([f.box_px0 for f in fields], np.int32),
        "reds/field": np.array([number for number, _ in cells], np.uint16),
        "reds/centre_px0": np.array([(c.x_px0, c.y_px0) for _, c in cells], np.int32),
        **measured,
    }


def rounded(summary: RedSmear) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(summary).items()}
