"""An index of the features of a store, for searches by likeness among millions of cells.

A search compares the first principal components of all cells, and then the whole features of the
best. Slides that the index does not have are searched exactly (`likeness`).
"""

import json
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest import StoreError

COMPONENTS = 32  # recall and time at a million cells: `python -m tests.tools.bench.search`
CANDIDATES_EACH = 30  # cells looked at whole, for each that is asked for
SAMPLE_ROWS = 20_000
BLOCK_ROWS = 100_000
FOLDER = "likeness"


@dataclass(frozen=True, slots=True, eq=False)
class IndexedCells:
    """Cells of one slide: unit features (n, F), ids (n, B) uint8, names of labels (n,)."""

    slide_id: str
    unit: np.ndarray
    ids: np.ndarray
    labels: Sequence[str]


@dataclass(frozen=True, slots=True, order=True)
class IndexHit:
    """A cell of the index, by its distance: 1 - the correlation of features."""

    distance: float
    slide_id: str
    cell_id: str
    label: str


class LikenessIndex:
    """The files of an index in a store. Rows are only ever added, a slide at a time; `slides` is
    written last, so that a killed writer leaves what was there before.
    """

    def __init__(self, store: Path):
        self.folder = store / FOLDER

    @property
    def slides(self) -> dict[str, int]:
        """Rows of each slide that the index has, in the order of the rows."""
        path = self.folder / "slides.json"
        try:
            found: dict[str, int] = json.loads(path.read_text()) if path.is_file() else {}
        except ValueError as error:
            raise StoreError(
                f"{path}: unreadable", f"remove {self.folder}: the next search makes it again"
            ) from error
        return found

    def remove(self) -> None:
        """Removes it: searches are exact until it is made again."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, cells: IndexedCells) -> None:
        """Adds a finished slide; the first one's cells set the components."""
        if not len(cells.unit):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        known = self.slides
        rows = sum(known.values())
        axes = self.axes(cells.unit)
        self.append("units.f16", cells.unit.astype(np.float16), rows)
        self.append("codes.f32", (cells.unit @ axes).astype(np.float32), rows)
        self.append("ids.u8", cells.ids.astype(np.uint8), rows)
        self.append("labels.s64", np.array(cells.labels, "S64")[:, None], rows)
        part = self.folder / "slides.json.part"
        part.write_text(json.dumps({**known, cells.slide_id: len(cells.unit)}))
        part.replace(self.folder / "slides.json")

    def axes(self, unit: np.ndarray) -> np.ndarray:
        """The components (F, C), made of these features where there are none."""
        path = self.folder / "axes.npy"
        if not path.is_file():
            some = unit[:SAMPLE_ROWS].astype(np.float64)
            _, vectors = np.linalg.eigh(some.T @ some)
            np.save(path, vectors[:, ::-1][:, :COMPONENTS].astype(np.float32))
        found: np.ndarray = np.load(path)
        return found

    def append(self, name: str, values: np.ndarray, rows: int) -> None:
        """Rows of a file from a known row on: what a killed writer left behind it is cut off."""
        path = self.folder / name
        path.touch()
        with path.open("r+b") as file:
            file.truncate(rows * values.dtype.itemsize * values.shape[1])
            file.seek(0, 2)
            file.write(np.ascontiguousarray(values).tobytes())

    def column(self, name: str, dtype: str, rows: int) -> np.ndarray:
        """A file as an array (rows, width), not read into memory."""
        path = self.folder / name
        width = path.stat().st_size // rows // np.dtype(dtype).itemsize
        return np.memmap(path, dtype, "r", shape=(rows, width))

    def nearest(
        self,
        wanted: np.ndarray,
        count: int,
        label: str = "",
        wanted_slides: Collection[str] | None = None,
    ) -> list[IndexHit]:
        """The cells nearest to unit features (F,), of one class or some slides where they are
        named.
        """
        slides = self.slides
        rows = sum(slides.values())
        if not rows:
            return []
        names = list(slides)
        ends = np.cumsum(list(slides.values()))
        allowed = self.allowed(slides, label, wanted_slides)
        code = wanted @ np.load(self.folder / "axes.npy")
        codes = self.column("codes.f32", "f4", rows)
        likeness = np.empty(rows, np.float32)
        for start in range(0, rows, BLOCK_ROWS):
            likeness[start : start + BLOCK_ROWS] = codes[start : start + BLOCK_ROWS] @ code
        if allowed is not None:
            likeness[~allowed] = -np.inf
        most = min(rows, CANDIDATES_EACH * count)
        best = np.argpartition(-likeness, most - 1)[:most]
        best = np.sort(best[np.isfinite(likeness[best])])
        units = self.column("units.f16", "f2", rows)[best].astype(np.float32)
        distance = 1 - units @ wanted
        ids = self.column("ids.u8", "u1", rows)
        labels = self.column("labels.s64", "S64", rows)
        order = np.argsort(distance, kind="stable")[:count]
        return [
            IndexHit(
                float(distance[place]),
                names[int(np.searchsorted(ends, best[place], side="right"))],
                ids[best[place]].tobytes().hex(),
                labels[best[place], 0].decode(),
            )
            for place in order
        ]

    def allowed(
        self, slides: dict[str, int], label: str, wanted_slides: Collection[str] | None
    ) -> np.ndarray | None:
        """Which rows (n,) a search is about; None where all are."""
        if wanted_slides is None and not label:
            return None
        rows = sum(slides.values())
        mask = np.ones(rows, bool)
        if wanted_slides is not None:
            of_slide = [name in wanted_slides for name in slides]
            mask &= np.repeat(of_slide, list(slides.values()))
        if label:
            mask &= self.column("labels.s64", "S64", rows)[:, 0] == label.encode()
        return mask
