"""What people have signed for, beside what the machine said: the laboratory's own background of
false calls.
"""

from collections import Counter
from pathlib import Path

from stream.alerts import SignedSlide
from stream.events import JsonObject
from stream.store import Outbox

from .audit_trail import REVIEWS_FILE, Trail

LAST_SLIDES = 200


def signed_slides(
    store: Path,
    model_id: str,
    custody: Path | None = None,
    taught_ids: str = "",
    last: int = LAST_SLIDES,
) -> list[SignedSlide]:
    """The last signed slides of a store that this model has judged, each as it was signed last;
    what was counted by probability only under the same taught classes.

    Raises:
        StoreError: the store cannot be read, or its audit trail was altered.
    """
    if not (store / REVIEWS_FILE).is_file():
        return []
    with Trail(store, custody) as trail:
        trail.verify()
        signed = {
            review.data.slide_id: Counter(review.data.counts)
            for review in trail.reviews()
            if review.data.action == "sign" and review.data.counts
        }
    with Outbox(store / "state.db", unwritable="read") as outbox:
        facts = {slide_id: outbox.facts(slide_id) for slide_id in list(signed)[-last:]}
    return [
        SignedSlide(Counter(about["counts"]), signed[slide_id], counted_under(about, taught_ids))
        for slide_id, about in facts.items()
        if about.get("model_id") == model_id and about.get("counts")
    ]


def counted_under(facts: JsonObject, taught_ids: str) -> Counter[str]:
    """Cells that reached the probability of each test, where these taught classes were in use."""
    same = facts.get("taught_ids", "") == taught_ids
    return Counter(facts.get("counted", {}) if same else {})
