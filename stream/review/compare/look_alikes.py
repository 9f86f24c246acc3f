"""The reviewed cells of a store that look most like a given one, by the features that its runs have
kept: what people called such cells before.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from classify import UNIDENTIFIED
from stream.review.detections import Detection
from stream.review.review_state import Standing
from stream.review.slides import SlideLibrary, SlideView
from stream.store import unit_features

_LAST_SLIDES = 200


@dataclass(frozen=True, slots=True)
class LookAlike:
    """A reviewed cell, who called it what, and its distance, 1 - the correlation of features: 0 is
    the same, 1 is unrelated.
    """

    distance: float
    slide_id: str
    cell_id: str
    label: str
    by: str


@dataclass(frozen=True, slots=True, eq=False)
class ReviewedFeatures:
    """The reviewed cells of a slide, and their features (n, F) at length 1; `number` is the last
    entry of the trail that they are of.
    """

    number: int
    cells: list[tuple[str, str, str]]
    features: np.ndarray


class LookAlikes:
    """The reviewed cells of the slides that were reviewed last. What is read of a slide is kept
    until somebody decides on it again. Threads may share it.
    """

    def __init__(self, library: SlideLibrary, last: int = _LAST_SLIDES):
        self._library = library
        self._last = last
        self._number = 0
        self._standings: OrderedDict[str, Standing] = OrderedDict()
        self._kept: dict[str, ReviewedFeatures] = {}
        self._lock = threading.Lock()

    def find(self, shelf: SlideView, cell: Detection, count: int) -> list[LookAlike]:
        """The `count` reviewed cells that look most like a cell, nearest first, itself left out;
        none where its features were not kept.

        Raises:
            StoreError: the store cannot be read.
        """
        own = shelf.features([cell])
        if own is None or not np.isfinite(own).all():
            return []
        wanted = unit_features(own)[0]
        found: list[LookAlike] = []
        with self._lock:
            self._update()
            for slide_id in self._standings:
                found += self._nearest(slide_id, wanted, cell, count)
        return sorted(found, key=lambda one: one.distance)[:count]

    def _update(self) -> None:
        for review in self._library.trail.reviews(after=self._number):
            self._number = review.number
            standing = self._standings.setdefault(review.data.slide_id, Standing())
            standing.take(review)
            self._standings.move_to_end(review.data.slide_id)
        while len(self._standings) > self._last:
            gone, _ = self._standings.popitem(last=False)
            self._kept.pop(gone, None)

    def _nearest(
        self, slide_id: str, wanted: np.ndarray, cell: Detection, count: int
    ) -> list[LookAlike]:
        known = self._features(slide_id)
        if known.features.shape[1:] != wanted.shape:  # judged by another model
            return []
        distance = 1 - known.features @ wanted
        nearest = distance.argpartition(count)[: count + 1] if len(distance) > count else ...
        rows = np.arange(len(distance))[nearest]
        order = rows[np.lexsort((rows, distance[rows]))]
        others = [row for row in order if known.cells[row][0] != cell.cell_id][:count]
        return [LookAlike(float(distance[row]), slide_id, *known.cells[row]) for row in others]

    def _features(self, slide_id: str) -> ReviewedFeatures:
        standing = self._standings[slide_id]
        kept = self._kept.get(slide_id)
        if kept is None or kept.number != standing.number:
            kept = self._kept[slide_id] = self._read(slide_id, standing)
        return kept

    def _read(self, slide_id: str, standing: Standing) -> ReviewedFeatures:
        shelf = self._library.shelf(slide_id)
        decided = {
            cell_id: said
            for cell_id, said in standing.decisions.items()
            if said.label != UNIDENTIFIED
        }
        cells = [
            cell
            for cell in (*shelf.found.cells, *shelf.marked(standing))
            if cell.cell_id in decided
        ]
        features = shelf.features(cells) if cells else None
        if features is None:
            return ReviewedFeatures(standing.number, [], np.zeros((0, 0), np.float32))
        fit = np.isfinite(features).all(axis=1)
        said = [
            (cell.cell_id, decided[cell.cell_id].label, decided[cell.cell_id].by)
            for cell, is_fit in zip(cells, fit, strict=True)
            if is_fit
        ]
        return ReviewedFeatures(standing.number, said, unit_features(features[fit]))
