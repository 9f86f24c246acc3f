"""Who may use the page: accounts with roles and argon2 hashes, and the sessions of those who are
logged in. One SQLite file.

The name of an account that was removed is never given again: signatures stand under it.
"""

import hashlib
import hmac
import re
import secrets
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from ingest import CytostreamError
from stream.store import State, close_to_others

FILE = "access.db"
Change = Literal["added", "changed"]
ROLES = ("viewer", "reviewer", "admin")
NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
PASSWORD_MIN = 10
PASSWORD_MAX = 256
_TABLES = """
CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, role TEXT NOT NULL, hash TEXT NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (digest TEXT PRIMARY KEY, name TEXT NOT NULL,
    ends REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS secret (value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS removed (name TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
"""
_LOCAL = ":local"  # no account can have this name
# hashes that are computed (64 MiB each), and tries that wait for one
AT_ONCE = 2
_WAITING = 16
# a hash with the parameters of all others, of a password that nobody has
_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$5VdX1CQzcVr3/dzPgDRVtQ"
    "$u5eAfVQAqJm/MqX+LQe0yxDOs0/mtHwUOQjFdmkdahI"
)


class AccountError(CytostreamError):
    """An account that cannot be made or found."""


class BusyError(CytostreamError):
    """Too many passwords are being checked already."""


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
        self._hashing = threading.BoundedSemaphore(AT_ONCE)
        self._waiting = threading.BoundedSemaphore(_WAITING)
        with self._state.transaction() as db:
            db.execute(
                "INSERT INTO secret SELECT ? WHERE NOT EXISTS (SELECT 1 FROM secret)",
                (secrets.token_hex(32),),
            )

    def people(self) -> list[Person]:
        return [
            Person(*row)
            for row in self._state.rows("SELECT name, role FROM accounts ORDER BY name")
        ]

    def has_any(self) -> bool:
        """Whether there is an account now."""
        return bool(self._state.rows("SELECT 1 FROM accounts LIMIT 1"))

    def had_any(self) -> bool:
        """Whether there is an account, or ever was one that has been removed."""
        return self.has_any() or bool(self._state.rows("SELECT 1 FROM removed LIMIT 1"))

    def set(self, name: str, role: str, password: str) -> Change:
        """Makes an account, or changes its role and password; its sessions end, and those of the
        page without accounts.

        Raises:
            AccountError: a bad name or role, a name that was removed, a password that is too short,
            or the last admin.
        """
        if not re.fullmatch(NAME, name):
            raise AccountError(
                f"{name!r} is no account name", "letters, digits, . _ @ -, at most 64"
            )
        if role not in ROLES:
            raise AccountError(f"no role {role!r}", f"one of {', '.join(ROLES)}")
        if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
            raise AccountError(
                f"a password of {len(password)} characters",
                f"{PASSWORD_MIN} to {PASSWORD_MAX} are wanted",
            )
        made = self._hasher.hash(password)
        with self._state.transaction() as db:
            if db.execute("SELECT 1 FROM removed WHERE name = ?", (name,)).fetchone():
                raise AccountError(
                    f"{name!r} was removed", "choose another name: its signatures stay"
                )
            known = db.execute("SELECT role FROM accounts WHERE name = ?", (name,)).fetchone()
            if known == ("admin",) and role != "admin":
                _check_not_last(db, name)
            db.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?)", (name, role, made))
            db.execute("DELETE FROM sessions WHERE name IN (?, ?)", (name, _LOCAL))
        return "changed" if known else "added"

    def remove(self, name: str) -> None:
        """Takes an account away; what it signed stays, and nobody gets its name.

        Raises:
            AccountError: there is none, or it is the last one or the last admin.
        """
        with self._state.transaction() as db:
            known = db.execute("SELECT role FROM accounts WHERE name = ?", (name,)).fetchone()
            if not known:
                raise AccountError(f"no account {name!r}", "see `cytostream accounts list`")
            _check_not_last(db, name, known[0])
            db.execute("DELETE FROM sessions WHERE name = ?", (name,))
            db.execute("DELETE FROM accounts WHERE name = ?", (name,))
            db.execute("INSERT OR IGNORE INTO removed VALUES (?, ?)", (name, time()))

    def check(self, name: str, password: str) -> Person | None:
        """The person, where the password is right. An unknown name takes as long as a wrong
        password.

        Raises:
            BusyError: too many wait for an answer already.
        """
        rows = self._state.rows("SELECT role, hash FROM accounts WHERE name = ?", name)
        role, made = rows[0] if rows else ("viewer", _NOBODY)
        return Person(name, role) if self._matches(made, password) and rows else None

    def _matches(self, made: str, password: str) -> bool:
        if not self._waiting.acquire(blocking=False):
            raise BusyError("too many log in at once", "try again in a few seconds")
        try:
            with self._hashing:
                return self._hasher.verify(made, password)
        except VerificationError:
            return False
        finally:
            self._waiting.release()

    def begin(self, person: Person, hours: float) -> str:
        """A new session; its token is kept as a digest only."""
        return self._begin(person.name, hours)

    def begin_local(self, hours: float) -> str:
        """A new session of the page without accounts."""
        return self._begin(_LOCAL, hours)

    def _begin(self, name: str, hours: float) -> str:
        token = secrets.token_urlsafe(32)
        with self._state.transaction() as db:
            db.execute("DELETE FROM sessions WHERE ends < ?", (time(),))
            db.execute(
                "INSERT INTO sessions VALUES (?, ?, ?)",
                (_digest(token), name, time() + hours * 3600),
            )
        return token

    def who(self, token: str) -> Person | None:
        """Whose session it is, with the role that the account has now."""
        sql = (
            "SELECT name, role FROM sessions JOIN accounts USING (name) WHERE digest = ? AND "
            "ends > ?"
        )
        rows = self._state.rows(sql, _digest(token), time())
        return Person(*rows[0]) if rows else None

    def is_local(self, token: str) -> bool:
        """Whether it is a session of the page without accounts."""
        sql = "SELECT 1 FROM sessions WHERE digest = ? AND name = ? AND ends > ?"
        return bool(self._state.rows(sql, _digest(token), _LOCAL, time()))

    def end(self, token: str) -> None:
        with self._state.transaction() as db:
            db.execute("DELETE FROM sessions WHERE digest = ?", (_digest(token),))

    def stamp(self, token: str) -> str:
        """What a page must send along with every change: bound to the session, not to be
        guessed without it (CSRF).
        """
        key = self._state.rows("SELECT value FROM secret")[0][0].encode()
        return hmac.new(key, token.encode(), hashlib.sha256).hexdigest()

    def close(self) -> None:
        self._state.close()


def _check_not_last(db: sqlite3.Connection, name: str, role: str = "admin") -> None:
    """Somebody must be left who may see the whole trail, and accounts never switch off by
    themselves.
    """
    others = db.execute("SELECT role FROM accounts WHERE name != ?", (name,)).fetchall()
    if not others or (role == "admin" and ("admin",) not in others):
        raise AccountError(
            f"{name!r} is the last {'admin' if others else 'account'}", "make another admin first"
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
