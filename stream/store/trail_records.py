"""The audit trail, in the database `reviews.db`: entries, their seals, and the outbox
from which they are sent, committed together.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stream.events import Event

from .database import REVIEWS_SCHEMA, State, Statements, Unwritable
from .outbox import Outbox, Transaction

NO_DIGEST = "0" * 64  # what the first entry follows
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
        self._state = State(path, REVIEWS_SCHEMA, unwritable=unwritable)

    def data_version(self) -> int:
        """Another number after every commit of another connection."""
        return self._state.change_mark()

    def lines(self, slide_id: str | None = None, after: int = 0) -> Iterator[tuple[int, str]]:
        """Number and event of the entries about a slide, or of all, in order; a page at a time."""
        where = "" if slide_id is None else "AND slide_id = :slide_id"
        about = {} if slide_id is None else {"slide_id": slide_id}
        sql = f"""SELECT number, line FROM trail WHERE number > :after {where}
            ORDER BY number LIMIT {_LINES_A_PAGE}"""
        while page := self._state.rows(sql, after=after, **about):
            yield from ((number, line) for number, line in page)
            after = page[-1][0]

    def rows(self) -> Iterator[TrailRow]:
        """Every entry with its seal, in order; a page at a time."""
        after = 0
        sql = f"""SELECT number, slide_id, line, digest, seal
            FROM trail LEFT JOIN seals USING (number) WHERE number > :after
            ORDER BY number LIMIT {_ROWS_A_PAGE}"""
        while page := self._state.rows(sql, after=after):
            yield from (TrailRow(*row) for row in page)
            after = page[-1][0]

    def head(self) -> tuple[int, str]:
        """Number and digest of the last entry."""
        rows = self._state.rows("SELECT number, digest FROM trail ORDER BY number DESC LIMIT 1")
        return (rows[0][0], rows[0][1]) if rows else (0, NO_DIGEST)

    def digest(self, number: int) -> str | None:
        """The digest of an entry; None where there is none of that number."""
        rows = self._state.rows("SELECT digest FROM trail WHERE number = :number", number=number)
        return rows[0][0] if rows else None

    def stated(self, number: int) -> str | None:
        """The identity beside an entry, as it was written; None where there is none any more."""
        rows = self._state.rows("SELECT body FROM stated WHERE number = :number", number=number)
        return rows[0][0] if rows else None

    def marked(self, number: int) -> MarkedPixels | None:
        """Crop and features of the cell that an entry marked; None where they were removed."""
        sql = "SELECT crop, features FROM marked_crops WHERE number = :number"
        rows = self._state.rows(sql, number=number)
        return MarkedPixels(*rows[0]) if rows else None

    def last_number(self, slide_id: str) -> int:
        """The number of the last entry about a slide; 0 where there is none."""
        sql = "SELECT coalesce(max(number), 0) FROM trail WHERE slide_id = :slide_id"
        return self._state.integer(sql, slide_id=slide_id)

    def reviewed_slides(self, after: int) -> dict[str, int]:
        """The slides that have entries after a number, each with its last one."""
        sql = """SELECT slide_id, max(number) FROM trail WHERE number > :after AND slide_id != ''
            GROUP BY slide_id"""
        return {slide_id: number for slide_id, number in self._state.rows(sql, after=after)}

    def seal_count(self) -> int:
        """How many entries have a seal."""
        return self._state.integer("SELECT count(*) FROM seals")

    def close(self) -> None:
        """Closes the connection."""
        self._state.close()


class TrailTransaction:
    """What commits together: entries, their seals, and the same events for the outbox."""

    def __init__(self, db: Statements, outbox: Transaction):
        self._db = db
        self._outbox = outbox

    def head(self) -> tuple[int, str]:
        """Number and digest of the last entry."""
        sql = "SELECT number, digest FROM trail ORDER BY number DESC LIMIT 1"
        number, digest = self._db.row(sql) or (0, NO_DIGEST)
        return number, digest

    def seal_of(self, number: int) -> str | None:
        """The seal of an entry; None where it has none."""
        found = self._db.row("SELECT seal FROM seals WHERE number = :number", number=number)
        return found[0] if found else None

    def append(self, row: TrailRow, *events: Event) -> None:
        """Adds an entry, and its events to the outbox."""
        self._db.change(
            "INSERT INTO trail VALUES (:number, :slide_id, :line, :digest)",
            number=row.number,
            slide_id=row.slide_id,
            line=row.line,
            digest=row.digest,
        )
        if row.seal:
            sql = """INSERT INTO seals VALUES (:number, :seal)
                ON CONFLICT (number) DO UPDATE SET seal = excluded.seal"""
            self._db.change(sql, number=row.number, seal=row.seal)
        if row.stated is not None:
            sql = "INSERT INTO stated VALUES (:number, :slide_id, :body)"
            self._db.change(sql, number=row.number, slide_id=row.slide_id, body=row.stated)
        if row.marked is not None:
            self._db.change(
                "INSERT INTO marked_crops VALUES (:number, :slide_id, :crop, :features)",
                number=row.number,
                slide_id=row.slide_id,
                crop=row.marked.crop,
                features=row.marked.features,
            )
        self._outbox.add(events)


class TrailRecords(TrailQueries):
    """The file of the audit trail. `outbox` sends its entries to the topic of reviews."""

    def __init__(self, path: Path, unwritable: Unwritable = "refuse"):
        """Opens the file, and makes it where there is none.

        Raises:
            StoreError: it cannot be opened.
        """
        super().__init__(path, unwritable)
        self.outbox = Outbox(path, unwritable=unwritable, schema=REVIEWS_SCHEMA)

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
