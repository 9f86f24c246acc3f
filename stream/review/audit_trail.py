"""The audit trail: every review and login of a store, in one order, each entry linked to the one
before by SHA-256.

An entry is the very event that goes to Kafka, committed in one transaction with it, and sealed with
a key from outside the store.
SQLite triggers refuse changes by accident; `audit_check` shows those made on purpose.
"""

import hashlib
import hmac
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest import StoreError
from stream.events import (
    REVIEW,
    AccessAction,
    Action,
    Event,
    JsonObject,
    Provenance,
    ReviewData,
    access_event,
    from_line,
    review_event,
    to_line,
)
from stream.identity import Identity, identity_of_body
from stream.store import COPY_HINT, NO_DIGEST, MarkedPixels, Outbox, TrailRecords, TrailRow

from .custody import Custody, SealingKey, key_for
from .review_state import ReviewEntry

REVIEWS_FILE = "reviews.db"
MakeEvent = Callable[[Mapping[str, str | int]], Event]


@dataclass(frozen=True, slots=True)
class TrailEntry:
    """What is to be written: an action and what it is about (fields of `ReviewData`). `stated` is
    the identity that it has a digest of, `marked` the pixels of a cell: they stay beside the entry,
    and are not sent. `cell` is the event of a cell that goes out with it.
    """

    action: Action
    about: JsonObject
    stated: Identity | None = None
    marked: MarkedPixels | None = None
    cell: Event | None = None


class Trail:
    """The reviews of a store, and the outbox from which they go to the topic `reviews`: one SQLite
    file beside `state.db`.

    With a folder for `custody`, outside the store, entries are sealed and the head is kept there at
    every signature.
    """

    def __init__(self, store: Path, custody: Path | None = None):
        """Opens the file; one that cannot be written is read, and takes no entry."""
        self.path = store / REVIEWS_FILE
        self._records = TrailRecords(self.path, unwritable="copy")
        self.custody = Custody(custody, self.store_id, store) if custody else None
        self._writing = threading.Lock()

    @property
    def is_kept(self) -> bool:
        """Whether entries can be written."""
        return self.outbox.is_kept

    @property
    def outbox(self) -> Outbox:
        """What sends the entries."""
        return self._records.outbox

    @property
    def store_id(self) -> str:
        """Random, made with the file: tells this trail from every other one."""
        return self.outbox.store_id

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

        written = self._append(slide_id, [(making(entry), entry) for entry in entries])
        return [
            ReviewEntry(number, event.time, ReviewData.model_validate(event.data))
            for number, event in written
        ]

    def note(
        self, action: AccessAction, account: str, by: str, stamp: Provenance, **about: str
    ) -> None:
        """Appends a login, a change of an account or the choice of a model, with its `address`,
        `model` or `subject` as they apply; nothing to a trail that can only be read.

        Raises:
            EventError: it is about something else.
            StoreError: the file cannot be written, or its key is not where it was.
        """
        if not self.is_kept:
            return
        named = {"account": account, "by": by, **about}
        self._append("", [(lambda chain: access_event(action, stamp, chain, **named), None)])

    def renew_key(self, by: str, stamp: Provenance) -> None:
        """Seals with a new key from here on: the old one is lost, or known to others. What it
        sealed stays as it is.

        Raises:
            StoreError: the key cannot be written, or there is no folder for it.
        """
        if not self.is_kept:
            raise StoreError(f"{self.path}: cannot be written", COPY_HINT)
        if not self.custody:
            raise StoreError(f"{self.path}: no folder for its keys", "set review.audit_folder")
        with self._writing, self._records.appending() as records:
            number, _ = records.head()
            self.custody.new_key(number + 1)
        self.note("key_made", "", by, stamp)

    def keep_head(self) -> None:
        """Remembers the last entry outside the store."""
        number, digest = self._records.head()
        if self.custody and number:
            self.custody.keep_head(number, digest)

    def _append(
        self, slide_id: str, makers: Sequence[tuple[MakeEvent, TrailEntry | None]]
    ) -> list[tuple[int, Event]]:
        if not self.is_kept:
            raise StoreError(f"{self.path}: cannot be written", COPY_HINT)
        written = []
        store_id = self.store_id
        with self._writing, self._records.appending() as records:
            last, digest = records.head()
            key = self._key(records.seal_of(last), last)
            for number, (make, entry) in enumerate(makers, last + 1):
                event = make({"number": number, "previous": digest, "store": store_id})
                line = to_line(event)
                digest = digest_of(line)
                seal = key.seal(number, digest) if key else None
                body = entry.stated.body() if entry and entry.stated else None
                marked = entry.marked if entry else None
                sent = [event, entry.cell] if entry and entry.cell else [event]
                records.append(TrailRow(number, slide_id, line, digest, seal, body, marked), *sent)
                written.append((number, event))
        self.keep_head()
        return written

    def _key(self, seal: str | None, last: int) -> SealingKey | None:
        """The key of the next entry; made where there never was one. `seal` is that of the last
        entry.
        """
        if not self.custody:
            return None
        keys = self.custody.keys()
        is_renewed = bool(keys) and keys[-1].since == last + 1
        if seal and not is_renewed and not any(seal.startswith(key.key_id) for key in keys):
            hint = "set review.audit_folder, or make another key with `cytostream audit --new-key`"
            raise StoreError(
                f"{self.path}: the key of its audit trail is not in {self.custody.folder}", hint
            )
        return keys[-1] if keys else self.custody.new_key(last + 1)

    def reviews(self, slide_id: str | None = None, after: int = 0) -> Iterator[ReviewEntry]:
        """The reviews of a slide, or of all, in order."""
        for number, line in self._records.lines(slide_id, after):
            if review := review_of(number, line):
                yield review

    def stated(self, number: int) -> Identity | None:
        """The identity that an entry states; None where it states none, or it was removed."""
        body = self._records.stated(number)
        return None if body is None else identity_of_body(body)

    def marked(self, number: int) -> MarkedPixels | None:
        """Crop and features of the cell that an entry marked; None where they were removed."""
        return self._records.marked(number)

    def last(self, slide_id: str) -> int:
        """The last place in the trail of a slide; 0 where it has none."""
        return self._records.last_number(slide_id)

    def entries(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """All entries, reviews and others, in order."""
        for number, line in self._records.lines(after=after):
            yield number, from_line(line)

    def verify(self) -> int:
        """Checks the whole chain, every column of it, and its seals; returns its length.

        Raises:
            StoreError: an entry was changed, removed or put in.
        """
        number = 0
        previous = NO_DIGEST
        keys = self.custody.keys() if self.custody else []
        for row in self._records.rows():
            if row.number != number + 1 or not _is_whole(row, previous):
                raise self.broken(row.number)
            key = key_for(keys, row.number)
            if key and not hmac.compare_digest(key.seal(row.number, row.digest), row.seal or ""):
                raise self.broken(row.number)
            number = row.number
            previous = row.digest
        return number

    def sealed(self) -> int:
        """How many entries have a seal."""
        return self._records.seal_count()

    def digest(self, number: int) -> str | None:
        """The digest of an entry; None where the trail is shorter."""
        return self._records.digest(number)

    def broken(self, number: int) -> StoreError:
        """What to say of a trail that was altered."""
        hint = "compare with the topic cytostream.reviews, and restore the store from its backup"
        return StoreError(f"{self.path}: the audit trail is broken at entry {number}", hint)

    def close(self) -> None:
        """Closes the file."""
        self._records.close()

    def __enter__(self) -> "Trail":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_whole(row: TrailRow, previous: str) -> bool:
    """Whether the columns of an entry are those of its event, which follows the one before."""
    event = from_line(row.line)
    about = event.subject if event.type == REVIEW else ""
    said = event.data.get("number"), event.data.get("slide_id", ""), event.data["previous"], about
    expected = row.number, row.slide_id, previous, row.slide_id
    return row.digest == digest_of(row.line) and said == expected


def review_of(number: int, line: str) -> ReviewEntry | None:
    """The review of an entry; None for one about logins and accounts."""
    event = from_line(line)
    if event.type != REVIEW:
        return None
    return ReviewEntry(number, event.time, ReviewData.model_validate(event.data))


def digest_of(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
