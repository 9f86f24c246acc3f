"""Outlines in level-0 px of what a slide's label images hold: white cells with their nuclei, red
cells of the sampled fields.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.ndimage import find_objects

from ingest import StoreError
from segment import CROP_PX, CROP_UM, outline
from stream.events import JsonObject
from stream.review.detections import Detection
from stream.run import BOXES, RED_CELL_LABELS, RED_KIND_COLUMN
from stream.store import CHUNK_ROWS, LABEL_COLUMN, SlideStore, store_path

Ring = list[list[float]]
CellRings = tuple[np.ndarray, np.ndarray]


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
        self._mpp = mpp or 0.0
        self._store: SlideStore | None = None
        if mpp and store_path(store, slide_id).is_dir():
            self._store = SlideStore.open(store_path(store, slide_id))
        self._chunk = lru_cache(2)(self._read)

    def _read(self, number: int) -> list[CellRings | None]:
        """The outlines of a chunk of cells; none in a store without labels."""
        if self._store is None or LABEL_COLUMN not in self._store.group:
            return []
        first = number * CHUNK_ROWS
        return cell_rings(self._store.read(LABEL_COLUMN, first, first + CHUNK_ROWS))

    def of(self, cell: Detection) -> tuple[Ring, Ring] | None:
        """Cell and nucleus; None where they are not known."""
        chunk = self._chunk(cell.place // CHUNK_ROWS)
        rings = chunk[cell.place % CHUNK_ROWS] if cell.place % CHUNK_ROWS < len(chunk) else None
        if rings is None:
            return None
        scale = CROP_UM / CROP_PX / self._mpp
        corner = cell.x_px0 - CROP_PX / 2 * scale, cell.y_px0 - CROP_PX / 2 * scale
        return placed(rings[0], corner, scale), placed(rings[1], corner, scale)

    def reds(self) -> Iterator[Red]:
        """The red cells, field by field.

        Raises:
            StoreError: a label is missing.
        """
        store = self._store
        if store is None or RED_CELL_LABELS not in store.group:
            return
        fields = store.read("reds/field")
        areas = store.read("reds/area_um2")
        roundness = store.read("reds/roundness")
        pallor = store.read("reds/pallor")
        kinds = red_kinds(store, len(fields))
        scale = round(red_mpp(store) / self._mpp)
        for number, (x0, y0, *_) in enumerate(store.read(BOXES).tolist()):
            labels = store.read(RED_CELL_LABELS, number, number + 1)[0]
            rings = field_rings(labels)
            corner = (x0 // scale * scale, y0 // scale * scale)
            for n, row in enumerate(np.flatnonzero(fields == number)):
                if n + 1 not in rings:
                    raise StoreError(f"label {n + 1} is gone", "was the store changed by hand?")
                if (ring := rings[n + 1]) is not None:
                    yield Red(
                        name=f"red-{number}-{n}",
                        ring=placed(ring, corner, scale),
                        area_um2=round(float(areas[row]), 4),
                        roundness=round(float(roundness[row]), 4),
                        pallor=round(float(pallor[row]), 4),
                        kind=kinds[row],
                    )


def red_kinds(store: SlideStore, count: int) -> list[str]:
    """What each red cell is called; nothing in a store from before they were judged."""
    if RED_KIND_COLUMN not in store.group:
        return [""] * count
    names = [*store.facts["red_classes"], ""]
    return [names[number] for number in store.read(RED_KIND_COLUMN)]


def red_mpp(store: SlideStore) -> float:
    """The scale of the label images of red cells, in um/px."""
    about: JsonObject = dict(store.group[RED_CELL_LABELS.rpartition("/")[0]].attrs)
    dataset = about["ome"]["multiscales"][0]["datasets"][0]
    return float(dataset["coordinateTransformations"][0]["scale"][-1])


def cell_rings(labels: np.ndarray) -> list[CellRings | None]:
    """Outlines of cell and nucleus (2) of crops (n, h, w), in px of the crop; None where one has
    none.
    """
    rings = [(ring_of(crop > 0), ring_of(crop == 2)) for crop in labels]
    return [(cell, core) if cell is not None and core is not None else None for cell, core in rings]


def field_rings(labels: np.ndarray) -> dict[int, np.ndarray | None]:
    """The outline of each label that a field (h, w) has, in px of the field; None for one without
    an area.
    """
    return {
        number: shifted(ring_of(labels[place] == number), place[1].start, place[0].start)
        for number, place in enumerate(find_objects(labels), 1)
        if place is not None
    }


def ring_of(mask: np.ndarray) -> np.ndarray | None:
    """The outline (n, 2) of a mask, closed and counter-clockwise in the sense of RFC 7946."""
    points = outline(mask)
    if points is None:
        return None
    x, y = points[:-1].T
    return points if np.dot(x, np.roll(y, -1)) > np.dot(y, np.roll(x, -1)) else points[::-1]


def shifted(ring: np.ndarray | None, x_px: int, y_px: int) -> np.ndarray | None:
    return None if ring is None else ring + (x_px, y_px)


def placed(ring: np.ndarray, corner: tuple[float, float], scale: float) -> Ring:
    """An outline in level-0 px; `corner` is where its px begin, `scale` how large they are."""
    points: Ring = np.round(ring * scale + corner, 2).tolist()
    return points
