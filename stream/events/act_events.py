"""The events of what people do, and of an event that a sink refused."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .event import Event, Provenance, event_digest, make_act_event, payload_data
from .event_types import (
    ACCESS,
    DEAD,
    REVIEW,
)
from .payloads import (
    AccessAction,
    AccessData,
    Action,
    DeadLetterData,
    ReviewData,
)


def review_event(
    slide_id: str, action: Action, reviewer: str, stamp: Provenance, **about: Any
) -> Event:
    """The event of what a person decided, timed now: `cell_id`, `alert_id`, `label`, `was`,
    `comment`, `version` as they apply.

    Raises:
        EventError: an unknown action or field.
    """
    data = payload_data(ReviewData, slide_id=slide_id, action=action, reviewer=reviewer, **about)
    return make_act_event(REVIEW, stamp, slide_id, (action, reviewer), data, *sorted(about.items()))


def access_event(
    action: AccessAction, stamp: Provenance, chain: Mapping[str, str | int], **about: str
) -> Event:
    """The event of a login or a change of an account, timed now; `chain` is its place in the audit
    trail.

    Raises:
        EventError: an unknown action or field.
    """
    data = payload_data(AccessData, action=action, **about, **chain)
    subject = f"store-{chain['store']}"
    return make_act_event(ACCESS, stamp, subject, (action, chain["number"]), data)


def dead_letter_event(refused: Event, size_bytes: int, reason: str, sink: str) -> Event:
    """The event about one that a sink refused; one a sink and event."""
    about = {"event_id": refused.id, "event_type": refused.type, "slide_id": refused.subject}
    data = payload_data(DeadLetterData, **about, size_bytes=size_bytes, reason=reason)
    return Event(
        event_digest(DEAD, refused.id, sink),
        DEAD,
        refused.source,
        refused.subject,
        datetime.now(UTC),
        data,
    )
