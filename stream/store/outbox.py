"""What stands between the pipeline and the sinks: events wait here, on disk, until a sink has them.

Events commit in the same transaction as the results they report, in one order (`seq`). Each sink
has a cursor: the last `seq` it has taken. So a new sink gets everything, and an absent one delays
events and loses none.
"""

import json
import secrets
import shutil
import sqlite3
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import Any, Self

from ingest import StoreError
from stream.events import ALERT, CELL, DEAD, RED, Event, dead_letter_event, from_line, to_record
from stream.store.outbox_record import OutboxRecord

from .database import State, Unwritable
from .identity_table import IDENTITY_TABLES, IdentityReader, IdentityWriter
from .journal import JOURNAL_TABLES as JOURNAL_TABLES
from .journal import JournalReader, JournalWriter, add_feature_column
from .leases import LEASE_TABLES as LEASE_TABLES
from .leases import LeaseLostError, Leases

_TABLES = """
CREATE TABLE IF NOT EXISTS store (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS secret (value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, subject TEXT NOT NULL,
    type TEXT NOT NULL, added REAL NOT NULL, headers TEXT NOT NULL, value BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS records_of_slide ON records (subject, type);
CREATE INDEX IF NOT EXISTS alerts_by_time ON records (added) WHERE type = 'cytostream.alert.v1';
CREATE INDEX IF NOT EXISTS slide_alerts_by_time ON records (added)
    WHERE type = 'cytostream.slidealert.v1';
CREATE TABLE IF NOT EXISTS cursors (sink TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (sink TEXT, seq INTEGER, reason TEXT NOT NULL,
    PRIMARY KEY (sink, seq)) WITHOUT ROWID;
"""
_COLUMNS = "seq, id, type, subject, headers, value"
_CHECK_S = 2.0
_MARK_S = 1.0
_UNSENT = """
FROM records WHERE seq > coalesce((SELECT seq FROM cursors WHERE sink = ?1), 0)
AND seq NOT IN (SELECT seq FROM refused WHERE sink = ?1)
"""


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that a sink would not take, put aside so that the rest goes on."""

    seq: int
    event: Event
    reason: str


class Transaction(JournalWriter, IdentityWriter):
    """What commits together: results, how far the slide is, and the events that report them."""

    def __init__(self, db: sqlite3.Connection, owner: str = ""):
        self._db = db
        self._owner = owner

    def add(self, events: Iterable[Event]) -> None:
        """Queues events, encoded as they will be sent; one whose id is there already stays as it
        is.
        """
        sql = (
            "INSERT OR IGNORE INTO records (id, subject, type, added, headers, value) VALUES "
            "(?, ?, ?, ?, ?, ?)"
        )
        self._db.executemany(sql, (_row(event) for event in events))

    def hold(self, name: str) -> None:
        """What follows is written only while this process has the lease.

        Raises:
            LeaseLostError: it has not.
        """
        row = self._db.execute("SELECT owner FROM leases WHERE name = ?", (name,)).fetchone()
        if row != (self._owner,):
            raise LeaseLostError(
                f"{name}: another process has taken over", "nothing is lost: it goes on there"
            )


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """How much disk the outbox may take: a run stops in order where less is free, or more waits for
    a sink.
    """

    free_bytes: float = 0.0
    waiting_bytes: float = float("inf")


class Outbox(JournalReader, IdentityReader):
    """The outbox and journal of a store, in one SQLite file, which several processes may share."""

    def __init__(
        self,
        path: Path,
        room: DiskLimits | None = None,
        lease_s: float = 30.0,
        unwritable: Unwritable = "refuse",
    ):
        """Opens or makes `path`.

        Raises:
            StoreError: it cannot be opened.
        """
        self.path = path
        self.room = room or DiskLimits()
        tables = _TABLES + JOURNAL_TABLES + LEASE_TABLES + IDENTITY_TABLES
        self._state = State(path, tables, unwritable=unwritable)
        # a second connection: the relay does not wait for the writer's open transaction to read. A
        # power cut may take its last
        # commits back: the sinks know themselves what they have
        self._relays = State(path, sync="NORMAL", unwritable=unwritable)
        self.leases = Leases(self._relays, lease_s)
        self._listeners: list[Callable[[], None]] = []
        self._checked_s = 0.0
        self._alert_marks: deque[tuple[float, int]] = deque()
        if unwritable == "read" and not self.is_kept:
            return
        with self._state.transaction() as db:
            db.execute(
                "INSERT INTO store SELECT ? WHERE NOT EXISTS (SELECT 1 FROM store)",
                (uuid.uuid4().hex,),
            )
            db.execute(
                "INSERT INTO secret SELECT ? WHERE NOT EXISTS (SELECT 1 FROM secret)",
                (secrets.token_hex(32),),
            )
            _move_lines(db)
            add_feature_column(db)

    @property
    def is_kept(self) -> bool:
        """Whether what is written stays: False for a store that can only be read."""
        return self._state.is_kept

    @property
    def store_id(self) -> str:
        """Random, made with the file: tells this outbox from every other one."""
        return str(self._state.rows("SELECT id FROM store")[0][0])

    @property
    def secret(self) -> str:
        """Random, never sent: digests of names that leave the store are made with it."""
        return str(self._state.rows("SELECT value FROM secret")[0][0])

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All that is added inside commits together, then wakes the relays.

        Raises:
            StoreError: the disk is full, for the config or in fact, or cannot be written; what was
            committed before stays.
        """
        self._check_room()
        with self._state.transaction() as db:
            yield Transaction(db, self.leases.owner)
        for wake in self._listeners:
            wake()

    def make_tables(self, tables: str) -> None:
        """Adds the tables (SQL) of whoever keeps something beside the events."""
        self._state.run(tables)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query gives."""
        return self._state.rows(sql, *values)

    def exclusive(self) -> AbstractContextManager[sqlite3.Connection]:
        """A transaction beside the results, which no other process can come between; it wakes no
        relay.
        """
        return self._state.transaction()

    def on_commit(self, wake: Callable[[], None]) -> None:
        """Calls `wake` after every commit, in the writer's thread."""
        self._listeners.append(wake)

    def events(
        self, slide_id: str | None = None, after_seq: int = 0, types: Sequence[str] = ()
    ) -> Iterator[OutboxRecord]:
        """All events, or those of a slide or of some types, sent or not, in order; a page at a
        time.
        """
        where = "seq > ?" if slide_id is None else "seq > ? AND subject = ?"
        where += f" AND type IN ({', '.join('?' * len(types))})" if types else ""
        about = [*([] if slide_id is None else [slide_id]), *types]
        sql = f"SELECT {_COLUMNS} FROM records WHERE {where} ORDER BY seq LIMIT 256"
        while page := self._state.rows(sql, after_seq, *about):
            yield from (_record(*row) for row in page)
            after_seq = page[-1][0]

    def alerts_given(self, slide_id: str) -> Counter[str]:
        """How many cell alerts a slide has raised, by rule."""
        sql = (
            "SELECT json_extract(CAST(value AS TEXT), '$.rule') FROM records WHERE subject = ? "
            "AND type = ?"
        )
        return Counter(rule for (rule,) in self._state.rows(sql, slide_id, ALERT))

    def alerts_since(self, seconds: float) -> int:
        """How many cell alerts all slides have raised in the last `seconds`, as far as this process
        has seen them pass: by its own monotonic clock, since times of day differ between hosts and
        are set.
        """
        now_s = monotonic()
        last_seq = self._state.integer("SELECT coalesce(max(seq), 0) FROM records")
        if not self._alert_marks or now_s - self._alert_marks[-1][0] >= _MARK_S:
            self._alert_marks.append((now_s, last_seq))
        while len(self._alert_marks) > 1 and self._alert_marks[1][0] <= now_s - seconds:
            self._alert_marks.popleft()
        sql = f"SELECT count(*) FROM records WHERE type = '{ALERT}' AND seq > ?"
        return self._state.integer(sql, self._alert_marks[0][1])

    def record(self, seq: int) -> OutboxRecord:
        return _record(*self._state.rows(f"SELECT {_COLUMNS} FROM records WHERE seq = ?", seq)[0])

    def unsent(self, sink: str, limit: int) -> list[OutboxRecord]:
        """The next events that a sink has not taken."""
        rows = self._relays.rows(f"SELECT {_COLUMNS} {_UNSENT} ORDER BY seq LIMIT ?2", sink, limit)
        return [_record(*row) for row in rows]

    def count_unsent(self, sink: str) -> int:
        return self._relays.integer(f"SELECT count(*) {_UNSENT}", sink)

    def mark_sent(self, sink: str, upto_seq: int) -> None:
        """The sink has taken everything up to and with `upto_seq`; less than before where it has
        lost what it had.
        """
        with self._relays.transaction() as db:
            db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (sink, upto_seq))

    def sent(self, sink: str) -> int:
        """Up to which `seq` the sink has taken everything."""
        rows = self._relays.rows("SELECT seq FROM cursors WHERE sink = ?", sink)
        return rows[0][0] if rows else 0

    def put_aside(self, sink: str, seq: int, reason: str) -> None:
        """The sink will never take this event; a dead letter reports it, except of another dead
        letter.
        """
        with self._relays.transaction() as db:
            db.execute("INSERT OR REPLACE INTO refused VALUES (?, ?, ?)", (sink, seq, reason))
            row = db.execute(f"SELECT {_COLUMNS} FROM records WHERE seq = ?", (seq,)).fetchone()
            if row and row[2] != DEAD:
                Transaction(db).add(
                    [dead_letter_event(_record(*row).event, len(row[-1]), reason, sink)]
                )

    def refused(self, sink: str | None = None) -> list[Refused]:
        """What a sink would not take, and why; of all sinks without one."""
        sql = (
            f"SELECT reason, {_COLUMNS} FROM refused JOIN records USING (seq) WHERE ?1 IS NULL "
            "OR sink = ?1 ORDER BY seq"
        )
        return [
            Refused(row[0], _record(*row).event, reason)
            for reason, *row in self._relays.rows(sql, sink)
        ]

    def prune(self, keep_days: float, sinks: Iterable[str]) -> int:
        """Drops labels of finished slides that are older than `keep_days` and that all these sinks
        have; returns how many.

        Alerts and failures stay: the review page reads them for as long as the slide is there.
        """
        upto = min((self.sent(sink) for sink in sinks), default=0)
        with self._relays.transaction() as db:
            sql = """DELETE FROM records WHERE type IN (?, ?) AND added < ? AND seq <= ?
                AND seq NOT IN (SELECT seq FROM refused) AND seq < (SELECT max(seq) FROM records)
                AND subject IN (SELECT slide_id FROM slides WHERE status = 'done')"""
            return db.execute(sql, (CELL, RED, time() - keep_days * 86_400, upto)).rowcount

    def size_bytes(self) -> int:
        """Of the state file, without what was dropped from it."""
        pages = self._state.integer("PRAGMA page_count") - self._state.integer(
            "PRAGMA freelist_count"
        )
        return pages * self._state.integer("PRAGMA page_size")

    def waiting_bytes(self) -> int:
        """Of the events that no sink has yet."""
        sql = (
            "SELECT coalesce(sum(length(value)), 0) FROM records WHERE seq > coalesce((SELECT "
            "max(seq) FROM cursors), 0)"
        )
        return self._state.integer(sql)

    def _check_room(self) -> None:
        """Raises StoreError where there is too little; looks now and then."""
        if monotonic() - self._checked_s < _CHECK_S:
            return
        self._checked_s = monotonic()
        free = shutil.disk_usage(self.path.parent).free
        if free < self.room.free_bytes:
            do = "free some space (store.free_gb), then the same command goes on"
            raise StoreError(f"{self.path.parent}: {free / 1e9:.2f} GB free on the disk", do)
        if self.size_bytes() > self.room.waiting_bytes < (waiting := self.waiting_bytes()):
            do = "start the broker, or raise store.waiting_gb; then the same command goes on"
            raise StoreError(f"{self.path}: {waiting / 1e9:.2f} GB of events wait for a sink", do)

    def close(self) -> None:
        self.leases.close()
        self._state.close()
        self._relays.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _row(event: Event) -> tuple[str, str, str, float, str, bytes]:
    _, headers, value = to_record(event)
    text = json.dumps([(name, header.decode()) for name, header in headers])
    return event.id, event.subject, event.type, time(), text, value


def _record(
    seq: int, event_id: str, kind: str, subject: str, headers: str, value: bytes
) -> OutboxRecord:
    pairs = [(name, header.encode()) for name, header in json.loads(headers)]
    return OutboxRecord(seq, event_id, kind, subject.encode(), pairs, value)


def _move_lines(db: sqlite3.Connection) -> None:
    """A store of version 0.1.0 kept its events as lines."""
    if not db.execute(
        "SELECT 1 FROM sqlite_master WHERE name = 'events' AND type = 'table'"
    ).fetchone():
        return
    for seq, line in db.execute("SELECT seq, line FROM events ORDER BY seq").fetchall():
        sql = (
            "INSERT INTO records (seq, id, subject, type, added, headers, value) VALUES (?, ?, "
            "?, ?, ?, ?, ?)"
        )
        db.execute(sql, (seq, *_row(from_line(line))))
    db.execute("DROP TABLE events")
