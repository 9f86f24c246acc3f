"""What stands between the pipeline and the sinks: events wait here, on disk, until a sink has them.

Events commit in the same transaction as the results they tell of, in one order (`seq`). Each sink has a cursor: the last `seq`
it has taken. So a new sink gets everything, and an absent one delays events and loses none.
"""

import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .codec import from_line, to_line
from .events import Event
from .journal import TABLES as JOURNAL_TABLES
from .journal import JournalReader, JournalWriter
from .sinks import Parcel
from .state import State

_TABLES = """
CREATE TABLE IF NOT EXISTS store (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, subject TEXT NOT NULL, line TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_of_slide ON events (subject);
CREATE TABLE IF NOT EXISTS cursors (sink TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (sink TEXT, seq INTEGER, reason TEXT NOT NULL, PRIMARY KEY (sink, seq)) WITHOUT ROWID;
"""
_UNSENT = """
FROM events WHERE seq > coalesce((SELECT seq FROM cursors WHERE sink = ?1), 0)
AND seq NOT IN (SELECT seq FROM refused WHERE sink = ?1)
"""


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that a sink would not take, put aside so that the rest goes on."""

    seq: int
    event: Event
    reason: str


class Transaction(JournalWriter):
    """What commits together: results, how far the slide is, and the events that tell of them."""

    def __init__(self, db: sqlite3.Connection):
        self._db = db

    def add(self, events: Iterable[Event]) -> None:
        """Queues events; one whose id is there already stays as it is."""
        rows = ((event.id, event.subject, to_line(event)) for event in events)
        self._db.executemany("INSERT OR IGNORE INTO events (id, subject, line) VALUES (?, ?, ?)", rows)


class Outbox(JournalReader):
    """The outbox and journal of a store, in one SQLite file. One thread writes results, one relay a sink reads."""

    def __init__(self, path: Path):
        """Opens or makes `path`.

        Raises:
            StoreError: it cannot be opened.
        """
        self.path = path
        self._state = State(path, _TABLES + JOURNAL_TABLES)
        self._relays = State(path)  # a second connection: the relay does not wait for the writer's open transaction to read
        self._listeners: list[Callable[[], None]] = []
        with self._state.transaction() as db:
            db.execute("INSERT INTO store SELECT ? WHERE NOT EXISTS (SELECT 1 FROM store)", (uuid.uuid4().hex,))

    @property
    def store_id(self) -> str:
        """Random, made with the file: tells this outbox from every other one."""
        return self._state.rows("SELECT id FROM store")[0][0]

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All that is added inside commits together, then wakes the relays.

        Raises:
            StoreError: the disk is full, or the file cannot be written; what was committed before stays.
        """
        with self._state.transaction() as db:
            yield Transaction(db)
        for wake in self._listeners:
            wake()

    def on_commit(self, wake: Callable[[], None]) -> None:
        """Calls `wake` after every commit, in the writer's thread."""
        self._listeners.append(wake)

    def events(self, slide_id: str | None = None, after_seq: int = 0) -> Iterator[Parcel]:
        """All events, or those of a slide, sent or not, in order; a page at a time."""
        where = "seq > ?" if slide_id is None else "seq > ? AND subject = ?"
        sql = f"SELECT seq, line FROM events WHERE {where} ORDER BY seq LIMIT 256"
        while page := self._state.rows(sql, after_seq, *([] if slide_id is None else [slide_id])):
            yield from (Parcel(seq, from_line(line)) for seq, line in page)
            after_seq = page[-1][0]

    def unsent(self, sink: str, limit: int) -> list[Parcel]:
        """The next events that a sink has not taken."""
        rows = self._relays.rows(f"SELECT seq, line {_UNSENT} ORDER BY seq LIMIT ?2", sink, limit)
        return [Parcel(seq, from_line(line)) for seq, line in rows]

    def count_unsent(self, sink: str) -> int:
        return self._relays.rows(f"SELECT count(*) {_UNSENT}", sink)[0][0]

    def mark_sent(self, sink: str, upto_seq: int) -> None:
        """The sink has taken everything up to and with `upto_seq`."""
        with self._relays.transaction() as db:
            db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (sink, upto_seq))

    def put_aside(self, sink: str, seq: int, reason: str) -> None:
        """The sink will never take this event."""
        with self._relays.transaction() as db:
            db.execute("INSERT OR REPLACE INTO refused VALUES (?, ?, ?)", (sink, seq, reason))

    def refused(self, sink: str) -> list[Refused]:
        """What the sink would not take, and why."""
        sql = "SELECT seq, line, reason FROM refused JOIN events USING (seq) WHERE sink = ? ORDER BY seq"
        return [Refused(seq, from_line(line), reason) for seq, line, reason in self._relays.rows(sql, sink)]

    def close(self) -> None:
        self._state.close()
        self._relays.close()

    def __enter__(self) -> "Outbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
