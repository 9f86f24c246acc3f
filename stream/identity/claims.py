"""What each source states of a slide's identity. A source that states two values for one field
makes two claims, and so a conflict.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ingest import SpecimenCode

from .specimen import CODE_FIELDS, Identity, IdentityError, identity_from

ClaimSource = Literal["slide", "name", "intake", "worklist", "person"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What one source states."""

    source: ClaimSource
    identity: Identity


def claims_of_codes(codes: Iterable[SpecimenCode], barcode_pattern: str = "") -> list[Claim]:
    """What the slide's file states. A barcode that fits the pattern gives the fields of its groups
    too.
    """
    claims = []
    for kind, value in codes:
        claims.append(Claim("slide", Identity(**{kind: value})))
        if kind == "barcode" and barcode_pattern:
            claims += _claims_in("slide", value, [barcode_pattern], whole=True)
    return claims


def claims_of_name(path: Path, patterns: Iterable[str]) -> list[Claim]:
    """What the name of a slide's file states: every place that fits one of the patterns."""
    return _claims_in("name", path.name, patterns, whole=False)


def _claims_in(source: ClaimSource, text: str, patterns: Iterable[str], whole: bool) -> list[Claim]:
    claims: list[Claim] = []
    for pattern in patterns:
        found = [re.fullmatch(pattern, text)] if whole else list(re.finditer(pattern, text))
        for fit in found:
            given = fit.groupdict() if fit else {}
            values = {name: given[name] for name in CODE_FIELDS if given.get(name)}
            claim = _claim(source, values)
            if claim and claim not in claims:
                claims.append(claim)
    return claims


def _claim(source: ClaimSource, values: dict[str, str]) -> Claim | None:
    try:
        return Claim(source, identity_from(values)) if values else None
    except IdentityError:  # not what a label carries
        return None
