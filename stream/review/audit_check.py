"""Whether an audit trail is as it was written: chain and seals, heads kept outside, the topic, what
was signed for.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ingest import StoreError
from stream.events import ACCESS, REVIEW, Event, to_line
from stream.store import CHUNK_ROWS, SlideStore, crop_digest, store_path

from .audit_trail import Trail, digest_of
from .slides import SlideLibrary


@dataclass(frozen=True, slots=True)
class Audit:
    """What was compared: entries, how many of them are sealed, heads kept outside, how many of
    those are signed, events of the topic, signatures.
    """

    entries: int
    sealed: int
    heads: int
    signed_heads: int
    events: int
    signatures: int
    head: str


def check_store(library: SlideLibrary, events: Iterable[Event] = (), expected: str = "") -> Audit:
    """Everything that can be compared; `events` are those of the topic, `expected` is a head
    written down, as 30:DIGEST.

    Raises:
        StoreError: something was altered, cut or put in.
    """
    from .signed_heads import check_signed_heads  # loads the library of its keys

    trail = library.trail
    check_identity(trail)
    signed = check_signed_heads(library.config.audit, trail)
    entries = trail.verify()
    check_stated(library)
    check_marked(library)
    return Audit(
        entries=entries,
        sealed=trail.sealed(),
        heads=check_heads(trail, signed, expected),
        signed_heads=len(signed),
        events=check_topic(trail, events),
        signatures=check_signatures(library),
        head=f"{entries}:{trail.digest(entries) or ''}",
    )


def check_identity(trail: Trail) -> None:
    """The trail is the one whose key was made for this path.

    Raises:
        StoreError: another one was there before, or the key of this one is missing.
    """
    if not trail.custody:
        return
    if other := trail.custody.another_trail():
        hint = "restore the store from its backup; where you began anew, put that file away"
        raise StoreError(f"{trail.path}: another audit trail was here before, of {other}", hint)
    if trail.sealed() and not trail.custody.keys():
        raise StoreError(
            f"{trail.path}: its key is not in {trail.custody.folder}",
            "name the folder with review.audit_folder",
        )


def check_heads(trail: Trail, signed: Sequence[tuple[int, str]], expected: str = "") -> int:
    """Compares with the heads that the trail had, among them those `signed` (number and digest);
    returns how many.

    Raises:
        StoreError: it was cut, or written anew.
    """
    heads = [(head.number, head.digest) for head in trail.custody.heads()] if trail.custody else []
    heads += signed
    if expected:
        number, _, digest = expected.partition(":")
        heads.append((int(number) if number.isdecimal() else -1, digest))
    for place, noted in heads:
        found = trail.digest(place)
        if found is None:
            raise StoreError(
                f"{trail.path}: the audit trail was cut: it had an entry {place}", _restore()
            )
        if found != noted:
            raise StoreError(
                f"{trail.path}: the audit trail was written anew: entry {place} is another",
                _restore(),
            )
    return len(heads)


def check_topic(trail: Trail, events: Iterable[Event]) -> int:
    """Compares with the entries of this trail that are on the topic; returns how many.

    Raises:
        StoreError: an entry is not the one that was sent.
    """
    store_id = trail.store_id
    compared = 0
    for event in events:
        if (
            event.type not in (REVIEW, ACCESS)
            or event.replay_of
            or event.data.get("store") != store_id
        ):
            continue
        number = event.data["number"]
        found = trail.digest(number)
        if found is None:
            raise StoreError(
                f"{trail.path}: the audit trail was cut: entry {number} was sent", _restore()
            )
        if found != digest_of(to_line(event)):
            raise StoreError(
                f"{trail.path}: entry {number} is not the one that was sent", _restore()
            )
        compared += 1
    return compared


def check_signatures(library: SlideLibrary) -> int:
    """Compares the machine's verdicts, and the crops that they were given on, with those that were
    signed for; returns how many signatures hold.

    Raises:
        StoreError: a verdict or a crop was altered under a signed report.
    """
    signed = [
        (number, event)
        for number, event in library.trail.entries()
        if event.data["action"] == "sign"
    ]
    removed = {
        (event.subject, event.data["removed"])
        for _, event in library.trail.entries()
        if event.data["action"] == "remove"
    }
    for number, event in signed:
        if (event.subject, "results") in removed:
            continue
        verdicts = event.data.get("verdicts")
        if verdicts and verdicts != library.verdict_digest(event.subject, event.data["upto_row"]):
            what = (
                f"verdicts of slide {event.subject} were altered after entry {number} signed them"
            )
            raise StoreError(f"{library.store}: {what}", _restore())
        if (event.subject, "pixels") in removed:
            continue
        if verdicts and (cell_id := altered_crop(library, event.subject, event.data["upto_row"])):
            what = (
                f"the image of cell {cell_id} was altered after entry {number} signed its verdict"
            )
            raise StoreError(f"{library.store}: {what}", _restore())
    return len(signed)


def check_stated(library: SlideLibrary) -> int:
    """Compares whose slides they are, as people stated and signed it, with the entries of the
    trail; returns how many are there.

    Raises:
        StoreError: one was altered.
    """
    count = 0
    for number, event in library.trail.entries():
        digest = event.data.get("identity_digest")
        stated = library.trail.stated(number) if digest else None
        if stated is None:
            continue
        if library.identity_digest(event.subject, stated) != digest:
            what = f"whose slide {event.subject} is was altered after entry {number} stated it"
            raise StoreError(f"{library.store}: {what}", _restore())
        count += 1
    return count


def check_marked(library: SlideLibrary) -> int:
    """Compares the pixels of cells that people have marked with the entries of the trail; returns
    how many are there.

    Raises:
        StoreError: some were altered.
    """
    count = 0
    for number, event in library.trail.entries():
        digest = event.data.get("crop")
        kept = library.trail.marked(number) if digest else None
        if kept is None:
            continue
        if crop_digest(kept.crop) != digest:
            what = f"the picture of the cell that entry {number} marks was altered"
            raise StoreError(f"{library.store}: {what}", _restore())
        count += 1
    return count


def altered_crop(library: SlideLibrary, slide_id: str, upto_row: int) -> str | None:
    """The first cell, up to and with a row of the journal, whose crop is not the one that the
    verdict was given on; None where there is none, or where a store has no digests of crops.
    """
    path = store_path(library.store, slide_id)
    chunk = np.empty(0, np.uint8)
    first = -CHUNK_ROWS
    for place, cell in enumerate(library.outbox.cells(slide_id)):
        noted = json.loads(cell.body).get("crop")
        if cell.row > upto_row or noted is None:
            return None
        pixels = cell.crop
        if pixels is None:
            if place >= first + CHUNK_ROWS:
                first = place - place % CHUNK_ROWS
                chunk = SlideStore.open(path).read("crop", first, first + CHUNK_ROWS)
            pixels = chunk[place - first].tobytes() if place - first < len(chunk) else b""
        if crop_digest(pixels) != noted:
            return cell.cell_id
    return None


def _restore() -> str:
    return "restore the store from its backup"
