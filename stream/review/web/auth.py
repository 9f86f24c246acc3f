"""Who is asking, and whether they may: whoever has the secret of the printed address, else
accounts or a trusted proxy.
"""

import getpass
import hmac
import re
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.security import APIKeyCookie, APIKeyHeader
from starlette.types import Scope

from stream.config import ReviewSettings
from stream.http import Caller, client_address
from stream.oauth import OpenIdProvider

from .accounts import Accounts, Person

Mode = Literal["local", "accounts", "proxy", "oidc"]
LOGIN_MODES = ("accounts", "oidc")  # with a page to log in at
COOKIE = "cytostream_session"
HEADER = "X-CSRF-Token"
PROXY_HINT = (
    "behind a proxy, let it pass on Host (nginx: proxy_set_header Host $http_host), "
    "or name both hosts in review.hosts"
)
SAFE = {"GET", "HEAD", "OPTIONS"}
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
FORWARDED = ("forwarded", "via", "x-real-ip")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?::\d{1,5})?")
_PROXIED_NAME = re.compile(r"\w[\w.@\\ -]{0,63}")
cookie_scheme = APIKeyCookie(
    name=COOKIE,
    auto_error=False,
    description="session: of POST /api/login, or of the printed address",
)
header_scheme = APIKeyHeader(
    name=HEADER, auto_error=False, description="the `csrf` of GET /api/me, with every change"
)


class DoorError(Exception):
    """A request that is turned away: HTTP status, a sentence for the person, and what to do."""

    def __init__(self, status: int, detail: str, hint: str = ""):
        self.status = status
        self.detail = detail
        self.hint = hint
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Authenticator:
    """`started` is how the page was started: local (the secret of the printed address),
    accounts, proxy, or oidc, which has a provider.
    """

    started: Mode
    accounts: Accounts
    config: ReviewSettings
    secure: bool
    proxy_secret: str = ""
    provider: OpenIdProvider | None = None
    local_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def mode(self) -> Mode:
        """Asked at each request: the first account ends the local mode."""
        return "accounts" if self.started == "local" and self.accounts.has_any() else self.started

    @property
    def cookie(self) -> str:
        """Its name; behind TLS one that no other host and no plain connection can set."""
        return f"__Host-{COOKIE}" if self.secure else COOKIE

    def person(self, request: Request) -> Person:
        """Who asks.

        Raises:
            DoorError: 401, nobody that is known here.
        """
        mode = self.mode
        found = self._found(request, mode)
        if found is None:
            first = (
                "open the address that `cytostream serve` has printed"
                if mode == "local"
                else "sign in first"
            )
            raise DoorError(401, first)
        return found

    def _found(self, request: Request, mode: Mode) -> Person | None:
        token = request.cookies.get(self.cookie, "")
        if mode == "proxy":
            return self._proxied(request)
        if mode == "accounts":
            return self.accounts.who(token)
        if mode == "oidc":
            return self.accounts.who_provided(token, self.config.oidc)
        return Person(local_name(), "admin") if self.accounts.is_local(token) else None

    def _proxied(self, request: Request) -> Person | None:
        """Whom the proxy names, where the request is the proxy's."""
        if not self._is_from_proxy(request):
            return None
        names = request.headers.getlist(self.config.proxy_header)
        if len(names) != 1 or not _PROXIED_NAME.fullmatch(names[0].strip()):
            return None
        name = names[0].strip()
        return Person(name, self.config.proxy_roles.get(name, "viewer"))

    def _is_from_proxy(self, request: Request) -> bool:
        """From the socket that only the proxy can reach, or from its address with its secret; where
        there are both, the secret is shown at the socket too.
        """
        shown = request.headers.get(self.config.proxy_secret_header, "")
        has_secret = bool(self.proxy_secret) and hmac.compare_digest(
            shown.encode(), self.proxy_secret.encode()
        )
        if self.config.proxy_socket:
            return request.client is None and (has_secret or not self.proxy_secret)
        from_address = (
            request.client is not None and request.client.host in self.config.proxy_addresses
        )
        return from_address and has_secret

    def refused(self, scope: Scope) -> tuple[int, str] | None:
        """Status and sentence for a request that nobody may make: to another host's name, or
        to a local page through a proxy.
        """
        headers = Request(scope).headers
        local = self.mode == "local"
        allowed = LOCAL_HOSTS if local else self.config.hosts
        host = _HOST.fullmatch(headers.get("host", "").lower())
        if host is None or (allowed and host[1] not in allowed):
            return (
                400,
                "this page is not served under that name: add it to review.hosts, "
                "or let the proxy pass on Host",
            )
        if local and any(name in FORWARDED or name.startswith("x-forwarded-") for name in headers):
            return (
                403,
                "a page without accounts is not served through a proxy: make an account with "
                "`cytostream accounts add`",
            )
        return None

    def caller(self, scope: Scope) -> Caller:
        """Who a request is counted for."""
        request = Request(scope)
        mode = self.mode
        found = self._found(request, mode)
        return Caller(f"person {found.name}", True) if found else Caller(self.address(scope), False)

    def address(self, scope: Scope) -> str:
        return client_address(scope, self.config.trusted_proxies)

    def open_local(self, secret: str, request: Request, response: Response) -> None:
        """Exchanges the secret of the printed address for a session.

        Raises:
            DoorError: 403, it is another one.
        """
        if self.mode != "local" or not hmac.compare_digest(
            secret.encode(), self.local_secret.encode()
        ):
            raise DoorError(403, "this address is not the one that `cytostream serve` has printed")
        self.give_cookie(request, response, self.accounts.begin_local(self.config.session_hours))

    def check_change(self, request: Request) -> None:
        """A change must come from our own page.

        Raises:
            DoorError: 403, it does not.
        """
        check_origin(request, self.config.hosts)
        token = request.cookies.get(self.cookie, "")
        sent = request.headers.get(HEADER, "")
        if not token or not hmac.compare_digest(self.accounts.stamp(token).encode(), sent.encode()):
            raise DoorError(403, "the page is out of date: load it again")

    def give_cookie(self, request: Request, response: Response, token: str) -> None:
        """The session, sent back over TLS only where the person has come by TLS, to this server
        or to a proxy before it.
        """
        response.set_cookie(
            self.cookie,
            token,
            max_age=int(self.config.session_hours * 3600),
            path="/",
            httponly=True,
            samesite="strict",
            secure=self.secure or came_by_tls(request),
        )

    def take_cookie(self, response: Response) -> None:
        response.delete_cookie(
            self.cookie, path="/", httponly=True, samesite="strict", secure=self.secure
        )

    def anonymous(self, request: Request, response: Response) -> str:
        """The session token of a request; behind a proxy one is made, for the stamp of
        changes alone.
        """
        token = request.cookies.get(self.cookie, "")
        if not token and self.mode == "proxy":
            token = secrets.token_urlsafe(32)
            self.give_cookie(request, response, token)
        return token


def check_origin(request: Request, hosts: Collection[str] = ()) -> None:
    """Browsers say which site sends a change; over TLS they say it themselves, whatever name a
    proxy gives this server.

    Raises:
        DoorError: 403, another one.
    """
    origin = request.headers.get("origin")
    if not origin or request.headers.get("sec-fetch-site") == "same-origin":
        return
    site = site_address(origin)
    host = _HOST.fullmatch(site.lower()) if site else None
    if site != request.headers.get("host") and not (host and host[1] in hosts):
        raise DoorError(403, "another site sent this", PROXY_HINT)


def came_by_tls(request: Request) -> bool:
    """As the server, a proxy or the browser says; a false word only costs the one who says it
    the session.
    """
    origin = request.headers.get("origin", "")
    return "https" in (
        request.url.scheme,
        request.headers.get("x-forwarded-proto"),
    ) or origin.startswith("https:")


def site_address(origin: str) -> str | None:
    """Host and port of an origin; None for what is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def need(role: str) -> Callable[..., Person]:
    """A dependency: the person who asks, who must have a role; a change must come from our page."""

    def person(request: Request) -> Person:
        doors: Authenticator = request.app.state.doors
        who = doors.person(request)
        if request.method not in SAFE:
            doors.check_change(request)
        if not who.may(role):
            raise DoorError(403, f"{who.name} has the role {who.role}; this needs the role {role}")
        return who

    return person


def local_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "local"
