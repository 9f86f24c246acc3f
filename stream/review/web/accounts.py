"""Who may use the page: accounts with roles and argon2 hashes, and the sessions of those who are
logged in. One SQLite file.

The name of an account that was removed is never given again: signatures stand under it.
"""

import hashlib
import hmac
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from classify import ClassName
from ingest import CytostreamError
from stream.config import ClassKey, OidcSettings
from stream.oauth import ProvidedPeople, role_of
from stream.review.seen_area import SeenGrid
from stream.review.texts import Language
from stream.store import (
    ACCOUNT_NAME,
    AccountChange,
    AccountRow,
    AccountTable,
    PreferenceTable,
    SeenAreaTable,
    close_to_others,
)

FILE = "access.db"
Change = Literal["added", "changed"]
ROLES = ("viewer", "reviewer", "admin")
PASSWORD_MIN = 10
PASSWORD_MAX = 256
_LOCAL = ":local"  # no account can have this name
_PROVIDED = ":provided "  # nor one that begins so
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
    """Somebody who is in, and what they may do: each role may do what those before it may. The
    page alone has the shown name.
    """

    name: str
    role: str
    shown: str = ""

    def may(self, role: str) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


class Preferences(BaseModel):
    """How a person has set up the page: keys for classes, the white cells to verify on a slide
    (0 for all), and the language (the browser's where none is chosen).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: dict[ClassName, ClassKey] = Field({}, max_length=64)
    goal: int = Field(100, ge=0, le=10_000)
    language: Language | None = None

    @field_validator("keys")
    @classmethod
    def _are_different(cls, keys: dict[str, str]) -> dict[str, str]:
        if len(set(keys.values())) < len(keys):
            raise ValueError("two classes have the same key")
        return keys


class Accounts:
    """The accounts and sessions of a store."""

    def __init__(self, store: Path):
        """Opens the file; of one that cannot be written, sessions are kept in memory."""
        self._table = AccountTable(store / FILE, unwritable="copy")
        self._preferences = PreferenceTable(store / FILE, unwritable="copy")
        self._seen = SeenAreaTable(store / FILE, unwritable="copy")
        self._seeing = threading.Lock()
        self.provided = ProvidedPeople(store / FILE)
        if self._table.is_kept:
            for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):  # of a version that left them open
                close_to_others(store / name)
        self._hasher = PasswordHasher()
        self._hashing = threading.BoundedSemaphore(AT_ONCE)
        self._waiting = threading.BoundedSemaphore(_WAITING)

    def people(self) -> list[Person]:
        return [Person(row.name, row.role) for row in self._table.accounts()]

    def has_any(self) -> bool:
        """Whether there is an account now."""
        return self._table.has_any()

    def had_any(self) -> bool:
        """Whether there is an account, or ever was one that has been removed."""
        return self.has_any() or self._table.has_removed()

    def set(self, name: str, role: str, password: str) -> Change:
        """Makes an account, or changes its role and password; its sessions end, and those of the
        page without accounts.

        Raises:
            AccountError: a bad name or role, a name that was removed, a password that is too short,
            or the last admin.
        """
        if not re.fullmatch(ACCOUNT_NAME, name):
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
        with self._table.changing() as change:
            if change.is_removed(name):
                raise AccountError(
                    f"{name!r} was removed", "choose another name: its signatures stay"
                )
            if change.is_provided(name):
                raise AccountError(
                    f"{name!r} is signed in by a provider", "choose another name: it signs so"
                )
            known = change.role(name)
            if known == "admin" and role != "admin":
                _check_not_last(change, name)
            change.put(AccountRow(name, role, made))
            change.end_sessions(name, _LOCAL)
        return "changed" if known else "added"

    def remove(self, name: str) -> None:
        """Takes an account away, or shuts out a person whom a provider signs in; what they signed
        stays, and nobody gets the name.

        Raises:
            AccountError: there is none, or it is the last one or the last admin.
        """
        with self._table.changing() as change:
            known = change.role(name)
            if known:
                _check_not_last(change, name, known)
            elif not self.provided.named(name):
                raise AccountError(f"no account {name!r}", "see `cytostream accounts list`")
            change.remove(name, time())
            change.end_sessions(f"{_PROVIDED}{name}")
        self._preferences.put(name, None)
        self._seen.forget(name)

    def check(self, name: str, password: str) -> Person | None:
        """The person, where the password is right. An unknown name takes as long as a wrong
        password.

        Raises:
            BusyError: too many wait for an answer already.
        """
        known = self._table.account(name)
        is_right = self._matches(known.password_hash if known else _NOBODY, password)
        return Person(name, known.role) if known and is_right else None

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

    def begin_provided(self, name: str, hours: float) -> str:
        """A new session of a person whom a provider has signed in."""
        return self._begin(f"{_PROVIDED}{name}", hours)

    def who_provided(self, token: str, oidc: OidcSettings) -> Person | None:
        """Whose session it is, with the role that the configuration gives to the groups of the last
        sign-in; None where that was by another issuer.
        """
        session = self._table.session_name(_digest(token), time()) or ""
        if not session.startswith(_PROVIDED):
            return None
        known = self.provided.named(session.removeprefix(_PROVIDED))
        if not known or known.issuer != oidc.issuer:
            return None
        role = role_of(known.groups, oidc.roles)
        return Person(known.name, role, known.shown) if role else None

    def derived(self, purpose: str, handle: str) -> str:
        """64 hexadecimal digits that nobody else can make of a handle."""
        key = f"{purpose} {self._table.secret}"
        return hmac.new(key.encode(), handle.encode(errors="replace"), hashlib.sha256).hexdigest()

    def _begin(self, name: str, hours: float) -> str:
        token = secrets.token_urlsafe(32)
        now = time()
        self._table.begin_session(_digest(token), name, now, ends=now + hours * 3600)
        return token

    def who(self, token: str) -> Person | None:
        """Whose session it is, with the role that the account has now."""
        row = self._table.session_account(_digest(token), time())
        return Person(row.name, row.role) if row else None

    def is_local(self, token: str) -> bool:
        """Whether it is a session of the page without accounts."""
        return self._table.session_name(_digest(token), time()) == _LOCAL

    def end(self, token: str) -> None:
        self._table.end_session(_digest(token))

    def stamp(self, token: str) -> str:
        """What a page must send along with every change: bound to the session, not to be
        guessed without it (CSRF).
        """
        return hmac.new(self._table.secret.encode(), token.encode(), hashlib.sha256).hexdigest()

    def preferences(self, name: str) -> Preferences:
        """How a person has set up the page; the defaults where what is kept cannot be read."""
        body = self._preferences.body(name)
        try:
            return Preferences.model_validate_json(body) if body else Preferences()
        except ValidationError:  # of another version
            return Preferences()

    def prefer(self, name: str, chosen: Preferences) -> None:
        """Keeps how a person has set up the page.

        Raises:
            StoreError: the file cannot be written.
        """
        self._preferences.put(name, chosen.model_dump_json())

    def seen(self, name: str, slide_id: str, grid: SeenGrid) -> str:
        """Which squares of a slide a person has seen, as text; nothing where what is kept is of
        another grid.
        """
        kept = self._seen.squares(name, slide_id)
        try:
            return grid.text(grid.squares(kept))
        except ValueError:  # the slide was read anew
            return grid.text(grid.squares(""))

    def see(self, name: str, slide_id: str, grid: SeenGrid, squares: str) -> str:
        """Adds squares to those that a person has seen of a slide; all of them.

        Raises:
            ValueError: the text is not of this grid.
            StoreError: the file cannot be written.
        """
        with self._seeing:
            joined = grid.joined(self.seen(name, slide_id, grid), squares)
            self._seen.put(name, slide_id, joined)
        return joined

    def close(self) -> None:
        self._preferences.close()
        self._seen.close()
        self.provided.close()
        self._table.close()


def _check_not_last(change: AccountChange, name: str, role: str = "admin") -> None:
    """Somebody must be left who may see the whole trail, and accounts never switch off by
    themselves.
    """
    others = change.other_roles(name)
    if not others or (role == "admin" and "admin" not in others):
        raise AccountError(
            f"{name!r} is the last {'admin' if others else 'account'}", "make another admin first"
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
