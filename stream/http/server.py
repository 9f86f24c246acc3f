"""An HTTP server beside the work of a process: its address, its thread, the names it answers to."""

import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import uvicorn
from starlette.types import ASGIApp

from ingest import CytostreamError

from .connections import guarded_protocol, sample_logs

CONNECTIONS_MAX = 128
_LAST_S = 3


@contextmanager
def serving(app: ASGIApp, address: str, name: str) -> Iterator[None]:
    """Serves an application at HOST:PORT in a thread of this name.

    Raises:
        CytostreamError: no such address, or one that cannot be listened on.
    """
    check_address(address)
    host, port = host_and_port(address)
    sample_logs()
    config = uvicorn.Config(
        app,
        host,
        port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=guarded_protocol(CONNECTIONS_MAX),
        ws="none",
        timeout_graceful_shutdown=_LAST_S,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=run_server, args=(server,), name=name, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.05)
        if not thread.is_alive():
            raise CytostreamError(
                f"{address}: cannot be listened on",
                "is the port free, and the address this machine's?",
            )
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def run_server(server: uvicorn.Server) -> None:
    try:
        server.run()
    except SystemExit:
        return  # it has logged why; the caller sees that it has not started


def check_address(address: str) -> None:
    """Whether an address can be listened on, before anything is started for it.

    Raises:
        CytostreamError: it is none of this machine, or is taken.
    """
    host, port = host_and_port(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(place)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CytostreamError(
            f"{address}: cannot be listened on: {reason}",
            "is the port free, and the address this machine's?",
        ) from error


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of HOST:PORT; without a host it is this machine alone. An IPv6 address stands in
    brackets.

    Raises:
        CytostreamError: it is no such address.
    """
    host, _, port = address.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and int(port) < 1 << 16
    if not is_port or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise CytostreamError(
            f"{address}: no address to listen on",
            "give HOST:PORT with a number, as 127.0.0.1:8080 or [::1]:8080",
        )
    return host.strip("[]") or "127.0.0.1", int(port)


def is_own_host(header: str, hosts: Collection[str]) -> bool:
    """Whether a Host header is an address or one of the names (in lower case), not a name that
    another site points here.
    """
    name = header.rpartition(":")[0] if header.rpartition(":")[2].isdecimal() else header
    name = name.strip("[]").casefold()
    try:
        ip_address(name)
    except ValueError:
        return name in hosts
    return True
