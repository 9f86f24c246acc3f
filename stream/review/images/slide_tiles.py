"""The slide for the eye: tiles read in a process of their own, since a crafted tile may end or hang
the one that decodes it.
"""

from collections import OrderedDict
from threading import Lock

from ingest import Slide, Workers, associated_image, view_levels, view_tile
from segment import Cell, MarkedPlace, cut_marked_cell

from .slide_check import SlideCheck

_KEPT = 1024


class Viewer:
    """Tiles of slides as JPEG; the last ones are kept. Threads may share it."""

    def __init__(self, workers: Workers, limit_s: float, check_limit_s: float = 300.0):
        self._workers = workers
        self._limit_s = limit_s
        self.check = SlideCheck(workers, check_limit_s)
        self._kept: OrderedDict[tuple[str, int, int, int], bytes] = OrderedDict()
        self._lock = Lock()

    def levels(self, slide: Slide) -> int:
        return view_levels(slide)

    def tile(self, slide: Slide, level: int, column: int, row: int) -> bytes:
        """One tile.

        Raises:
            CytostreamError: there is none, or it cannot be read.
        """
        key = slide.slide_id, level, column, row
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = self._workers.call(view_tile, (slide, level, column, row), self._limit_s)
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made

    def marked_cell(self, slide: Slide, box_px0: tuple[int, int, int, int]) -> Cell:
        """The cell that a person has marked, cut out at the slide's resolution.

        Raises:
            CytostreamError: the place lies outside the slide, or cannot be read.
        """
        return self._workers.call(cut_marked_cell, MarkedPlace(slide, box_px0), self._limit_s)

    def beside(self, slide: Slide, name: str) -> bytes:
        """The label or macro image.

        Raises:
            CytostreamError: there is none.
        """
        return self._workers.call(associated_image, (slide, name), self._limit_s)
