"""Which slides of a store a search is about."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

from stream.store.slide_queries import SlideQueries


def slides_between(
    store: Path, beginning: str = "", first: date = date.min, last: date = date.max
) -> frozenset[str]:
    """Ids of the slides of a store whose id begins so, and whose last run ended on the days (UTC)
    from `first` to `last`; a slide that no run has ended counts as of the first of all days.

    Raises:
        StoreError: the store cannot be read.
    """
    queries = SlideQueries(store / "state.db", unwritable="read")
    try:
        states = queries.slide_states()
    finally:
        queries.close()
    return frozenset(
        slide_id
        for slide_id, (_, facts) in states.items()
        if slide_id.startswith(beginning) and first <= _ended_on(facts) <= last
    )


def _ended_on(facts: str) -> date:
    at = json.loads(facts).get("at")
    return datetime.fromisoformat(at).astimezone(UTC).date() if at else date.min
