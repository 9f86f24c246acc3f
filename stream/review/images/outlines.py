"""Outlines in level-0 px of what a slide's label images hold: white cells with their nuclei, red
cells of the sampled fields.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ingest import StoreError
from segment import CROP_PX, CROP_UM, outline
from stream.review.detections import Detection
from stream.run import BOXES, RED_CELL_LABELS, RED_KIND_COLUMN
from stream.store import CHUNK_ROWS, LABEL_COLUMN, SlideStore, store_path

Ring = list[list[float]]


@dataclass(frozen=True, slots=True)
class Red:
    """A red cell's outline, area in um2, roundness and pallor; `name` says which of which field,
    `kind` what the red-cell model calls it, empty where it was not judged.
    """

    name: str
    ring: Ring
    area_um2: float
    roundness: float
    pallor: float
    kind: str = ""


class Shapes:
    """Of one slide. A store from before there were labels has none."""

    def __init__(self, store: Path, slide_id: str, mpp: float | None):
        self.mpp = mpp
        self.store = None
        if mpp and store_path(store, slide_id).is_dir():
            self.store = SlideStore.open(store_path(store, slide_id))
        self._chunk = lru_cache(2)(self._read)

    def _read(self, number: int) -> np.ndarray:
        return self.store.read(LABEL_COLUMN, number * CHUNK_ROWS, (number + 1) * CHUNK_ROWS)

    def of(self, cell: Detection) -> tuple[Ring, Ring] | None:
        """Cell and nucleus; None where they are not known."""
        if self.store is None or LABEL_COLUMN not in self.store.group:
            return None
        labels = self._chunk(cell.place // CHUNK_ROWS)
        if cell.place % CHUNK_ROWS >= len(labels):
            return None
        one = labels[cell.place % CHUNK_ROWS]
        scale = CROP_UM / CROP_PX / self.mpp
        corner = cell.x_px0 - CROP_PX / 2 * scale, cell.y_px0 - CROP_PX / 2 * scale
        rings = [ring_of(mask, corner, scale) for mask in (one > 0, one == 2)]
        return (rings[0], rings[1]) if all(rings) else None

    def reds(self) -> Iterator[Red]:
        """The red cells, field by field."""
        if self.store is None or RED_CELL_LABELS not in self.store.group:
            return
        fields, *measured = (
            self.store.read(f"reds/{name}") for name in ("field", "area_um2", "roundness", "pallor")
        )
        kinds = self._red_kinds(len(fields))
        boxes = self.store.read(BOXES)
        scale = round(self._red_mpp() / self.mpp)
        for number, box in enumerate(boxes):
            labels = self.store.read(RED_CELL_LABELS, number, number + 1)[0]
            for n, row in enumerate(np.flatnonzero(fields == number)):
                if ring := ring_of(
                    *windowed(labels, n + 1, [v // scale * scale for v in box[:2].tolist()], scale)
                ):
                    yield Red(
                        f"red-{number}-{n}",
                        ring,
                        *(round(float(column[row]), 4) for column in measured),
                        kind=kinds[row],
                    )

    def _red_kinds(self, count: int) -> list[str]:
        """What each red cell is called; nothing in a store from before they were judged."""
        if RED_KIND_COLUMN not in self.store.group:
            return [""] * count
        names = [*self.store.facts["red_classes"], ""]
        return [names[number] for number in self.store.read(RED_KIND_COLUMN)]

    def _red_mpp(self) -> float:
        about = self.store.group[RED_CELL_LABELS.rpartition("/")[0]].attrs["ome"]["multiscales"][0]
        return about["datasets"][0]["coordinateTransformations"][0]["scale"][-1]


def windowed(
    labels: np.ndarray, number: int, corner: list[int], scale: float
) -> tuple[np.ndarray, tuple[float, float], float]:
    """The mask of one label in its own box, the place of that box, and the scale: what `ring_of`
    takes.
    """
    mask = labels == number
    rows, cols = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        raise StoreError(f"label {number} is gone", "was the store changed by hand?")
    top, left = int(rows[0]), int(cols[0])
    return (
        mask[top : rows[-1] + 1, left : cols[-1] + 1],
        (corner[0] + left * scale, corner[1] + top * scale),
        scale,
    )


def ring_of(mask: np.ndarray, corner: tuple[float, float], scale: float) -> Ring | None:
    """The outline in level-0 px, closed and counter-clockwise in the sense of RFC 7946."""
    points = outline(mask)
    if points is None:
        return None
    x, y = points[:-1].T
    turned = points if np.dot(x, np.roll(y, -1)) > np.dot(y, np.roll(x, -1)) else points[::-1]
    return np.round(turned * scale + corner, 2).tolist()
