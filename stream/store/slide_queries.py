"""What the review page asks of a store's state file, a name for each question."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stream.events import FAILURE, SLIDE_ALERT, JsonObject

from .backlog import STAT
from .cell_body import CellBody, decoded_body
from .database import BoundValue, State, Unwritable, listed
from .identity_table import IdentityReader

_CELLS_A_PAGE = 4096
_VERDICTS_A_PAGE = 1024
_WAITING_FILES = 500
# grouped by an expression, so that the new rows are read and not the whole index of slides
NEW_CELLS = """SELECT slide_id || '', max(row) FROM cells WHERE row > :after_row
    GROUP BY slide_id || ''"""

CELLS_PAGE = f"""SELECT row, cell_id, body FROM cells
    WHERE slide_id = :slide_id AND row > :after_row ORDER BY row LIMIT {_CELLS_A_PAGE}"""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of a slide as the outbox holds it; `data` is its payload."""

    seq: int
    event_id: str
    type: str
    data: JsonObject


@dataclass(frozen=True, slots=True)
class WaitingFile:
    """A file of the backlog that is no slide of the store yet."""

    number: int
    path: Path
    state: str
    tries: int
    reason: str | None


class SlideQueries(IdentityReader):
    """Reads a state file over a connection of its own, so that no answer waits for a writer's open
    transaction. Threads may share it.
    """

    def __init__(self, path: Path, unwritable: Unwritable = "refuse"):
        """Opens the file.

        Raises:
            StoreError: it cannot be opened.
        """
        self._state = State(path, unwritable=unwritable)

    def data_version(self) -> int:
        """Another number after every commit of another connection."""
        return self._state.change_mark()

    def events(self, slide_id: str, after_seq: int, *types: str) -> list[StoredEvent]:
        """The events of a slide of some types, in order, after a place in the outbox."""
        kinds, named = listed("type", types)
        sql = f"""SELECT seq, id, type, value FROM records
            WHERE subject = :slide_id AND seq > :after_seq AND type IN ({kinds}) ORDER BY seq"""
        rows = self._state.rows(sql, slide_id=slide_id, after_seq=after_seq, **named)
        return [StoredEvent(seq, event_id, kind, json.loads(v)) for seq, event_id, kind, v in rows]

    def slide_alert_count(self, slide_id: str) -> int:
        """How many rules have raised an alert of the slide as a whole."""
        sql = "SELECT value FROM records WHERE subject = :slide_id AND type = :type"
        rows = self._state.rows(sql, slide_id=slide_id, type=SLIDE_ALERT)
        return len({json.loads(value)["rule"] for (value,) in rows})

    def file_failures(self) -> Iterator[tuple[str, JsonObject, str | None]]:
        """Failures of files that are no slide, in order: event id, payload, and the file's path
        where it is known.
        """
        sql = """SELECT id, value, path FROM records LEFT JOIN failures ON id = event_id
            WHERE subject >= 'file-' AND subject < 'file.' AND type = :type ORDER BY seq"""
        for event_id, value, path in self._state.rows(sql, type=FAILURE):
            yield event_id, json.loads(value), path

    def cells_page(self, slide_id: str, after_row: int) -> Iterator[tuple[int, str, CellBody]]:
        """The next cells of a slide after a row of the journal: row, id and body; none at the
        end.

        Read at once and decoded one by one: thousands of bodies that live at a time cost as much
        again, in the collector of garbage.
        """
        rows = self._state.rows(CELLS_PAGE, slide_id=slide_id, after_row=after_row)
        return ((row, cell_id, decoded_body(body)) for row, cell_id, body in rows)

    def cell_bodies(self, slide_id: str) -> dict[int, CellBody]:
        """The bodies of all cells of a slide, by row."""
        sql = "SELECT row, body FROM cells WHERE slide_id = :slide_id ORDER BY row"
        rows = self._state.rows(sql, slide_id=slide_id)
        return {row: decoded_body(body) for row, body in rows}

    def cell_body(self, row: int) -> JsonObject:
        """All that the journal holds of a cell."""
        sql = "SELECT body FROM cells WHERE row = :row"
        body: JsonObject = json.loads(self._state.rows(sql, row=row)[0][0])
        return body

    def cell_crop(self, row: int) -> bytes | None:
        """The crop of a cell, None once it is in the result store alone."""
        rows = self._state.rows("SELECT crop FROM cells WHERE row = :row", row=row)
        return rows[0][0] if rows else None

    def last_cell_row(self) -> int:
        """The last row of the journal; 0 where it is empty."""
        row: int = self._state.rows("SELECT coalesce(max(row), 0) FROM cells")[0][0]
        return row

    def new_cell_rows(self, after_row: int) -> dict[str, int]:
        """The slides that have cells after a row of the journal, each with its last row."""
        rows = self._state.rows(NEW_CELLS, after_row=after_row)
        return {slide_id: row for slide_id, row in rows}

    def verdict_digest(self, slide_id: str, upto_row: int) -> str:
        """SHA-256 of all that the model has said of a slide's cells, up to and with a row of the
        journal.
        """
        digest = hashlib.sha256()
        after_row = 0
        sql = f"""SELECT row, cell_id, body FROM cells
            WHERE slide_id = :slide_id AND row > :after_row AND row <= :upto_row
            ORDER BY row LIMIT {_VERDICTS_A_PAGE}"""
        about: dict[str, BoundValue] = {"slide_id": slide_id, "upto_row": upto_row}
        while page := self._state.rows(sql, after_row=after_row, **about):
            for row in page:
                digest.update(json.dumps(row).encode())
            after_row = page[-1][0]
        return digest.hexdigest()

    def tiles_done(self, slide_id: str) -> int:
        """How many tiles of a slide are done."""
        sql = "SELECT count(*) FROM tiles WHERE slide_id = :slide_id"
        return self._state.integer(sql, slide_id=slide_id)

    def slide_states(self) -> dict[str, tuple[str, str]]:
        """Status and facts (JSON) of every slide, by its id."""
        rows = self._state.rows("SELECT slide_id, status, facts FROM slides")
        return {slide_id: (status, facts) for slide_id, status, facts in rows}

    def slide_paths(self, slide_id: str) -> list[Path]:
        """Each path under which a slide has been done."""
        if not self._has_backlog():
            return []
        sql = "SELECT path FROM backlog WHERE slide_id = :slide_id ORDER BY number"
        return [Path(path) for (path,) in self._state.rows(sql, slide_id=slide_id)]

    def is_stat(self, slide_id: str) -> bool:
        """Whether a slide was queued as one that somebody waits for."""
        if not self._has_backlog():
            return False
        sql = "SELECT coalesce(max(priority), 0) FROM backlog WHERE slide_id = :slide_id"
        return self._state.integer(sql, slide_id=slide_id) >= STAT

    def waiting_files(self) -> list[WaitingFile]:
        """Files of the backlog that are no slides yet, the next one first, failed ones last."""
        if not self._has_backlog():
            return []
        sql = f"""SELECT number, path, state, tries, reason FROM backlog
            WHERE slide_id IS NULL AND state IN ('waiting', 'running', 'failed')
            ORDER BY state = 'failed', priority DESC, number LIMIT {_WAITING_FILES}"""
        rows = self._state.rows(sql)
        return [WaitingFile(number, Path(path), *facts) for number, path, *facts in rows]

    def _has_backlog(self) -> bool:
        """Whether the store has one; those of early versions have none until they are run on."""
        return self._state.has_table("backlog")

    def close(self) -> None:
        """Closes the connection."""
        self._state.close()
