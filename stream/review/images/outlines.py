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
        self.mpp = mpp
        self.store: SlideStore | None = None
        if mpp and store_path(store, slide_id).is_dir():
            self.store = SlideStore.open(store_path(store, slide_id))
        self._has_cells = self.store is not None and LABEL_COLUMN in self.store.group
        self._chunk = lru_cache(2)(self._read)

    def _read(self, number: int) -> list[CellRings | None]:
        first = number * CHUNK_ROWS
        return cell_rings(self.store.read(LABEL_COLUMN, first, first + CHUNK_ROWS))

    def of(self, cell: Detection) -> tuple[Ring, Ring] | None:
        """Cell and nucleus; None where they are not known."""
        if not self._has_cells:
            return None
        chunk = self._chunk(cell.place // CHUNK_ROWS)
        rings = chunk[cell.place % CHUNK_ROWS] if cell.place % CHUNK_ROWS < len(chunk) else None
        if rings is None:
            return None
        scale = CROP_UM / CROP_PX / self.mpp
        corner = cell.x_px0 - CROP_PX / 2 * scale, cell.y_px0 - CROP_PX / 2 * scale
        return placed(rings[0], corner, scale), placed(rings[1], corner, scale)

    def reds(self) -> Iterator[Red]:
        """The red cells, field by field.

        Raises:
            StoreError: a label is missing.
        """
        if self.store is None or RED_CELL_LABELS not in self.store.group:
            return
        fields, *measured = (
            self.store.read(f"reds/{name}") for name in ("field", "area_um2", "roundness", "pallor")
        )
        kinds = self._red_kinds(len(fields))
        scale = round(self._red_mpp() / self.mpp)
        for number, box in enumerate(self.store.read(BOXES)):
            labels = self.store.read(RED_CELL_LABELS, number, number + 1)[0]
            rings = field_rings(labels)
            corner = tuple(v // scale * scale for v in box[:2].tolist())
            for n, row in enumerate(np.flatnonzero(fields == number)):
                if n + 1 not in rings:
                    raise StoreError(f"label {n + 1} is gone", "was the store changed by hand?")
                if (ring := rings[n + 1]) is not None:
                    yield Red(
                        f"red-{number}-{n}",
                        placed(ring, corner, scale),
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
    return np.round(ring * scale + corner, 2).tolist()
