"""Whom a provider has signed in, and what its groups permit."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

ROLE_ORDER = ("viewer", "reviewer", "admin")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person as the provider describes them now. Issuer and subject say who it is for good; the
    name, the shown name and the groups may change.
    """

    issuer: str
    subject: str
    name: str
    shown: str
    groups: tuple[str, ...]


def role_of(groups: Collection[str], roles: Mapping[str, str]) -> str | None:
    """The highest role that one of the groups has; None where none has any."""
    held = {roles[group] for group in groups if group in roles}
    return max(held, key=ROLE_ORDER.index, default=None)


def claim_of(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, else by a path of names with dots between; None where there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def member_groups(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The groups of a claim that is a list of texts or one text."""
    found = claim_of(claims, name)
    listed = found if isinstance(found, list) else [found]
    return tuple(group for group in listed if isinstance(group, str))


def claim_text(claims: Mapping[str, Any], name: str) -> str:
    """A claim that is a text; empty where it is none."""
    found = claim_of(claims, name)
    return found.strip() if isinstance(found, str) else ""
