"""People whom a provider has signed in, and their names for good, in the database `access.db` of a
store.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from stream.store.database import ACCESS_SCHEMA, State, Unwritable

_COLUMNS = "issuer, subject, name, shown, member_of"


@dataclass(frozen=True, slots=True)
class ProvidedPerson:
    """Issuer and subject say who it is; the name stands in the audit trail, the other two are as
    the provider gave them last.
    """

    issuer: str
    subject: str
    name: str
    shown: str
    groups: tuple[str, ...]


class ProvidedTable:
    """The people of all providers of a store."""

    def __init__(self, path: Path, unwritable: Unwritable = "refuse"):
        """Opens the file, and makes the table where it has none.

        Raises:
            StoreError: it cannot be opened.
        """
        self._state = State(path, ACCESS_SCHEMA, unwritable=unwritable)

    def known(self, issuer: str, subject: str) -> ProvidedPerson | None:
        """The person of a subject; None where it never signed in."""
        return self._one("issuer = :issuer AND subject = :subject", issuer=issuer, subject=subject)

    def named(self, name: str) -> ProvidedPerson | None:
        """The person who has a name; None where nobody has."""
        return self._one("name = :name", name=name)

    def people(self) -> list[ProvidedPerson]:
        """All of them, by name."""
        rows = self._state.rows(f"SELECT {_COLUMNS} FROM provided ORDER BY name")
        return [_person(*row) for row in rows]

    def put(self, person: ProvidedPerson) -> ProvidedPerson | None:
        """Keeps a person as the provider describes them now, under the name of the first time. None
        where another person or an account has or had that name, in whatever case; then nothing is
        kept.

        Raises:
            StoreError: the file cannot be written.
        """
        who = {"issuer": person.issuer, "subject": person.subject}
        others = "lower(name) = :low AND NOT (issuer = :issuer AND subject = :subject)"
        taken = f"""SELECT 1 FROM accounts WHERE lower(name) = :low
            UNION ALL SELECT 1 FROM removed WHERE lower(name) = :low
            UNION ALL SELECT 1 FROM provided WHERE {others}"""
        with self._state.transaction() as db:
            sql = "SELECT name FROM provided WHERE issuer = :issuer AND subject = :subject"
            known = db.row(sql, **who)
            kept = replace(person, name=known[0]) if known else person
            if db.row(taken, low=kept.name.lower(), **who):
                return None
            sql = f"""INSERT INTO provided ({_COLUMNS})
                VALUES (:issuer, :subject, :name, :shown, :groups)
                ON CONFLICT (issuer, subject)
                DO UPDATE SET shown = excluded.shown, member_of = excluded.member_of"""
            groups = json.dumps(kept.groups)
            db.change(sql, **who, name=kept.name, shown=kept.shown, groups=groups)
        return kept

    def close(self) -> None:
        """Closes the file."""
        self._state.close()

    def _one(self, where: str, **values: str) -> ProvidedPerson | None:
        rows = self._state.rows(f"SELECT {_COLUMNS} FROM provided WHERE {where}", **values)
        return _person(*rows[0]) if rows else None


def _person(issuer: str, subject: str, name: str, shown: str, groups: str) -> ProvidedPerson:
    return ProvidedPerson(issuer, subject, name, shown, tuple(json.loads(groups)))
