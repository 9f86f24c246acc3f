"""The alerts of a store and who has acknowledged them, for the command `alerts`.

Acknowledgements are read from the audit trail alone, where the review page writes them, as the page
itself reads them. The topic of reviews is an output: what another program writes there acknowledges
nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stream.events import ALERT, SLIDE_ALERT, Event
from stream.store import Outbox

from .audit_trail import REVIEWS_FILE, Trail
from .review_state import Seen, fold


@dataclass(frozen=True, slots=True)
class AlertStanding:
    """An alert of the store, and who has acknowledged it, None where nobody has."""

    event: Event
    reviewer: str | None


def list_alerts(store: Path, custody: Path | None = None) -> list[AlertStanding]:
    """The alerts of a store, oldest first, each once: neither a replay nor the same rule on the
    same cell is a second alert.

    Raises:
        StoreError: the store cannot be read, or its audit trail was altered.
    """
    with Outbox(store / "state.db", unwritable="read") as outbox:
        events = list(_first_alerts(outbox))
    slides = {event.subject for event in events}
    seen = _acknowledged(store, custody, slides) if (store / REVIEWS_FILE).is_file() else {}
    return [
        AlertStanding(event, seen[event.id].by if event.id in seen else None) for event in events
    ]


def _first_alerts(outbox: Outbox) -> Iterator[Event]:
    known = set()
    for record in outbox.events(types=(ALERT, SLIDE_ALERT)):
        event = record.event
        about = event.subject, event.data.get("cell_id"), event.data["rule"]
        if about not in known:
            known.add(about)
            yield event


def _acknowledged(store: Path, custody: Path | None, slides: set[str]) -> dict[str, Seen]:
    """Who has acknowledged which alert, by its id."""
    with Trail(store, custody) as trail:
        trail.verify()
        standings = [fold(trail.reviews(slide_id)) for slide_id in slides]
    return {alert_id: seen for standing in standings for alert_id, seen in standing.seen.items()}
