"""What stands before the application: the size and number of requests, and the headers of every answer."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
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


class Bucket:
    """Tokens that refill at `rate` a second up to `burst`, a key; `take` says how long to wait, 0 where there is one."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = monotonic):
        self.rate, self.burst, self._clock = rate, burst, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, cost: float = 1.0) -> float:
        left, then = self._left.pop(key, (self.burst, self._clock()))
        now = self._clock()
        left = min(self.burst, left + (now - then) * self.rate)
        wait = max(0.0, (cost - left) / self.rate)
        self._left[key] = (left if wait else left - cost, now)
        if len(self._left) > KEPT_KEYS:
            self._left.popitem(last=False)
        return wait


class Body:
    """A body as it comes; one without a length, or with a false one, is cut where it is too long."""

    def __init__(self, receive: Receive, limit: int):
        self.cut = False
        self._receive, self._left = receive, limit

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        self.cut = self._left < 0
        return {"type": "http.disconnect"} if self.cut else message


class Shield:
    """ASGI middleware: 413 for a body over the limit, 429 for too many requests, security headers on everything."""

    def __init__(self, app: ASGIApp, body_bytes: int, bucket: Bucket, secure: bool):
        self._app, self._body_bytes, self._bucket = app, body_bytes, bucket
        self._headers = {**HEADERS, **({"Strict-Transport-Security": "max-age=31536000"} if secure else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = Body(receive, self._body_bytes)
        answer = self._dressed(send, body)
        wait = self._bucket.take(scope["client"][0] if scope["client"] else "", cost_of(scope["path"]))
        if wait:
            await refusal(429, "too many requests", {"Retry-After": str(int(wait) + 1)})(scope, receive, answer)
        elif int(length_of(scope)) > self._body_bytes:
            await refusal(413, f"more than {self._body_bytes} bytes")(scope, receive, answer)
        else:
            await self._app(scope, body, answer)

    def _dressed(self, send: Send, body: "Body") -> Send:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["status"] = 413 if body.cut else message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        return dressed


def length_of(scope: Scope) -> str:
    length = Headers(scope=scope).get("content-length", "0")
    return length if length.isdecimal() else "0"


def cost_of(path: str) -> float:
    return PICTURE_COST if any(part in path for part in CHEAP) else 1.0


def refusal(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail, "hint": ""}, status, headers)
