"""Whom a provider has signed in, each under one name for good."""

import re
from pathlib import Path

from stream.store import ACCOUNT_NAME, ProvidedPerson, ProvidedTable

from .provider import SignInError
from .signed_in import SignedIn


class ProvidedPeople:
    """The people of the file of accounts whom a provider has signed in."""

    def __init__(self, path: Path):
        """Opens the file; of one that cannot be written, people are kept in memory."""
        self._table = ProvidedTable(path, unwritable="copy")

    def admit(self, one: SignedIn, local_name: str = "") -> ProvidedPerson:
        """Keeps a person under the name of the first time; `local_name` is what commands on this
        machine act under.

        Raises:
            SignInError: the name is none, or is or was another's.
        """
        known = self._table.known(one.issuer, one.subject)
        name = known.name if known else one.name
        if not re.fullmatch(ACCOUNT_NAME, name):
            raise SignInError(
                f"{name[:64]!r} cannot be a name here (letters, digits, . _ @ -, at most 64)",
                "the administrator can choose another claim: review.oidc.name_claim",
            )
        wanted = ProvidedPerson(one.issuer, one.subject, name, one.shown[:100], one.groups)
        is_local = not known and name.lower() == local_name.lower()
        kept = None if is_local else self._table.put(wanted)
        if kept is None:
            raise SignInError(
                f"{name!r} is or was the name of somebody else here",
                "ask the administrator for another name at the provider",
            )
        return kept

    def known(self, issuer: str, subject: str) -> ProvidedPerson | None:
        """A person who has signed in before."""
        return self._table.known(issuer, subject)

    def named(self, name: str) -> ProvidedPerson | None:
        """The person who has a name."""
        return self._table.named(name)

    def everyone(self) -> list[ProvidedPerson]:
        """All of them, by name."""
        return self._table.people()

    def close(self) -> None:
        """Closes the file."""
        self._table.close()
