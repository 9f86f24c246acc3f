"""What stands before an HTTP application: who may ask at all, how often, how much, how
slowly; the headers of every answer.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from time import monotonic

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
KEPT_KEYS = 10_000
PICTURE_COST = 0.1  # a gallery asks for many small ones
CHEAP = ("/image", "/tiles/", "/static/")
BODY_S = 30.0  # for the whole body of a request
STRANGER_BODY_BYTES = 10_000  # of a request that shows no session: a login is smaller
AT_SOCKET = "unix"  # stands for the address of whoever calls by a Unix socket
SITE_BITS = 64  # of an IPv6 address: one subscriber has all addresses below


class Bucket:
    """Tokens that refill at `rate` a second up to `burst`, a key; `take` says how long to wait, 0
    where there is one.

    A key whose tokens have come back is forgotten first, so that many new keys do not free one that
    waits.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = monotonic):
        self.rate = rate
        self.burst = burst
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str, cost: float = 1.0) -> float:
        left = self._now(key)
        now = self._clock()
        wait = max(0.0, (cost - left) / self.rate)
        self._left[key] = (left if wait else left - cost, now)
        if len(self._left) > KEPT_KEYS:
            self._forget()
        return wait

    def give_back(self, key: str, cost: float = 1.0) -> None:
        """What was taken does not count."""
        if key in self._left:
            self._left[key] = min(self.burst, self._now(key) + cost), self._clock()

    def _now(self, key: str) -> float:
        left, then = self._left.get(key, (self.burst, self._clock()))
        return min(self.burst, left + (self._clock() - then) * self.rate)

    def _forget(self) -> None:
        """Keeps the emptier half."""
        by_need = sorted(self._left, key=self._now)
        self._left = {key: self._left[key] for key in by_need[: KEPT_KEYS // 2]}


class Tries:
    """Failed tries at a password: `per_minute` a name and address, ten times as many an
    address. A right one is given back.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = monotonic):
        self._addresses = Bucket(per_minute / 6, per_minute * 10, clock)
        self._names = Bucket(per_minute / 60, per_minute, clock)

    def take(self, address: str, name: str) -> float:
        """How long to wait, 0 where a try is free. The address comes first: one that is out
        of tries uses up nobody's name.
        """
        if wait := self._addresses.take(address):
            return wait
        if wait := self._names.take(f"{address} {name}"):
            self._addresses.give_back(address)
        return wait

    def give_back(self, address: str, name: str) -> None:
        self._addresses.give_back(address)
        self._names.give_back(f"{address} {name}")


class Body:
    """A body as it comes; one without a length, or with a false one, is cut where it is too
    long, and one that is too slow.
    """

    def __init__(self, receive: Receive, limit_bytes: int, limit_s: float = BODY_S):
        self.refused = 0
        self._receive = receive
        self._left = limit_bytes
        self._whole = False
        self._until_s = monotonic() + limit_s

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._until_s - monotonic()))
        except TimeoutError:
            self.refused = 408
            return {"type": "http.disconnect"}
        self._whole = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.refused = 413
            return {"type": "http.disconnect"}
        return message


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is counted for: a person by name, else an address; `known` where a
    session or token was shown.
    """

    key: str
    known: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller may ask for, and how large a request may be."""

    requests: Bucket
    body_bytes: int
    strict_transport: bool = False


class Shield:
    """ASGI middleware: refuses by `refused` (status and sentence, or None), then 429 and 413;
    security headers on everything.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        caller: Callable[[Scope], Caller],
        refused: Callable[[Scope], tuple[int, str] | None],
    ):
        self._app = app
        self._limits = limits
        self._caller = caller
        self._refused = refused
        transport = (
            {"Strict-Transport-Security": "max-age=31536000"} if limits.strict_transport else {}
        )
        self._headers = {**_HEADERS, **transport}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = self._caller(scope)
        limit = (
            self._limits.body_bytes
            if caller.known
            else min(STRANGER_BODY_BYTES, self._limits.body_bytes)
        )
        body = Body(receive, limit)
        answer = self._dressed(send, body)
        if refused := self._refused(scope):
            await refusal(*refused)(scope, receive, answer)
        elif wait := self._limits.requests.take(caller.key, cost_of(scope["path"])):
            await too_many(wait)(scope, receive, answer)
        elif int(length_of(scope)) > limit:
            await refusal(413, f"more than {limit} bytes")(scope, receive, answer)
        else:
            await self._app(scope, body, answer)

    def _dressed(self, send: Send, body: Body) -> Send:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["status"] = body.refused or message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        return dressed


class UnderFolder:
    """ASGI middleware: takes the folder of the public address off the path, for a proxy that
    leaves it there.
    """

    def __init__(self, app: ASGIApp, folder: str):
        self._app = app
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith(f"{self._folder}/"):
            scope = {**scope, "path": path.removeprefix(self._folder)}
        await self._app(scope, receive, send)


def client_address(scope: Scope, trusted: tuple[str, ...] = ()) -> str:
    """The address that a request comes from; behind trusted proxies, the last one that they name
    (`X-Forwarded-For`).

    Of an IPv6 address the first 64 bits: its owner has all the others.
    """
    hops = [scope["client"][0] if scope.get("client") else AT_SOCKET]
    for line in Headers(scope=scope).getlist("x-forwarded-for"):
        hops[:0] = [hop.strip() for hop in line.split(",")]
    while len(hops) > 1 and hops[-1] in trusted:
        hops.pop()
    return network_of(hops[-1])


def network_of(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 4 or parsed.ipv4_mapped:
        return str(parsed if parsed.version == 4 else parsed.ipv4_mapped)
    return f"{ip_address(int(parsed) >> SITE_BITS << SITE_BITS)}/{SITE_BITS}"


def length_of(scope: Scope) -> str:
    length = Headers(scope=scope).get("content-length", "0")
    return length[:20] if length.isdecimal() else "0"


def cost_of(path: str) -> float:
    return PICTURE_COST if any(part in path for part in CHEAP) else 1.0


def refusal(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail, "hint": ""}, status, headers)


def too_many(wait_s: float) -> JSONResponse:
    return refusal(429, "too many requests", {"Retry-After": str(int(wait_s) + 1)})
