"""The audit trail: every review and login of a store, in one order, each entry linked to the one
before by SHA-256.

An entry is the very event that goes to Kafka, committed in one transaction with it, and sealed with
a key from outside the store.
SQLite triggers refuse changes by accident; `audit_check` shows those made on purpose.
"""

import hashlib
import hmac
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest import StoreError
from stream.events import (
    REVIEW,
    AccessAction,
    Event,
    Provenance,
    ReviewData,
    access_event,
    from_line,
    review_event,
    to_line,
)
from stream.store import Outbox, State, Transaction

from .custody import Custody, SealingKey, key_for
from .review_state import ReviewEntry

REVIEWS_FILE = "reviews.db"
_START = "0" * 64
_TABLES = """
CREATE TABLE IF NOT EXISTS trail (
    number INTEGER PRIMARY KEY, slide_id TEXT NOT NULL, line TEXT NOT NULL, digest TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS trail_of_slide ON trail (slide_id, number);
CREATE TABLE IF NOT EXISTS seals (number INTEGER PRIMARY KEY, seal TEXT NOT NULL);
CREATE TRIGGER IF NOT EXISTS trail_keeps BEFORE UPDATE ON trail
    BEGIN SELECT raise(ABORT, 'the audit trail only grows'); END;
CREATE TRIGGER IF NOT EXISTS trail_stays BEFORE DELETE ON trail
    BEGIN SELECT raise(ABORT, 'the audit trail only grows'); END;
"""
MakeEvent = Callable[[Mapping[str, str | int]], Event]


@dataclass(frozen=True, slots=True)
class TrailEntry:
    """What is to be written: an action and what it is about (fields of `ReviewData`)."""

    action: str
    about: dict


class Trail(Outbox):
    """The reviews of a store, and the outbox from which they go to the topic `reviews`: one SQLite
    file beside `state.db`.

    With a folder for `custody`, outside the store, entries are sealed and the head is kept there at
    every signature.
    """

    def __init__(self, store: Path, custody: Path | None = None):
        State(store / REVIEWS_FILE, _TABLES).close()
        super().__init__(store / REVIEWS_FILE)
        self.custody = Custody(custody, self.store_id, store) if custody else None
        self._writing = threading.Lock()

    def write(
        self, slide_id: str, reviewer: str, entries: Sequence[TrailEntry], stamp: Provenance
    ) -> list[ReviewEntry]:
        """Appends entries about one slide, all or none.

        Raises:
            EventError: an entry that is no review.
            StoreError: the file cannot be written, or its key is not where it was.
        """

        def making(entry: TrailEntry) -> MakeEvent:
            return lambda chain: review_event(
                slide_id, entry.action, reviewer, stamp, **entry.about, **chain
            )

        written = self._append(slide_id, [making(entry) for entry in entries])
        if self.custody and any(entry.action == "sign" for entry in entries):
            self.keep_head()
        return [
            ReviewEntry(number, event.time, ReviewData.model_validate(event.data))
            for number, event in written
        ]

    def note(
        self, action: AccessAction, account: str, by: str, stamp: Provenance, address: str = ""
    ) -> None:
        """Appends a login or a change of an account.

        Raises:
            StoreError: the file cannot be written, or its key is not where it was.
        """
        about = {"account": account, "by": by, "address": address}
        self._append("", [lambda chain: access_event(action, stamp, chain, **about)])

    def renew_key(self, by: str, stamp: Provenance) -> None:
        """Seals with a new key from here on: the old one is lost, or known to others. What it
        sealed stays as it is.

        Raises:
            StoreError: the key cannot be written, or there is no folder for it.
        """
        if not self.custody:
            raise StoreError(f"{self.path}: no folder for its keys", "set review.audit_folder")
        with self._writing, self._state.transaction() as db:
            self.custody.new_key(_last(db)[0] + 1)
        self.note("key_made", "", by, stamp)

    def keep_head(self) -> None:
        """Remembers the last entry outside the store."""
        rows = self._state.rows("SELECT number, digest FROM trail ORDER BY number DESC LIMIT 1")
        if self.custody and rows:
            self.custody.keep_head(*rows[0])

    def _append(self, slide_id: str, makers: Sequence[MakeEvent]) -> list[tuple[int, Event]]:
        written = []
        store_id = self.store_id
        with self._writing, self.transaction() as tx:
            last, digest = _last(tx._db)
            key = self._key(tx._db, last)
            for number, make in enumerate(makers, last + 1):
                event = make({"number": number, "previous": digest, "store": store_id})
                digest = self._insert(tx, number, slide_id, event, key)
                written.append((number, event))
        return written

    def _insert(
        self, tx: Transaction, number: int, slide_id: str, event: Event, key: SealingKey | None
    ) -> str:
        line = to_line(event)
        digest = digest_of(line)
        tx._db.execute("INSERT INTO trail VALUES (?, ?, ?, ?)", (number, slide_id, line, digest))
        if key:
            tx._db.execute(
                "INSERT OR REPLACE INTO seals VALUES (?, ?)", (number, key.seal(number, digest))
            )
        tx.add([event])
        return digest

    def _key(self, db: sqlite3.Connection, last: int) -> SealingKey | None:
        """The key of the next entry; made where there never was one."""
        if not self.custody:
            return None
        keys = self.custody.keys()
        seal = db.execute("SELECT seal FROM seals WHERE number = ?", (last,)).fetchone()
        is_renewed = bool(keys) and keys[-1].since == last + 1
        if seal and not is_renewed and not any(seal[0].startswith(key.key_id) for key in keys):
            hint = "set review.audit_folder, or make another key with `cytostream audit --new-key`"
            raise StoreError(
                f"{self.path}: the key of its audit trail is not in {self.custody.folder}", hint
            )
        return keys[-1] if keys else self.custody.new_key(last + 1)

    def reviews(self, slide_id: str | None = None, after: int = 0) -> Iterator[ReviewEntry]:
        """The reviews of a slide, or of all, in order."""
        where = "number > ?" if slide_id is None else "number > ? AND slide_id = ?"
        sql = f"SELECT number, line FROM trail WHERE {where} ORDER BY number LIMIT 1024"
        while page := self._state.rows(sql, after, *([] if slide_id is None else [slide_id])):
            yield from (review for number, line in page if (review := review_of(number, line)))
            after = page[-1][0]

    def last(self, slide_id: str) -> int:
        """The last place in the trail of a slide; 0 where it has none."""
        return self._state.rows(
            "SELECT coalesce(max(number), 0) FROM trail WHERE slide_id = ?", slide_id
        )[0][0]

    def entries(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """All entries, reviews and others, in order."""
        sql = "SELECT number, line FROM trail WHERE number > ? ORDER BY number LIMIT 1024"
        while page := self._state.rows(sql, after):
            yield from ((number, from_line(line)) for number, line in page)
            after = page[-1][0]

    def verify(self) -> int:
        """Checks the whole chain, every column of it, and its seals; returns its length.

        Raises:
            StoreError: an entry was changed, removed or put in.
        """
        number = 0
        previous = _START
        keys = self.custody.keys() if self.custody else []
        sql = """SELECT number, slide_id, line, digest, seal
            FROM trail LEFT JOIN seals USING (number) WHERE number > ? ORDER BY number LIMIT 512"""
        while page := self._state.rows(sql, number):
            for place, slide_id, line, digest, seal in page:
                if place != number + 1 or not _is_whole(place, slide_id, line, digest, previous):
                    raise self.broken(place)
                if (key := key_for(keys, place)) and not hmac.compare_digest(
                    key.seal(place, digest), seal or ""
                ):
                    raise self.broken(place)
                number = place
                previous = digest
        return number

    def sealed(self) -> int:
        """How many entries have a seal."""
        return self._state.rows("SELECT count(*) FROM seals")[0][0]

    def digest(self, number: int) -> str | None:
        """The digest of an entry; None where the trail is shorter."""
        rows = self._state.rows("SELECT digest FROM trail WHERE number = ?", number)
        return rows[0][0] if rows else None

    def broken(self, number: int) -> StoreError:
        """What to say of a trail that was altered."""
        hint = "compare with the topic cytostream.reviews, and restore the store from its backup"
        return StoreError(f"{self.path}: the audit trail is broken at entry {number}", hint)


def _last(db: sqlite3.Connection) -> tuple[int, str]:
    found: tuple[int, str] | None = db.execute(
        "SELECT number, digest FROM trail ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return found or (0, _START)


def _is_whole(number: int, slide_id: str, line: str, digest: str, previous: str) -> bool:
    """Whether the columns of an entry are those of its event, which follows the one before."""
    event = from_line(line)
    about = event.subject if event.type == REVIEW else ""
    said = event.data.get("number"), event.data.get("slide_id", ""), event.data["previous"], about
    return digest == digest_of(line) and said == (number, slide_id, previous, slide_id)


def review_of(number: int, line: str) -> ReviewEntry | None:
    """The review of an entry; None for one about logins and accounts."""
    event = from_line(line)
    if event.type != REVIEW:
        return None
    return ReviewEntry(number, event.time, ReviewData.model_validate(event.data))


def digest_of(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
