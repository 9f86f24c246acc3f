"""What a second model says of the cells of a slide, beside the results that count: arrays of their
own below `shadow/MODEL_ID`, a row a cell in the order of the results.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from ingest import StoreError

from .slide_store import SlideStore

SHADOW_GROUP = "shadow"
SHADOW_COLUMNS = ("label", "probability", "anomaly", "draws", "alerts", "counted_alerts")


@dataclass(frozen=True, slots=True, eq=False)
class ShadowVerdicts:
    """The verdicts of a second model on n cells: labels (n,) as numbers of `facts["classes"]`, and
    by `SHADOW_COLUMNS` probability (n, K), anomaly scores (n, 3), draws (n,), and which of
    `facts["rules"]` raise an alert (n, R) for the second model, and for the one that counts.
    """

    facts: dict[str, Any]
    columns: Mapping[str, np.ndarray]

    @property
    def labels(self) -> list[str]:
        """The class of each cell."""
        classes = self.facts["classes"]
        return [classes[number] for number in self.columns["label"]]


def shadow_ids(store: SlideStore) -> list[str]:
    """Ids of the second models that have judged all of a slide."""
    found = store.group.get(SHADOW_GROUP)
    if not isinstance(found, zarr.Group):
        return []
    return [name for name, group in found.groups() if _is_whole(store, group)]


def shadow_tries(store: SlideStore, model_id: str) -> int:
    """How often judging by a second model was begun; 0 where it was never."""
    found = store.group.get(f"{SHADOW_GROUP}/{model_id}")
    tries = found.attrs.get("tries", 0) if isinstance(found, zarr.Group) else 0
    return tries if isinstance(tries, int) else 0


def begin_shadow(store: SlideStore, model_id: str) -> None:
    """Says that judging by a second model begins: what there was of it goes.

    Raises:
        StoreError: the folder cannot be written.
    """
    tries = shadow_tries(store, model_id) + 1
    store.drop([f"{SHADOW_GROUP}/{model_id}"])
    store.group.require_group(f"{SHADOW_GROUP}/{model_id}").attrs["tries"] = tries


def put_shadow(
    store: SlideStore, model_id: str, facts: Mapping[str, Any], columns: Mapping[str, np.ndarray]
) -> None:
    """Keeps the verdicts of a second model; the facts come last, and say that they are whole.

    Raises:
        StoreError: the disk is full or the folder gone.
    """
    for name in SHADOW_COLUMNS:
        store.put(f"{SHADOW_GROUP}/{model_id}/{name}", columns[name])
    group = store.group.require_group(f"{SHADOW_GROUP}/{model_id}")
    group.attrs.update({**facts, "rows": len(columns["label"]), "tries": 0})


def read_shadow(store: SlideStore, model_id: str) -> ShadowVerdicts:
    """The verdicts of a second model on a slide.

    Raises:
        StoreError: there are none, or not of all cells.
    """
    group = store.group.get(f"{SHADOW_GROUP}/{model_id}")
    if not isinstance(group, zarr.Group) or not _is_whole(store, group):
        raise StoreError(f"{store.path}: not judged by {model_id}", "`cytostream shadow --judge`")
    columns = {name: store.read(f"{SHADOW_GROUP}/{model_id}/{name}") for name in SHADOW_COLUMNS}
    return ShadowVerdicts(dict(group.attrs), columns)


def _is_whole(store: SlideStore, group: zarr.Group) -> bool:
    return bool(group.attrs.get("rows", -1) == store.rows)
