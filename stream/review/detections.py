"""The cells of one slide as the machine found them, kept in step with the journal while the
slide is read.
"""

import re
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from classify import CLASS_NAME
from ingest import StoreError
from stream.events import JsonObject
from stream.store import CellBody, SlideQueries, marked_body

_CLASS = re.compile(CLASS_NAME)
_ID = re.compile(r"[0-9a-f]{8,64}")
NO_PLACE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Detection:
    """A cell as found and judged: `row` orders the journal, `place` is its row in the zarr store,
    boxes are level-0 px.

    `sureness` is the probability of the label; `anomaly` the share of normal cells with a lower
    score.

    A cell that a person has marked is in neither: `row` is the number of its entry in the audit
    trail, negative, and `place` is beyond all rows.
    """

    row: int
    place: int
    cell_id: str
    kind: str
    label: str
    sureness: float
    anomaly: float
    x_px0: int
    y_px0: int
    box_px0: tuple[int, int, int, int]
    area_um2: float
    marked_by: str = ""


class FoundCells:
    """All cells of a slide in order of the journal. `update` reads only what is new; threads
    may share it.
    """

    def __init__(self, slide_id: str):
        self.slide_id = slide_id
        self.cells: list[Detection] = []
        self.by_id: dict[str, Detection] = {}
        self.classes: tuple[str, ...] = ()
        self.labels: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def last_row(self) -> int:
        return self.cells[-1].row if self.cells else 0

    def update(self, queries: SlideQueries) -> int:
        """Reads the cells that came since; returns how many."""
        with self._lock:
            before = len(self.cells)
            while self._take(queries.cells_page(self.slide_id, self.last_row)):
                pass
            return len(self.cells) - before

    def _take(self, page: Iterable[tuple[int, str, CellBody]]) -> bool:
        """Adds the cells of a page; False where it has none."""
        classes = self.classes
        new = []
        for place, (row, cell_id, body) in enumerate(page, len(self.cells)):
            classes = classes or tuple(body.verdict.scores)
            new.append(_found(row, place, cell_id, body))
        _checked(_CLASS, *classes, *{cell.label for cell in new})
        _checked(_ID, *(cell.cell_id for cell in new))
        self.classes = classes
        self.by_id.update((cell.cell_id, cell) for cell in new)
        self.labels.update(cell.label for cell in new)
        self.cells += new
        return bool(new)

    def after(self, row: int, limit: int | None = None) -> list[Detection]:
        """The cells beyond a row of the journal."""
        first = _first_beyond(self.cells, row)
        return self.cells[first : first + limit if limit else None]

    def upto(self, row: int | None) -> list[Detection]:
        """The cells up to and with a row; all without one."""
        return self.cells if row is None else self.cells[: _first_beyond(self.cells, row)]


def _first_beyond(cells: list[Detection], row: int) -> int:
    return bisect_right(cells, row, key=lambda cell: cell.row)


def _checked(pattern: re.Pattern[str], *names: str) -> None:
    """Names become files and columns: what is no name is not read.

    Raises:
        StoreError: one that was never written by a run.
    """
    if wrong := next((name for name in names if not pattern.fullmatch(name)), None):
        raise StoreError(
            f"the journal holds the name {wrong!r}, which no run writes",
            "restore the store from its backup",
        )


def _found(row: int, place: int, cell_id: str, body: CellBody) -> Detection:
    cell = body.cell
    label = body.verdict.label
    return Detection(
        row,
        place,
        cell_id,
        cell.kind,
        label,
        body.verdict.scores[label],
        body.verdict.anomaly.score,
        cell.x_px0,
        cell.y_px0,
        cell.box_px0,
        cell.area_um2,
    )


def marked_detection(number: int, by: str, data: JsonObject) -> Detection:
    """The cell that entry `number` of the audit trail marks; `data` is the cell's event."""
    cell = _found(-number, NO_PLACE, data["cell_id"], marked_body(data))
    _checked(_CLASS, cell.label)
    _checked(_ID, cell.cell_id)
    return replace(cell, marked_by=by)
