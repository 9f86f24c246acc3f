"""The tables of the audit trail, in the file `reviews.db`: entries, their seals, and the outbox
from which they are sent, committed together.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stream.events import Event

from .database import State, Unwritable
from .outbox import Outbox, Transaction

NO_DIGEST = "0" * 64  # what the first entry follows
_TABLES = """
CREATE TABLE IF NOT EXISTS trail (
    number INTEGER PRIMARY KEY, slide_id TEXT NOT NULL, line TEXT NOT NULL, digest TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS trail_of_slide ON trail (slide_id, number);
CREATE TABLE IF NOT EXISTS seals (number INTEGER PRIMARY KEY, seal TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stated (
    number INTEGER PRIMARY KEY, slide_id TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS marked_crops (
    number INTEGER PRIMARY KEY, slide_id TEXT NOT NULL, crop BLOB NOT NULL, features BLOB);
CREATE TRIGGER IF NOT EXISTS trail_keeps BEFORE UPDATE ON trail
    BEGIN SELECT raise(ABORT, 'the audit trail only grows'); END;
CREATE TRIGGER IF NOT EXISTS trail_stays BEFORE DELETE ON trail
    BEGIN SELECT raise(ABORT, 'the audit trail only grows'); END;
"""
_LINES_A_PAGE = 1024
_ROWS_A_PAGE = 512


@dataclass(frozen=True, slots=True)
class MarkedPixels:
    """What is kept beside the entry of a marked cell and can be removed: the bytes of its crop (h,
    w, 3) uint8, and those of its features (F,) float16, None where the model gives none.
    """

    crop: bytes
    features: bytes | None = None


@dataclass(frozen=True, slots=True)
class TrailRow:
    """An entry as it is stored: `line` is the event, `seal` None for one without; `stated` is the
    identity that the event has a digest of, which can be removed; `marked` the pixels of a cell.
    """

    number: int
    slide_id: str
    line: str
    digest: str
    seal: str | None
    stated: str | None = None
    marked: MarkedPixels | None = None


class TrailQueries:
    """Reads the entries over a connection of its own."""

    def __init__(self, path: Path, unwritable: Unwritable = "refuse"):
        """Opens the file, and makes its tables where it has none.

        Raises:
            StoreError: it cannot be opened.
        """
        self._state = State(path, _TABLES, unwritable=unwritable)

    def data_version(self) -> int:
        """Another number after every commit of another connection."""
        version: int = self._state.rows("PRAGMA data_version")[0][0]
        return version

    def lines(self, slide_id: str | None = None, after: int = 0) -> Iterator[tuple[int, str]]:
        """Number and event of the entries about a slide, or of all, in order; a page at a time."""
        where = "number > ?" if slide_id is None else "number > ? AND slide_id = ?"
        about = [] if slide_id is None else [slide_id]
        sql = f"""SELECT number, line FROM trail WHERE {where}
            ORDER BY number LIMIT {_LINES_A_PAGE}"""
        while page := self._state.rows(sql, after, *about):
            yield from page
            after = page[-1][0]

    def rows(self) -> Iterator[TrailRow]:
        """Every entry with its seal, in order; a page at a time."""
        after = 0
        sql = f"""SELECT number, slide_id, line, digest, seal
            FROM trail LEFT JOIN seals USING (number) WHERE number > ?
            ORDER BY number LIMIT {_ROWS_A_PAGE}"""
        while page := self._state.rows(sql, after):
            yield from (TrailRow(*row) for row in page)
            after = page[-1][0]

    def head(self) -> tuple[int, str]:
        """Number and digest of the last entry."""
        rows = self._state.rows("SELECT number, digest FROM trail ORDER BY number DESC LIMIT 1")
        return rows[0] if rows else (0, NO_DIGEST)

    def digest(self, number: int) -> str | None:
        """The digest of an entry; None where there is none of that number."""
        rows = self._state.rows("SELECT digest FROM trail WHERE number = ?", number)
        return rows[0][0] if rows else None

    def stated(self, number: int) -> str | None:
        """The identity beside an entry, as it was written; None where there is none any more."""
        rows = self._state.rows("SELECT body FROM stated WHERE number = ?", number)
        return rows[0][0] if rows else None

    def marked(self, number: int) -> MarkedPixels | None:
        """Crop and features of the cell that an entry marked; None where they were removed."""
        rows = self._state.rows("SELECT crop, features FROM marked_crops WHERE number = ?", number)
        return MarkedPixels(*rows[0]) if rows else None

    def last_number(self, slide_id: str) -> int:
        """The number of the last entry about a slide; 0 where there is none."""
        sql = "SELECT coalesce(max(number), 0) FROM trail WHERE slide_id = ?"
        number: int = self._state.rows(sql, slide_id)[0][0]
        return number

    def reviewed_slides(self, after: int) -> dict[str, int]:
        """The slides that have entries after a number, each with its last one."""
        sql = """SELECT slide_id, max(number) FROM trail WHERE number > ? AND slide_id != ''
            GROUP BY slide_id"""
        return dict(self._state.rows(sql, after))

    def seal_count(self) -> int:
        """How many entries have a seal."""
        count: int = self._state.rows("SELECT count(*) FROM seals")[0][0]
        return count

    def close(self) -> None:
        """Closes the connection."""
        self._state.close()


class TrailTransaction:
    """What commits together: entries, their seals, and the same events for the outbox."""

    def __init__(self, db: sqlite3.Connection, outbox: Transaction):
        self._db = db
        self._outbox = outbox

    def head(self) -> tuple[int, str]:
        """Number and digest of the last entry."""
        sql = "SELECT number, digest FROM trail ORDER BY number DESC LIMIT 1"
        found: tuple[int, str] | None = self._db.execute(sql).fetchone()
        return found or (0, NO_DIGEST)

    def seal_of(self, number: int) -> str | None:
        """The seal of an entry; None where it has none."""
        found = self._db.execute("SELECT seal FROM seals WHERE number = ?", (number,)).fetchone()
        return found[0] if found else None

    def append(self, row: TrailRow, *events: Event) -> None:
        """Adds an entry, and its events to the outbox."""
        values = (row.number, row.slide_id, row.line, row.digest)
        self._db.execute("INSERT INTO trail VALUES (?, ?, ?, ?)", values)
        if row.seal:
            sealed = (row.number, row.seal)
            self._db.execute("INSERT OR REPLACE INTO seals VALUES (?, ?)", sealed)
        if row.stated is not None:
            kept = (row.number, row.slide_id, row.stated)
            self._db.execute("INSERT INTO stated VALUES (?, ?, ?)", kept)
        if row.marked is not None:
            pixels = (row.number, row.slide_id, row.marked.crop, row.marked.features)
            self._db.execute("INSERT INTO marked_crops VALUES (?, ?, ?, ?)", pixels)
        self._outbox.add(events)


class TrailRecords(TrailQueries):
    """The file of the audit trail. `outbox` sends its entries to the topic of reviews."""

    def __init__(self, path: Path, unwritable: Unwritable = "refuse"):
        """Opens the file, and makes it where there is none.

        Raises:
            StoreError: it cannot be opened.
        """
        super().__init__(path, unwritable)
        self.outbox = Outbox(path, unwritable=unwritable)

    @contextmanager
    def appending(self) -> Iterator[TrailTransaction]:
        """All entries that are appended inside commit together, then the relays are woken.

        Raises:
            StoreError: the disk is full, or the file cannot be written.
        """
        with self.outbox.transaction() as tx:
            yield TrailTransaction(tx._db, tx)

    def close(self) -> None:
        """Closes the file."""
        self.outbox.close()
        super().close()
