"""Who is asking, and whether they may: on this machine alone the person who started it, else accounts or a trusted proxy."""

import getpass
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.security import APIKeyCookie, APIKeyHeader

from stream.config import Review

from .accounts import Accounts, Person

COOKIE = "cytostream_session"
HEADER = "X-CSRF-Token"
SAFE = {"GET", "HEAD", "OPTIONS"}
cookie_scheme = APIKeyCookie(name=COOKIE, auto_error=False, description="session; GET /api/me begins one, or POST /api/login")
header_scheme = APIKeyHeader(name=HEADER, auto_error=False, description="the `csrf` of GET /api/me, with every change")


class DoorError(Exception):
    """A request that is turned away: HTTP status, and a sentence for the person."""

    def __init__(self, status: int, detail: str):
        self.status, self.detail = status, detail
        super().__init__(detail)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Doors:
    """`mode` is local (no login, loopback only), accounts, or proxy."""

    mode: str
    accounts: Accounts
    config: Review
    secure: bool

    def person(self, request: Request) -> Person:
        """Who asks.

        Raises:
            DoorError: 401, nobody that is known here.
        """
        if self.mode == "local":
            return Person(local_name(), "admin")
        found = self._proxied(request) if self.mode == "proxy" else self.accounts.who(request.cookies.get(COOKIE, ""))
        if found is None:
            raise DoorError(401, "sign in first")
        return found

    def _proxied(self, request: Request) -> Person | None:
        name = request.headers.get(self.config.proxy_header, "").strip()
        if not name or not request.client or request.client.host not in self.config.proxy_addresses:
            return None
        return Person(name[:64], self.config.proxy_roles.get(name, "viewer"))

    def check_change(self, request: Request) -> None:
        """A change must come from our own page.

        Raises:
            DoorError: 403, it does not.
        """
        check_origin(request)
        token, sent = request.cookies.get(COOKIE, ""), request.headers.get(HEADER, "")
        if not token or not hmac.compare_digest(self.accounts.stamp(token).encode(), sent.encode()):
            raise DoorError(403, "the page is out of date: load it again")

    def give_cookie(self, response: Response, token: str) -> None:
        age = int(self.config.session_hours * 3600)
        response.set_cookie(COOKIE, token, max_age=age, httponly=True, samesite="strict", secure=self.secure)

    def anonymous(self, request: Request, response: Response) -> str:
        """The session token of a request; without accounts one is made, for the stamp of changes alone."""
        token = request.cookies.get(COOKIE, "")
        if not token and self.mode != "accounts":
            token = secrets.token_urlsafe(32)
            self.give_cookie(response, token)
        return token


def check_origin(request: Request) -> None:
    """Browsers say which site sends a change.

    Raises:
        DoorError: 403, another one.
    """
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        raise DoorError(403, "another site sent this")


def need(role: str) -> Callable[..., Person]:
    """A dependency: the person who asks, who must have a role; a change must come from our page."""

    def person(request: Request) -> Person:
        doors: Doors = request.app.state.doors
        who = doors.person(request)
        if request.method not in SAFE:
            doors.check_change(request)
        if not who.may(role):
            raise DoorError(403, f"{who.name} is a {who.role}; this needs a {role}")
        return who

    return person


def local_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "local"
