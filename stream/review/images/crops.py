"""Pictures of cells, from the journal while they wait there and from the zarr store afterwards, as
bytes that a browser shows.
"""

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from ingest import StoreError
from stream.review.detections import Detection
from stream.review.red_cells import JudgedReds, RedDetection
from stream.store import CHUNK_ROWS, MarkedPixels, SlideQueries, SlideStore, store_path

from .outlines import Shapes

KEPT_BYTES = 192 << 20
_JPEG = {"quality": 88, "subsampling": 0}


class Crops:
    """Crops of a store. A whole chunk is decoded and made into JPEGs at once, and the last ones
    used are kept, so that scrolling through a sorted gallery does not decode a chunk once a cell.
    Threads may share it.
    """

    def __init__(
        self, store: Path, queries: SlideQueries, marked: Callable[[int], MarkedPixels | None]
    ):
        """`marked` gives the pixels that an entry of the audit trail has beside it."""
        self._store = store
        self._queries = queries
        self._marked = marked
        self._kept: OrderedDict[tuple[str, int], list[bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._reading: dict[tuple[str, int], threading.Lock] = {}

    def pixels(self, slide_id: str, cell: Detection) -> np.ndarray:
        """The crop (px, px, 3) uint8, 36 um wide.

        Raises:
            StoreError: it is gone.
        """
        crop = self._waiting(cell)
        if crop is not None:
            return _square(crop)
        chunk = self._chunk(slide_id, cell.place // CHUNK_ROWS)
        if cell.place % CHUNK_ROWS >= len(chunk):
            raise StoreError(
                f"the crop of cell {cell.cell_id} is gone",
                "was the store moved without its zarr folders?",
            )
        pixels: np.ndarray = chunk[cell.place % CHUNK_ROWS]
        return pixels

    def shapes(self, slide_id: str, mpp: float | None) -> Shapes:
        """The outlines beside the crops."""
        return Shapes(self._store, slide_id, mpp)

    def png(self, slide_id: str, cell: Detection) -> bytes:
        """The crop as it was given to the classifier, without loss."""
        return encode(self.pixels(slide_id, cell), format="PNG")

    def jpeg(self, slide_id: str, cell: Detection) -> bytes:
        """The crop for the gallery."""
        crop = self._waiting(cell)
        if crop is not None:
            return encode(_square(crop), "JPEG", **_JPEG)
        key = slide_id, cell.place // CHUNK_ROWS
        made = self._of_chunk(key, partial(self._chunk, slide_id))
        if cell.place % CHUNK_ROWS >= len(made):
            raise StoreError(
                f"the crop of cell {cell.cell_id} is gone",
                "was the store moved without its zarr folders?",
            )
        return made[cell.place % CHUNK_ROWS]

    def _waiting(self, cell: Detection) -> bytes | None:
        """The crop of a cell that is not in the zarr store: of one that a person has marked, or
        that waits in the journal.
        """
        if not cell.marked_by:
            return self._queries.cell_crop(cell.row)
        kept = self._marked(-cell.row)
        return kept.crop if kept else None

    def red_jpeg(self, reds: JudgedReds, cell: RedDetection) -> bytes:
        """The crop of a judged red cell for the gallery."""
        key = f"{reds.slide_id} red {reds.digest}", cell.place // CHUNK_ROWS
        return self._of_chunk(key, reds.crops)[cell.place % CHUNK_ROWS]

    def _of_chunk(self, key: tuple[str, int], read: Callable[[int], np.ndarray]) -> list[bytes]:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            reading = self._reading.setdefault(key, threading.Lock())
        with reading:  # the same chunk is decoded once, whoever asks
            made = self._kept.get(key) or [encode(crop, "JPEG", **_JPEG) for crop in read(key[1])]
            self._keep(key, made)
        return made

    def _keep(self, key: tuple[str, int], made: list[bytes]) -> None:
        with self._lock:
            self._reading.pop(key, None)
            if (
                len(made) < CHUNK_ROWS or key in self._kept
            ):  # a chunk that may still grow is read again
                return
            self._kept[key] = made
            self._bytes += sum(map(len, made))
            while self._bytes > KEPT_BYTES:
                self._bytes -= sum(map(len, self._kept.popitem(last=False)[1]))

    def _chunk(self, slide_id: str, number: int) -> np.ndarray:
        first = number * CHUNK_ROWS
        return SlideStore.open(store_path(self._store, slide_id)).read(
            "crop", first, first + CHUNK_ROWS
        )


def encode(rgb: np.ndarray, format: str, **options: int) -> bytes:
    """An image (height, width, 3) uint8 as a file of a format of Pillow's, with its options."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, format, **options)
    return out.getvalue()


def _square(crop: bytes) -> np.ndarray:
    side = int((len(crop) / 3) ** 0.5)
    return np.frombuffer(crop, np.uint8).reshape(side, side, 3)
