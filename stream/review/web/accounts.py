"""Who may come in: accounts with roles and argon2 hashes, and the sessions of those who are in. One SQLite file."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from time import time

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from ingest import CytostreamError
from stream.store.database import State
from stream.store.private_files import close_to_others

FILE = "access.db"
ROLES = ("viewer", "reviewer", "admin")
NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
PASSWORD_MIN, PASSWORD_MAX = 10, 256
_TABLES = """
CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, role TEXT NOT NULL, hash TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (digest TEXT PRIMARY KEY, name TEXT NOT NULL, ends REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS secret (value TEXT NOT NULL);
"""


class AccountError(CytostreamError):
    """An account that cannot be made or found."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is in, and what they may do: each role may do what those before it may."""

    name: str
    role: str

    def may(self, role: str) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


class Accounts:
    """The accounts and sessions of a store."""

    def __init__(self, store: Path):
        self._state = State(store / FILE, _TABLES)
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):  # of a version that left them open
            close_to_others(store / name)
        self._hasher = PasswordHasher()
        with self._state.transaction() as db:
            db.execute("INSERT INTO secret SELECT ? WHERE NOT EXISTS (SELECT 1 FROM secret)", (secrets.token_hex(32),))

    def people(self) -> list[Person]:
        return [Person(*row) for row in self._state.rows("SELECT name, role FROM accounts ORDER BY name")]

    def set(self, name: str, role: str, password: str) -> None:
        """Makes an account, or changes its role and password; its sessions end.

        Raises:
            AccountError: a bad name or role, or a password that is too short.
        """
        if not re.fullmatch(NAME, name):
            raise AccountError(f"{name!r} is no account name", "letters, digits, . _ @ -, at most 64")
        if role not in ROLES:
            raise AccountError(f"no role {role!r}", f"one of {', '.join(ROLES)}")
        if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
            raise AccountError(f"a password of {len(password)} characters", f"{PASSWORD_MIN} to {PASSWORD_MAX} are wanted")
        with self._state.transaction() as db:
            db.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?)", (name, role, self._hasher.hash(password)))
            db.execute("DELETE FROM sessions WHERE name = ?", (name,))

    def remove(self, name: str) -> None:
        """Takes an account away; what it signed stays.

        Raises:
            AccountError: there is none.
        """
        with self._state.transaction() as db:
            db.execute("DELETE FROM sessions WHERE name = ?", (name,))
            if not db.execute("DELETE FROM accounts WHERE name = ?", (name,)).rowcount:
                raise AccountError(f"no account {name!r}", "see `cytostream accounts list`")

    def check(self, name: str, password: str) -> Person | None:
        """The person, where the password is right. An unknown name takes as long as a wrong password."""
        rows = self._state.rows("SELECT role, hash FROM accounts WHERE name = ?", name)
        if not rows:
            self._hasher.hash(password)
            return None
        try:
            self._hasher.verify(rows[0][1], password)
        except VerificationError:
            return None
        return Person(name, rows[0][0])

    def begin(self, person: Person, hours: float) -> str:
        """A new session; its token is kept as a digest only."""
        token = secrets.token_urlsafe(32)
        with self._state.transaction() as db:
            db.execute("DELETE FROM sessions WHERE ends < ?", (time(),))
            db.execute("INSERT INTO sessions VALUES (?, ?, ?)", (_digest(token), person.name, time() + hours * 3600))
        return token

    def who(self, token: str) -> Person | None:
        """Whose session it is, with the role that the account has now."""
        sql = "SELECT name, role FROM sessions JOIN accounts USING (name) WHERE digest = ? AND ends > ?"
        rows = self._state.rows(sql, _digest(token), time())
        return Person(*rows[0]) if rows else None

    def end(self, token: str) -> None:
        with self._state.transaction() as db:
            db.execute("DELETE FROM sessions WHERE digest = ?", (_digest(token),))

    def stamp(self, token: str) -> str:
        """What a page must send along with every change: bound to the session, not to be guessed without it (CSRF)."""
        key = self._state.rows("SELECT value FROM secret")[0][0].encode()
        return hmac.new(key, token.encode(), hashlib.sha256).hexdigest()

    def close(self) -> None:
        self._state.close()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
