"""The results of a slide in its zarr store: one row a cell, in the order in which the verdicts
came.
"""

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from itertools import islice

import numpy as np

from classify import Card, Verdict
from ingest import StoreError
from segment import KIND_NAMES, MASK_LABELS, Cell, Stain, cell_labels

from .journal import CellEntry, CellRow
from .outbox import Outbox
from .slide_store import SlideStore

LABEL_COLUMN = "labels/cell/0"
FEATURE_COLUMN = "features"


def body_of(cell: Cell, verdict: Verdict) -> str:
    """A journalled cell as JSON: all of cell and verdict but features, and a digest of the
    pixels.
    """
    facts = {name: getattr(cell, name) for name in Cell.__slots__ if name != "crop"}
    said = asdict(replace(verdict, features=None))
    del said["features"]
    about = {"cell": facts, "verdict": said, "crop": crop_digest(cell.crop.tobytes())}
    return json.dumps(about, default=int)


def entry_of(cell: Cell, verdict: Verdict) -> CellEntry:
    """What the journal keeps of a cell."""
    features = None if verdict.features is None else verdict.features.tobytes()
    return cell.cell_id, body_of(cell, verdict), cell.crop.tobytes(), features


def crop_digest(pixels: bytes) -> str:
    """What a crop is known by: a signature covers it with the verdict."""
    return blake2b(pixels, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of the journal that are being stored."""

    rows: list[CellRow]
    stored: Future[None]


class ResultWriter:
    """Moves crops and verdicts from the journal into the store, a whole chunk at a time.

    What is in the store has no crop in the journal any more, so their number is the next row: a
    killed run goes on there.
    """

    def __init__(
        self,
        outbox: Outbox,
        store: SlideStore,
        slide_id: str,
        card: Card,
        stain: Stain | None = None,
        classes: Sequence[str] = (),
    ):
        """`classes` are those of the verdicts: the card's without them."""
        self.classes = tuple(classes) or card.classes
        self.outbox = outbox
        self.store = store
        self.slide_id = slide_id
        self.card = card
        self.stain = stain
        self.thread = ThreadPoolExecutor(1, "results")
        self.under_way: Chunk | None = None
        rows = [(row.row, row.crop is None) for row in outbox.cells(slide_id)]
        stored = [row for row, is_stored in rows if is_stored]
        self.row = len(stored)
        self.last = max(stored, default=0)
        self.waiting = len(rows) - len(stored)
        if store.rows < self.row:
            gone = self.row - store.rows
            raise StoreError(
                f"{store.path}: {gone} stored cells are gone",
                "restore it, or choose another --store",
            )

    def write(self, new: int = 0, rest: bool = False, final: bool = False) -> None:
        """Store whole chunks, one at a time beside what goes on here, now that `new` more rows wait
        in the journal; with `rest`, for no more will come, what is left too. With `final` all of it
        is stored afterwards.

        Raises:
            StoreError: the disk is full; the rows wait in the journal.
        """
        self.waiting += new
        self.take_in(wait=final)
        least = 1 if rest or final else self.store.block_rows
        while not self.under_way and self.waiting >= least:
            rows = list(islice(self.outbox.cells(self.slide_id, self.last), self.store.block_rows))
            if not rows:
                break
            self.under_way = Chunk(rows, self.thread.submit(self.store_rows, self.row, rows))
            self.take_in(wait=final)

    def store_rows(self, first: int, rows: Sequence[CellRow]) -> None:
        """Put rows into the store, as the rows from `first` on, and onto the disk."""
        columns = cell_columns(rows, self.card, self.classes)
        self.store.write(first, columns | label_image(columns, self.stain))
        mpp = self.card.crop_um / self.card.crop_px
        self.store.mark_image(mpp)
        if self.stain:
            self.store.mark_labels("cell", mpp, MASK_LABELS, source="../../")
        os.sync()  # the journal lets go of the crops, so they must be on the disk

    def take_in(self, wait: bool) -> None:
        """Let the journal go of the crops of a chunk that is stored."""
        chunk = self.under_way
        if chunk is None or not (wait or chunk.stored.done()):
            return
        self.under_way = None
        chunk.stored.result()
        with self.outbox.transaction() as tx:
            tx.drop_crops(self.slide_id, chunk.rows[-1].row)
        self.row = self.row + len(chunk.rows)
        self.last = chunk.rows[-1].row
        self.waiting = self.waiting - len(chunk.rows)

    def close(self) -> None:
        """Waits until nothing is being written; what the journal still has is stored by the next
        run.
        """
        self.thread.shutdown()


def cell_columns(
    rows: Sequence[CellRow], card: Card, classes: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """The store's columns of journalled cells; boxes and centres in level-0 px, labels as numbers
    of `classes`.
    """
    bodies = [json.loads(row.body) for row in rows]
    cells = [b["cell"] for b in bodies]
    verdicts = [b["verdict"] for b in bodies]
    side = card.crop_px
    return {
        "cell_id": np.array([list(bytes.fromhex(c["cell_id"])) for c in cells], np.uint8),
        "crop": np.stack([pixels_of(row).reshape(side, side, 3) for row in rows]),
        "kind": np.array([KIND_NAMES.index(c["kind"]) for c in cells], np.uint8),
        "box_px0": np.array([c["box_px0"] for c in cells], np.int32),
        "centre_px0": np.array([(c["x_px0"], c["y_px0"]) for c in cells], np.int32),
        "area_um2": np.array([c["area_um2"] for c in cells], np.float32),
        "label": np.array([classes.index(v["label"]) for v in verdicts], np.uint8),
        "probability": np.array([[v["scores"][c] for c in classes] for v in verdicts], np.float32),
        "anomaly": np.array(
            [[v["anomaly"][n] for n in ("score", "relative", "absolute")] for v in verdicts],
            np.float32,
        ),
        "draws": np.array([v["draws"] for v in verdicts], np.uint16),
        "decided": np.array([v["decided"] for v in verdicts], bool),
        FEATURE_COLUMN: np.stack([row_features(row, card.features) for row in rows]),
    }


def row_features(row: CellRow, count: int) -> np.ndarray:
    """The features (F,) float16 of a journalled cell; not numbers where the run gave none."""
    if row.features is None:
        return np.full(count, np.nan, np.float16)
    return np.frombuffer(row.features, np.float16)


def stored_features(store: SlideStore, places: Sequence[int]) -> np.ndarray | None:
    """The features (n, F) float16 of cells by their rows in the store, not numbers where a row is
    still to be written; None where the store has none.
    """
    if not store.has(FEATURE_COLUMN):
        return None
    kept = store.read(FEATURE_COLUMN)
    found = np.full((len(places), kept.shape[1]), np.nan, np.float16)
    wanted = np.asarray(places, int)
    there = wanted < len(kept)
    found[there] = kept[wanted[there]]
    return found


def pixels_of(row: CellRow) -> np.ndarray:
    """The bytes of a journalled crop.

    Raises:
        StoreError: it has been dropped.
    """
    if row.crop is None:
        raise StoreError(f"cell {row.cell_id}: its crop is gone", "run the slide into a new store")
    return np.frombuffer(row.crop, np.uint8)


def label_image(columns: Mapping[str, np.ndarray], stain: Stain | None) -> dict[str, np.ndarray]:
    """The label images (n, h, w) of these crops, for a slide whose stain is known."""
    if stain is None:
        return {}
    pairs = zip(columns["crop"], columns["kind"], strict=True)
    return {
        LABEL_COLUMN: np.stack([cell_labels(crop, KIND_NAMES[kind], stain) for crop, kind in pairs])
    }
