"""What stands between the pipeline and the sinks: events wait here, on disk, until a sink has them.

Events commit in the same transaction as the results they report, in one order (`seq`). Each sink
has a cursor: the last `seq` it has taken. So a new sink gets everything, and an absent one delays
events and loses none.
"""

import json
import secrets
import shutil
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import Self

from sqlalchemy import MetaData

from ingest import StoreError
from stream.events import ALERT, CELL, DEAD, RED, Event, dead_letter_event, from_line, to_record
from stream.store.outbox_record import OutboxRecord

from .database import STATE_SCHEMA, BoundValue, Row, State, Statements, Unwritable, listed
from .identity_table import IdentityReader, IdentityWriter
from .journal import JournalReader, JournalWriter
from .leases import LeaseLostError, Leases

_COLUMNS = "seq, id, type, subject, headers, value"
_CHECK_S = 2.0
_MARK_S = 1.0
_UNSENT = """
FROM records WHERE seq > coalesce((SELECT seq FROM cursors WHERE sink = :sink), 0)
AND seq NOT IN (SELECT seq FROM refused WHERE sink = :sink)
"""


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that a sink would not take, put aside so that the rest goes on."""

    seq: int
    event: Event
    reason: str


class Transaction(JournalWriter, IdentityWriter):
    """What commits together: results, how far the slide is, and the events that report them."""

    def __init__(self, db: Statements, owner: str = ""):
        self._db = db
        self._owner = owner

    def add(self, events: Iterable[Event]) -> None:
        """Queues events, encoded as they will be sent; one whose id is there already stays as it
        is.
        """
        sql = (
            "INSERT INTO records (id, subject, type, added, headers, value) VALUES "
            "(:id, :subject, :type, :added, :headers, :value) ON CONFLICT DO NOTHING"
        )
        self._db.change_all(sql, (_values(event) for event in events))

    def hold(self, name: str) -> None:
        """What follows is written only while this process has the lease.

        Raises:
            LeaseLostError: it has not.
        """
        sql = f"SELECT owner FROM leases WHERE name = :name {self._db.share_row}"
        if self._db.row(sql, name=name) != (self._owner,):
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
    """The outbox and journal of a store, in one database, which several processes may share."""

    def __init__(
        self,
        path: Path,
        room: DiskLimits | None = None,
        lease_s: float = 30.0,
        unwritable: Unwritable = "refuse",
        schema: MetaData = STATE_SCHEMA,
    ):
        """Opens or makes the database of `path`.

        Raises:
            StoreError: it cannot be opened.
        """
        self.path = path
        self.room = room or DiskLimits()
        self._state = State(path, schema, unwritable=unwritable)
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
            db.change(
                "INSERT INTO store SELECT :id WHERE NOT EXISTS (SELECT 1 FROM store)",
                id=uuid.uuid4().hex,
            )
            db.change(
                "INSERT INTO secret SELECT :value WHERE NOT EXISTS (SELECT 1 FROM secret)",
                value=secrets.token_hex(32),
            )
            if self._state.has_table("events"):
                _move_lines(db)

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

    def rows(self, sql: str, /, **values: BoundValue) -> list[Row]:
        """What a query gives."""
        return self._state.rows(sql, **values)

    def exclusive(self) -> AbstractContextManager[Statements]:
        """A transaction beside the results and events; what it reads it must lock, where others
        may change it. It wakes no relay.
        """
        return self._state.transaction(ordered=False)

    def on_commit(self, wake: Callable[[], None]) -> None:
        """Calls `wake` after every commit, in the writer's thread."""
        self._listeners.append(wake)

    def events(
        self, slide_id: str | None = None, after_seq: int = 0, types: Sequence[str] = ()
    ) -> Iterator[OutboxRecord]:
        """All events, or those of a slide or of some types, sent or not, in order; a page at a
        time.
        """
        kinds, about = listed("type", types)
        where = "seq > :after_seq" + (f" AND type IN ({kinds})" if types else "")
        if slide_id is not None:
            where += " AND subject = :subject"
            about["subject"] = slide_id
        sql = f"SELECT {_COLUMNS} FROM records WHERE {where} ORDER BY seq LIMIT 256"
        while page := self._state.rows(sql, after_seq=after_seq, **about):
            yield from (_record(*row) for row in page)
            after_seq = page[-1][0]

    def alerts_given(self, slide_id: str) -> Counter[str]:
        """How many cell alerts a slide has raised, by rule."""
        sql = "SELECT value FROM records WHERE subject = :subject AND type = :type"
        rows = self._state.rows(sql, subject=slide_id, type=ALERT)
        return Counter(json.loads(value)["rule"] for (value,) in rows)

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
        sql = f"SELECT count(*) FROM records WHERE type = '{ALERT}' AND seq > :seq"
        return self._state.integer(sql, seq=self._alert_marks[0][1])

    def record(self, seq: int) -> OutboxRecord:
        sql = f"SELECT {_COLUMNS} FROM records WHERE seq = :seq"
        return _record(*self._state.rows(sql, seq=seq)[0])

    def unsent(self, sink: str, limit: int) -> list[OutboxRecord]:
        """The next events that a sink has not taken."""
        sql = f"SELECT {_COLUMNS} {_UNSENT} ORDER BY seq LIMIT :limit"
        rows = self._relays.rows(sql, sink=sink, limit=limit)
        return [_record(*row) for row in rows]

    def count_unsent(self, sink: str) -> int:
        return self._relays.integer(f"SELECT count(*) {_UNSENT}", sink=sink)

    def mark_sent(self, sink: str, upto_seq: int) -> None:
        """The sink has taken everything up to and with `upto_seq`; less than before where it has
        lost what it had.
        """
        sql = """INSERT INTO cursors VALUES (:sink, :seq)
            ON CONFLICT (sink) DO UPDATE SET seq = excluded.seq"""
        with self._relays.transaction(ordered=False) as db:
            db.change(sql, sink=sink, seq=upto_seq)

    def sent(self, sink: str) -> int:
        """Up to which `seq` the sink has taken everything."""
        rows = self._relays.rows("SELECT seq FROM cursors WHERE sink = :sink", sink=sink)
        return rows[0][0] if rows else 0

    def put_aside(self, sink: str, seq: int, reason: str) -> None:
        """The sink will never take this event; a dead letter reports it, except of another dead
        letter.
        """
        with self._relays.transaction() as db:
            sql = """INSERT INTO refused VALUES (:sink, :seq, :reason)
                ON CONFLICT (sink, seq) DO UPDATE SET reason = excluded.reason"""
            db.change(sql, sink=sink, seq=seq, reason=reason)
            row = db.row(f"SELECT {_COLUMNS} FROM records WHERE seq = :seq", seq=seq)
            if row and row[2] != DEAD:
                Transaction(db).add(
                    [dead_letter_event(_record(*row).event, len(row[-1]), reason, sink)]
                )

    def refused(self, sink: str | None = None) -> list[Refused]:
        """What a sink would not take, and why; of all sinks without one."""
        where = "" if sink is None else "WHERE sink = :sink"
        about = {} if sink is None else {"sink": sink}
        sql = f"""SELECT reason, {_COLUMNS} FROM refused JOIN records USING (seq) {where}
            ORDER BY seq"""
        return [
            Refused(row[0], _record(*row).event, reason)
            for reason, *row in self._relays.rows(sql, **about)
        ]

    def prune(self, keep_days: float, sinks: Iterable[str]) -> int:
        """Drops labels of finished slides that are older than `keep_days` and that all these sinks
        have; returns how many.

        Alerts and failures stay: the review page reads them for as long as the slide is there.
        """
        upto = min((self.sent(sink) for sink in sinks), default=0)
        with self._relays.transaction() as db:
            sql = """DELETE FROM records WHERE type IN (:cell, :red) AND added < :before
                AND seq <= :upto
                AND seq NOT IN (SELECT seq FROM refused) AND seq < (SELECT max(seq) FROM records)
                AND subject IN (SELECT slide_id FROM slides WHERE status = 'done')"""
            before = time() - keep_days * 86_400
            return db.change(sql, cell=CELL, red=RED, before=before, upto=upto)

    def size_bytes(self) -> int:
        """Of the state, without what was dropped from it."""
        return self._state.size_bytes()

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


def _values(event: Event) -> dict[str, BoundValue]:
    _, headers, value = to_record(event)
    return {
        "id": event.id,
        "subject": event.subject,
        "type": event.type,
        "added": time(),
        "headers": json.dumps([(name, header.decode()) for name, header in headers]),
        "value": value,
    }


def _record(
    seq: int, event_id: str, kind: str, subject: str, headers: str, value: bytes
) -> OutboxRecord:
    pairs = [(name, header.encode()) for name, header in json.loads(headers)]
    return OutboxRecord(seq, event_id, kind, subject.encode(), pairs, value)


def _move_lines(db: Statements) -> None:
    """A store of version 0.1.0 kept its events as lines."""
    sql = (
        "INSERT INTO records (seq, id, subject, type, added, headers, value) VALUES "
        "(:seq, :id, :subject, :type, :added, :headers, :value)"
    )
    lines = db.rows("SELECT seq, line FROM events ORDER BY seq")
    db.change_all(sql, ({"seq": seq, **_values(from_line(line))} for seq, line in lines))
    db.change("DROP TABLE events")
