"""The three addresses that need no session: /metrics, /healthz, /readyz. They hold numbers and
fixed sentences.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from stream.config import MonitoringSettings
from stream.http import (
    Bucket,
    Caller,
    Limits,
    Shield,
    client_address,
    host_and_port,
    is_own_host,
    serving,
)

from .health import Health

_REQUESTS_PER_S = 10.0
_BODY_BYTES = 1_000


def make_monitoring_app(
    registry: CollectorRegistry, health: Health, hosts: Sequence[str] = ()
) -> Starlette:
    """The application; it answers to addresses of this machine and to `hosts`."""
    known = {host.casefold() for host in ("localhost", *hosts)}

    def metrics(request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": media_type})

    def alive(request: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    def ready(request: Request) -> JSONResponse:
        failing = dict(health.failing())
        said = {"status": "not ready" if failing else "ready", "failing": failing}
        return JSONResponse(said, 503 if failing else 200)

    def refused(scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if not is_own_host(headers.get("host", ""), known):
            return 400, "this host name is not served here"
        if "origin" in headers or headers.get("sec-fetch-site", "none") != "none":
            return 403, "no web page may call this"
        return None

    routes = {"/metrics": metrics, "/healthz": alive, "/readyz": ready}
    app = Starlette(routes=[Route(path, answer) for path, answer in routes.items()])
    limits = Limits(Bucket(_REQUESTS_PER_S, 4 * _REQUESTS_PER_S), _BODY_BYTES)
    app.add_middleware(
        Shield,
        limits=limits,
        caller=lambda scope: Caller(client_address(scope), False),
        refused=refused,
    )
    return app


@contextmanager
def open_monitoring(
    settings: MonitoringSettings, registry: CollectorRegistry, health: Health
) -> Iterator[None]:
    """Serves them at the address of the settings.

    Raises:
        CytostreamError: it cannot be listened on.
    """
    host, _ = host_and_port(settings.address)
    hosts = (host, socket.gethostname(), socket.getfqdn(), *settings.hosts)
    with serving(make_monitoring_app(registry, health, hosts), settings.address, "monitoring"):
        yield
