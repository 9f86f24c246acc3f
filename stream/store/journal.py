"""How far each slide is: tiles done, cells found, status. What makes a killed run go on where it
stopped.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ingest import Failure
from stream.events import JsonObject

from .database import State

JOURNAL_TABLES = """
CREATE TABLE IF NOT EXISTS tiles (slide_id TEXT, tile_key TEXT, PRIMARY KEY (slide_id, tile_key))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cells (
    row INTEGER PRIMARY KEY AUTOINCREMENT, slide_id TEXT NOT NULL, cell_id TEXT NOT NULL,
    body TEXT NOT NULL, crop BLOB, features BLOB,
    UNIQUE (slide_id, cell_id));
CREATE TABLE IF NOT EXISTS failures (
    event_id TEXT PRIMARY KEY, slide_id TEXT NOT NULL, code TEXT NOT NULL, path TEXT NOT NULL,
    what TEXT NOT NULL, hint TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slides (slide_id TEXT PRIMARY KEY, status TEXT NOT NULL,
    facts TEXT NOT NULL) WITHOUT ROWID;
"""
_PAGE = 256
CellEntry = tuple[str, str, bytes | None, bytes | None]


@dataclass(frozen=True, slots=True)
class CellRow:
    """A journalled cell: `row` grows in order of insertion, `body` is the caller's JSON; `crop` and
    `features` are None once dropped.
    """

    row: int
    cell_id: str
    body: str
    crop: bytes | None
    features: bytes | None = None


@dataclass(frozen=True, slots=True)
class KeptFailure:
    """What a reader or the operating system said of a file; it names the file, and stays here."""

    code: str
    slide_id: str
    path: str
    what: str
    hint: str


class JournalReader:
    """Reads; needs `_state`."""

    _state: State

    def tiles_done(self, slide_id: str) -> set[str]:
        return {
            key
            for (key,) in self._state.rows(
                "SELECT tile_key FROM tiles WHERE slide_id = ?", slide_id
            )
        }

    def cell_ids(self, slide_id: str) -> set[str]:
        return {
            cell
            for (cell,) in self._state.rows(
                "SELECT cell_id FROM cells WHERE slide_id = ?", slide_id
            )
        }

    def cells(self, slide_id: str, after_row: int = 0) -> Iterator[CellRow]:
        """The cells of a slide in order of insertion, a page at a time: memory does not grow with
        the slide.
        """
        sql = (
            "SELECT row, cell_id, body, crop, features FROM cells WHERE slide_id = ? AND row > ? "
            f"ORDER BY row LIMIT {_PAGE}"
        )
        while page := self._state.rows(sql, slide_id, after_row):
            yield from (CellRow(*values) for values in page)
            after_row = page[-1][0]

    def status(self, slide_id: str) -> str | None:
        """The slide's last status, None where it was never set."""
        rows = self._state.rows("SELECT status FROM slides WHERE slide_id = ?", slide_id)
        return rows[0][0] if rows else None

    def facts(self, slide_id: str) -> JsonObject:
        """What the last `set_status` said beside the status; empty where it was never set."""
        rows = self._state.rows("SELECT facts FROM slides WHERE slide_id = ?", slide_id)
        return json.loads(rows[0][0]) if rows else {}

    def facts_of_path(self, path: str) -> JsonObject:
        """The facts of a slide under way, by its resolved path; empty where none is."""
        sql = (
            "SELECT facts FROM slides WHERE status = 'running' AND json_extract(facts, "
            "'$.slide.path') = ?"
        )
        rows = self._state.rows(sql, path)
        return json.loads(rows[0][0]) if rows else {}

    def odd_shares(self, scanner: str, slides: int, but: str) -> list[tuple[int, int]]:
        """(anomalous cells, cells) of a scanner's last finished slides, newest first; without the
        slide `but`.
        """
        sql = """SELECT json_extract(facts, '$.odd'), json_extract(facts, '$.progress.cells')
            FROM slides
            WHERE status IN ('done', 'failures') AND json_extract(facts, '$.slide.scanner') = ?
            AND slide_id != ?
            AND json_extract(facts, '$.odd') IS NOT NULL
            ORDER BY json_extract(facts, '$.at') DESC LIMIT ?"""
        return self._state.rows(sql, scanner, but, slides)

    def failures(self) -> list[KeptFailure]:
        """What could not be read, in the words of whoever said so."""
        sql = "SELECT code, slide_id, path, what, hint FROM failures ORDER BY path, code, what"
        return [KeptFailure(*row) for row in self._state.rows(sql)]

    def slide_ids(self) -> list[str]:
        return [
            slide_id
            for (slide_id,) in self._state.rows("SELECT slide_id FROM slides ORDER BY slide_id")
        ]


def add_feature_column(db: sqlite3.Connection) -> None:
    """A store from before cells had features."""
    columns = [name for _, name, *_ in db.execute("PRAGMA table_info(cells)")]
    if "features" not in columns:
        db.execute("ALTER TABLE cells ADD COLUMN features BLOB")


class JournalWriter:
    """Writes, inside one transaction; needs `_db`."""

    _db: sqlite3.Connection

    def tile_done(self, slide_id: str, tile_key: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO tiles VALUES (?, ?)", (slide_id, tile_key))

    def add_cells(self, slide_id: str, rows: Iterable[CellEntry]) -> None:
        """Adds (cell_id, JSON text, crop bytes or None, features as bytes or None); a cell that is
        there already stays as it is.
        """
        sql = (
            "INSERT OR IGNORE INTO cells (slide_id, cell_id, body, crop, features) VALUES "
            "(?, ?, ?, ?, ?)"
        )
        self._db.executemany(sql, ((slide_id, *row) for row in rows))

    def drop_crops(self, slide_id: str, upto_row: int) -> None:
        """Forgets crops and features up to and with a row, once they are in the result store."""
        sql = (
            "UPDATE cells SET crop = NULL, features = NULL "
            "WHERE slide_id = ? AND row <= ? AND crop IS NOT NULL"
        )
        self._db.execute(sql, (slide_id, upto_row))

    def keep_failure(self, event_id: str, path: str, failure: Failure) -> None:
        """Keeps the words of a failure; its event holds a code and a fixed sentence."""
        about = (failure.slide_id, failure.code, path, failure.what, failure.hint)
        sql = "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?)"
        self._db.execute(sql, (event_id, *about))

    def set_status(self, slide_id: str, status: str, **facts: object) -> None:
        """Sets the status, and the facts (JSON values) beside it."""
        self._db.execute(
            "INSERT OR REPLACE INTO slides VALUES (?, ?, ?)", (slide_id, status, json.dumps(facts))
        )
