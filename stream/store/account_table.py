"""Accounts and sessions, in the database `access.db` of a store."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest import StoreError

from .database import ACCESS_SCHEMA, COPY_HINT, State, Statements, Unwritable

ACCOUNT_NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as it is stored."""

    name: str
    role: str
    password_hash: str


class AccountChange:
    """What is read and changed in one transaction."""

    def __init__(self, db: Statements):
        self._db = db

    def is_removed(self, name: str) -> bool:
        """Whether there once was an account of this name."""
        return self._db.row("SELECT 1 FROM removed WHERE name = :name", name=name) is not None

    def is_provided(self, name: str) -> bool:
        """Whether a provider's person has this name, in whatever case."""
        sql = "SELECT 1 FROM provided WHERE lower(name) = :name"
        return self._db.row(sql, name=name.lower()) is not None

    def role(self, name: str) -> str | None:
        """The role of an account; None where there is none."""
        row = self._db.row("SELECT role FROM accounts WHERE name = :name", name=name)
        return row[0] if row else None

    def other_roles(self, name: str) -> list[str]:
        """The roles of all other accounts."""
        rows = self._db.rows("SELECT role FROM accounts WHERE name != :name", name=name)
        return [role for (role,) in rows]

    def put(self, row: AccountRow) -> None:
        """Makes an account, or replaces it."""
        sql = """INSERT INTO accounts VALUES (:name, :role, :hash)
            ON CONFLICT (name) DO UPDATE SET role = excluded.role, hash = excluded.hash"""
        self._db.change(sql, name=row.name, role=row.role, hash=row.password_hash)

    def remove(self, name: str, at: float) -> None:
        """Removes an account and its sessions; `at` is the time in Unix seconds."""
        self.end_sessions(name)
        self._db.change("DELETE FROM accounts WHERE name = :name", name=name)
        sql = "INSERT INTO removed VALUES (:name, :at) ON CONFLICT DO NOTHING"
        self._db.change(sql, name=name, at=at)

    def end_sessions(self, *names: str) -> None:
        """Ends all sessions of some accounts."""
        sql = "DELETE FROM sessions WHERE name = :name"
        self._db.change_all(sql, [{"name": name} for name in names])


class AccountTable:
    """Accounts and sessions. A session is known by the digest of its token alone."""

    def __init__(self, path: Path, unwritable: Unwritable = "refuse"):
        """Opens the file, and makes it where there is none.

        Raises:
            StoreError: it cannot be opened.
        """
        self._state = State(path, ACCESS_SCHEMA, unwritable=unwritable)
        sql = "INSERT INTO secret SELECT :value WHERE NOT EXISTS (SELECT 1 FROM secret)"
        with self._state.transaction() as db:
            db.change(sql, value=secrets.token_hex(32))

    @property
    def is_kept(self) -> bool:
        """Whether changes stay: False where the file cannot be written."""
        return self._state.is_kept

    @property
    def secret(self) -> str:
        """Random, made with the file."""
        value: str = self._state.rows("SELECT value FROM secret")[0][0]
        return value

    @contextmanager
    def changing(self) -> Iterator[AccountChange]:
        """All changes inside commit together, or none where an error is raised.

        Raises:
            StoreError: the file cannot be written.
        """
        if not self.is_kept:
            raise StoreError(f"{self._state.path}: cannot be written", COPY_HINT)
        with self._state.transaction() as db:
            yield AccountChange(db)

    def accounts(self) -> list[AccountRow]:
        """All accounts by name."""
        rows = self._state.rows("SELECT name, role, hash FROM accounts ORDER BY name")
        return [AccountRow(*row) for row in rows]

    def account(self, name: str) -> AccountRow | None:
        """The account of a name; None where there is none."""
        sql = "SELECT name, role, hash FROM accounts WHERE name = :name"
        rows = self._state.rows(sql, name=name)
        return AccountRow(*rows[0]) if rows else None

    def has_any(self) -> bool:
        """Whether there is an account."""
        return bool(self._state.rows("SELECT 1 FROM accounts LIMIT 1"))

    def has_removed(self) -> bool:
        """Whether an account was ever removed."""
        return bool(self._state.rows("SELECT 1 FROM removed LIMIT 1"))

    def begin_session(self, digest: str, name: str, now: float, ends: float) -> None:
        """Adds a session, and drops those that have ended; times in Unix seconds."""
        with self._state.transaction() as db:
            db.change("DELETE FROM sessions WHERE ends < :now", now=now)
            sql = "INSERT INTO sessions VALUES (:digest, :name, :ends)"
            db.change(sql, digest=digest, name=name, ends=ends)

    def session_name(self, digest: str, now: float) -> str | None:
        """Whose session it is; None where it has ended."""
        sql = "SELECT name FROM sessions WHERE digest = :digest AND ends > :now"
        rows = self._state.rows(sql, digest=digest, now=now)
        return rows[0][0] if rows else None

    def session_account(self, digest: str, now: float) -> AccountRow | None:
        """The account of a session, as it is now; None where either is gone."""
        sql = """SELECT name, role, hash FROM sessions JOIN accounts USING (name)
            WHERE digest = :digest AND ends > :now"""
        rows = self._state.rows(sql, digest=digest, now=now)
        return AccountRow(*rows[0]) if rows else None

    def end_session(self, digest: str) -> None:
        """Ends one session."""
        with self._state.transaction() as db:
            db.change("DELETE FROM sessions WHERE digest = :digest", digest=digest)

    def close(self) -> None:
        """Closes the file."""
        self._state.close()
