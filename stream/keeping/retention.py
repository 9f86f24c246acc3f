"""What the laboratory's rules say is to go: pixels, results and identities, each after its own
time. Entries of the audit trail stay, and say what went.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from stream.config import RetentionSettings
from stream.events import Provenance
from stream.review import FINISHED, REVIEWS_FILE, SlideLibrary, Standing, TrailEntry, fold
from stream.store import LikenessIndex, SlideStore, remove_results, store_path
from stream.store.upkeep import RemovedSlide, remove_marked_crops, remove_slide, remove_stated

RemovedPart = Literal["pixels", "results", "identity"]
PIXEL_COLUMNS = ("crop", "labels", "reds/crop")


@dataclass(frozen=True, slots=True)
class Removal:
    """A part of a slide that is due: since when it has been finished, and why it goes."""

    slide_id: str
    part: RemovedPart
    since: datetime
    reason: str


def due_removals(
    library: SlideLibrary, rules: RetentionSettings, now: datetime
) -> Iterator[Removal]:
    """What is due now; of an unsigned slide nothing, unless the rules say so."""
    limits: tuple[tuple[RemovedPart, float], ...] = (
        ("pixels", rules.pixels_days),
        ("results", rules.results_days),
        ("identity", rules.identities_days),
    )
    for slide_id in library.outbox.slide_ids():
        since = _since(library, slide_id, rules.signed_only)
        for part, days in limits:
            is_due = since and days and now - since > timedelta(days=days)
            if since and is_due and _is_there(library, slide_id, part):
                yield Removal(slide_id, part, since, f"retention: {part} after {days:g} days")


def apply_retention(
    library: SlideLibrary, removals: Iterable[Removal], by: str, stamp: Provenance
) -> int:
    """Removes what is due; returns how many parts. Each has an entry of the audit trail before it
    goes, so that an interrupted run leaves no gap without a trace.

    Raises:
        StoreError: it cannot be removed.
    """
    count = 0
    for one in removals:
        if _is_there(library, one.slide_id, one.part):
            remove_part(library, one, by, stamp)
            count += 1
    return count


def remove_part(
    library: SlideLibrary, one: Removal, by: str, stamp: Provenance
) -> RemovedSlide | None:
    """Removes a part of a slide, with an entry of the audit trail; what was removed of its rows.

    Raises:
        StoreError: it cannot be removed.
    """
    entry = TrailEntry("remove", {"removed": one.part, "comment": one.reason})
    library.trail.write(one.slide_id, by, [entry], stamp)
    path = store_path(library.store, one.slide_id)
    if one.part == "pixels":
        SlideStore.open_to_change(path).drop(PIXEL_COLUMNS)
        remove_marked_crops(library.store / REVIEWS_FILE, one.slide_id)
        return None
    remove_stated(library.store / REVIEWS_FILE, one.slide_id)
    if one.part == "identity":
        with library.outbox.transaction() as tx:
            tx.forget_claims(one.slide_id)
        return None
    remove_marked_crops(library.store / REVIEWS_FILE, one.slide_id)
    removed = remove_slide(library.store / "state.db", one.slide_id)
    remove_results(path)
    LikenessIndex(library.store).remove()  # it has features of all slides
    return removed


def standing_of(library: SlideLibrary, slide_id: str) -> Standing:
    """What people have decided of a slide, without its cells."""
    return fold(library.trail.reviews(slide_id))


def _since(library: SlideLibrary, slide_id: str, signed_only: bool) -> datetime | None:
    """When a slide was finished: signed last, or run; None where it is not."""
    standing = standing_of(library, slide_id)
    if standing.signatures:
        return standing.signatures[-1].at if standing.locked else None
    facts = library.outbox.facts(slide_id)
    if signed_only or library.outbox.status(slide_id) not in FINISHED or "at" not in facts:
        return None
    return datetime.fromisoformat(facts["at"])


def _is_there(library: SlideLibrary, slide_id: str, part: RemovedPart) -> bool:
    if part == "results":
        return slide_id in library
    if part == "identity":
        standing = standing_of(library, slide_id)
        numbers = [s.number for s in standing.signatures]
        numbers += [standing.identified.number] if standing.identified else []
        stated = any(library.trail.stated(number) for number in numbers)
        return stated or bool(library.outbox.claims(slide_id))
    path = store_path(library.store, slide_id)
    return path.is_dir() and any(SlideStore.open(path).has(name) for name in PIXEL_COLUMNS)
