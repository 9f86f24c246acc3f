"""Builder: what a second model says of the cells of a filled store."""

import numpy as np

from stream.store import begin_shadow, put_shadow
from tests.stores import CARD, Filled


def add_shadow(made: Filled, changed: int, model_id: str = "second-1") -> list[str]:
    """A second model that calls the first `changed` cells by the next class."""
    store = made.writer.store
    old = store.read("label")
    new = old.copy()
    new[:changed] = (old[:changed] + 1) % len(CARD.counted)
    rows = len(old)
    alerts = np.zeros((rows, 1), bool)
    counted = alerts.copy()
    alerts[0] = counted[1] = True
    columns = {
        "label": new,
        "probability": np.eye(len(CARD.classes), dtype=np.float32)[new],
        "anomaly": np.zeros((rows, 3), np.float32),
        "draws": np.full(rows, 4, np.uint16),
        "alerts": alerts,
        "counted_alerts": counted,
    }
    facts = {
        "model_id": model_id,
        "name": "second",
        "classes": CARD.classes,
        "parents": {name: CARD.parent_of(name) for name in CARD.classes},
        "counted_parents": {},
        "counted_model_id": "model-1",
        "rules": ["anomaly"],
        "slide_alerts": ["excess blast"],
        "counted_slide_alerts": ["range monocyte"],
        "at": "2026-11-28T00:00:00+00:00",
    }
    begin_shadow(store, model_id)
    put_shadow(store, model_id, facts, columns)
    return [CARD.classes[number] for number in new]
