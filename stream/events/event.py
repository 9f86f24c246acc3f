"""The events that are sent: CloudEvents 1.0 with ids that a re-run repeats.

An id is a digest of type, slide and what the event is about (and of the model, where the model has
a part in it), so that a consumer which cannot read committed drops a second copy by its id. File
names and paths may name a patient: they are not sent unless `Provenance.share_names` is set, in
texts too. Nor are codes of the specimen unless `Provenance.share_codes` is set.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from ingest import CytostreamError

from .event_types import (
    EVENT_TYPES,
)
from .payloads import (
    JsonObject,
    Payload,
    ShareCodes,
    SpecimenData,
)


class EventError(CytostreamError):
    """An event that cannot be built or read."""


@dataclass(frozen=True, slots=True)
class Event:
    """One CloudEvent; `subject` is the slide id, `time` is aware, `data` holds JSON values only.

    `replay_of` is the id of the event that this one repeats on demand, None for an original.
    """

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    data: JsonObject
    replay_of: str | None = None

    @property
    def kind(self) -> str:
        """Which topic it belongs to: cells, alerts, slides, failures, reviews, dead or red."""
        return EVENT_TYPES[self.type].topic

    def payload(self) -> Payload:
        """The data, checked against the type's model."""
        return EVENT_TYPES[self.type].payload.model_validate(self.data)

    def sentence(self) -> str:
        """The data in one line for a person."""
        return EVENT_TYPES[self.type].sentence(self.data)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who sends: the CloudEvents source, the model and configuration behind a result, package
    versions.
    """

    source: str
    model_hash: str = ""
    config_hash: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    share_names: bool = False
    share_codes: ShareCodes = "none"
    set_id: str | None = None
    secret: str = field(default="", repr=False)


def replayed(event: Event, occasion: str) -> Event:
    """The same event once more, on demand: an id of its own an occasion, marked with the id of the
    original.
    """
    original = event.replay_of or event.id
    return replace(event, id=event_digest("replay", original, occasion), replay_of=original)


def with_specimen(event: Event, codes: Mapping[str, str], stamp: Provenance) -> Event:
    """The event with the codes of its specimen, as far as `stamp.share_codes` lets them out."""
    said = specimen_of(codes, stamp)
    return replace(event, data={**event.data, "specimen": said}) if said else event


def specimen_of(codes: Mapping[str, str], stamp: Provenance) -> JsonObject | None:
    """Codes by name as `SpecimenData` has them; None where none are known or may be sent."""
    if stamp.share_codes == "none" or not codes:
        return None
    hashed = stamp.share_codes == "hashed"
    said = {name: private_digest(stamp, code) if hashed else code for name, code in codes.items()}
    return payload_data(SpecimenData, hashed=hashed, **said)


def private_digest(stamp: Provenance, text: str) -> str:
    """A digest that only who has the store's secret can compute (HMAC)."""
    return hmac.new(stamp.secret.encode(), text.encode(errors="replace"), "blake2b").hexdigest()[
        :32
    ]


def payload_data(model: type[Payload], /, **values: Any) -> JsonObject:
    try:
        return model(**values).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors()[0]
        raise EventError(
            f"{model.__name__}.{'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from error


def make_event(
    kind: str,
    stamp: Provenance,
    subject: str,
    about: tuple[object, ...],
    data: JsonObject,
    at: datetime | None = None,
) -> Event:
    return Event(
        event_digest(kind, subject, *about),
        kind,
        stamp.source,
        subject,
        at or datetime.now(UTC),
        data,
    )


def make_act_event(
    kind: str,
    stamp: Provenance,
    subject: str,
    act: tuple[object, ...],
    data: JsonObject,
    *about: object,
) -> Event:
    """What a person has done now: the same act at another time is another event."""
    at = datetime.now(UTC)
    return make_event(kind, stamp, subject, (*act, at.isoformat(), *about), data, at)


def event_digest(*parts: object) -> str:
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()
