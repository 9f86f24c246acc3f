"""Whose specimen is on a slide: the codes of the laboratory, and the patient that they lead to."""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from ingest import CytostreamError

LETTERS_MAX = 64
NAME_LETTERS_MAX = 200


class IdentityError(CytostreamError):
    """A text that can be no code, or a field that there is not."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Empty where nothing is known. `order` is the number of whoever placed the order, `barcode`
    what the slide's label carries, whatever it stands for; `birth_date` is YYYY-MM-DD.
    """

    accession: str = ""
    container: str = ""
    barcode: str = ""
    order: str = ""
    patient_id: str = ""
    patient_name: str = ""
    birth_date: str = ""

    def known(self) -> dict[str, str]:
        """The fields that are not empty."""
        return {name: value for name, value in asdict(self).items() if value}

    def codes(self) -> dict[str, str]:
        """What may leave in events, where the config lets it: neither name nor date of birth."""
        return {name: value for name, value in self.known().items() if name in EVENT_FIELDS}

    def body(self) -> str:
        """As JSON, the same text for the same identity."""
        return json.dumps(self.known(), sort_keys=True, ensure_ascii=False)


FIELDS = tuple(field.name for field in fields(Identity))
CODE_FIELDS = ("accession", "container", "barcode", "order")
EVENT_FIELDS = (*CODE_FIELDS, "patient_id")  # names and dates of birth never leave in events


def identity_from(values: Mapping[str, str]) -> Identity:
    """An identity of texts that others wrote, trimmed and in composed letters (NFC).

    Raises:
        IdentityError: an unknown field, a control character, or more letters than a code has.
    """
    if unknown := sorted(set(values) - set(FIELDS)):
        raise IdentityError(f"no field {unknown[0][:40]!r}", f"one of {', '.join(FIELDS)}")
    return Identity(**{name: _clean(name, value) for name, value in values.items()})


def identity_of_body(body: str) -> Identity:
    """The inverse of `Identity.body`.

    Raises:
        IdentityError: it is none.
    """
    try:
        return identity_from(json.loads(body))
    except (ValueError, TypeError, AttributeError) as error:
        raise IdentityError("no identity in JSON", "state it again") from error


def _clean(name: str, value: str) -> str:
    text = unicodedata.normalize("NFC", value).strip()
    most = NAME_LETTERS_MAX if name == "patient_name" else LETTERS_MAX
    if len(text) > most:
        raise IdentityError(f"{name}: {len(text)} letters, at most {most}", "check the field")
    if not text.isprintable():
        raise IdentityError(f"{name}: a character that cannot be printed", "check the field")
    return text
