"""The audit trail: every review of a store, in one order, each entry linked to the one before by
SHA-256. It can only grow.

An entry is the very event that goes to Kafka, committed in one transaction with it. A changed,
removed or inserted entry breaks the chain; `verify` says where. (SQLite triggers refuse changes by
accident, the chain shows those made on purpose.)
"""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest import StoreError
from stream.events.codec import from_line, to_line
from stream.events.event import Stamp, review_event
from stream.events.payloads import ReviewData
from stream.store.database import State
from stream.store.outbox import Outbox

from .review_state import Review

FILE = "reviews.db"
START = "0" * 64
_TABLES = """
CREATE TABLE IF NOT EXISTS trail (
    number INTEGER PRIMARY KEY, slide_id TEXT NOT NULL, line TEXT NOT NULL, digest TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS trail_of_slide ON trail (slide_id, number);
CREATE TRIGGER IF NOT EXISTS trail_keeps BEFORE UPDATE ON trail
    BEGIN SELECT raise(ABORT, 'the audit trail only grows'); END;
CREATE TRIGGER IF NOT EXISTS trail_stays BEFORE DELETE ON trail
    BEGIN SELECT raise(ABORT, 'the audit trail only grows'); END;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be written: an action and what it is about (fields of `ReviewData`)."""

    action: str
    about: dict


class Trail(Outbox):
    """The reviews of a store, and the outbox from which they go to the topic `reviews`: one SQLite
    file beside `state.db`.
    """

    def __init__(self, store: Path):
        State(store / FILE, _TABLES).close()
        super().__init__(store / FILE)
        self._writing = threading.Lock()

    def write(
        self, slide_id: str, reviewer: str, entries: Sequence[Entry], stamp: Stamp
    ) -> list[Review]:
        """Appends entries about one slide, all or none.

        Raises:
            EventError: an entry that is no review.
            StoreError: the file cannot be written.
        """
        written = []
        with self._writing, self.transaction() as tx:
            db = tx._db
            last, digest = db.execute(
                "SELECT number, digest FROM trail ORDER BY number DESC LIMIT 1"
            ).fetchone() or (0, START)
            for number, entry in enumerate(entries, last + 1):
                about = {**entry.about, "number": number, "previous": digest}
                event = review_event(slide_id, entry.action, reviewer, stamp, **about)
                line = to_line(event)
                digest = digest_of(line)
                db.execute(
                    "INSERT INTO trail VALUES (?, ?, ?, ?)", (number, slide_id, line, digest)
                )
                tx.add([event])
                written.append(Review(number, event.time, ReviewData.model_validate(event.data)))
        return written

    def reviews(self, slide_id: str | None = None, after: int = 0) -> Iterator[Review]:
        """The reviews of a slide, or of all, in order."""
        where = "number > ?" if slide_id is None else "number > ? AND slide_id = ?"
        sql = f"SELECT number, line FROM trail WHERE {where} ORDER BY number LIMIT 1024"
        while page := self._state.rows(sql, after, *([] if slide_id is None else [slide_id])):
            yield from (review_of(number, line) for number, line in page)
            after = page[-1][0]

    def last(self, slide_id: str) -> int:
        """The last place in the trail of a slide; 0 where it has none."""
        return self._state.rows(
            "SELECT coalesce(max(number), 0) FROM trail WHERE slide_id = ?", slide_id
        )[0][0]

    def verify(self) -> int:
        """Checks the whole chain; returns its length.

        Raises:
            StoreError: an entry was changed, removed or put in.
        """
        number, previous = 0, START
        sql = "SELECT number, line, digest FROM trail WHERE number > ? ORDER BY number LIMIT 512"
        while page := self._state.rows(sql, number):
            for place, line, digest in page:
                if (place, digest_of(line), from_line(line).data["previous"]) != (
                    number + 1,
                    digest,
                    previous,
                ):
                    hint = (
                        "compare with the topic cytostream.reviews, and restore the store from "
                        "its backup"
                    )
                    raise StoreError(
                        f"{self.path}: the audit trail is broken at entry {place}", hint
                    )
                number, previous = place, digest
        return number


def review_of(number: int, line: str) -> Review:
    event = from_line(line)
    return Review(number, event.time, ReviewData.model_validate(event.data))


def digest_of(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
