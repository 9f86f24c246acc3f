"""Whoever may speak to a Dask scheduler runs code on it: what a stranger on the same machine
gets from ours.
"""

import multiprocessing
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import trustme

from ingest import CytostreamError, Scheduler, SlideError, open_workers
from ingest.workers.limits import limited

DASK_HELLO = bytes(
    8
)  # of an empty message: a server without TLS answers with its own greeting at once


@pytest.fixture(scope="module")
def ports() -> Iterator[set[int]]:
    """Ports at which a pool of one worker listens; a broker of other tests may be a child, too."""
    before = listening()
    with open_workers(1) as workers:
        assert workers.call(abs, -3, 30.0) == 3
        yield listening() - before


def listening() -> set[int]:
    """Ports that this process and its children listen at."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return {
        c.laddr.port
        for p in family
        for c in p.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN
    }


def answer(port: int, sent: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """What comes back, b"" where the other side hangs up or does not believe us."""
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as plain:
        try:
            speaking = context.wrap_socket(plain) if context else plain
            speaking.sendall(sent)
            speaking.settimeout(0.3)
            return speaking.recv(1000)
        except (ssl.SSLError, ConnectionError, TimeoutError):
            return b""


def stranger(shown: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if shown:
        context.load_cert_chain(shown)
    return context


def test_no_port_talks_to_a_stranger(ports: set[int], tmp_path: Path) -> None:
    forged = tmp_path / "forged.pem"
    trustme.CA().issue_cert("dask-internal").private_key_and_cert_chain_pem.write_to_path(
        str(forged)
    )
    assert len(ports) >= 3, "scheduler, worker, nanny"
    for port in ports:
        for context in (None, stranger(), stranger(forged)):
            heard = answer(port, DASK_HELLO, context)
            assert b"compression" not in heard and b"python" not in heard, (port, heard)


@pytest.mark.parametrize(
    "page", ["/info/main/workers.html", "/json/identity.json", "/metrics", "/health"]
)
def test_no_port_has_pages(ports: set[int], page: str) -> None:
    asked = f"GET {page} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".encode()
    for port in sorted(ports):
        heard = answer(port, asked)
        assert not heard or heard.startswith((b"HTTP/1.1 404", b"\x15\x03")), (
            port,
            heard,
        )  # or an alert of TLS


def test_a_scheduler_without_tls_has_to_be_permitted() -> None:
    with (
        pytest.raises(CytostreamError, match="without TLS") as refused,
        open_workers(scheduler=Scheduler("tcp://127.0.0.1:9")),
    ):
        pass
    assert "--insecure-scheduler" in refused.value.hint


def test_tls_needs_certificates() -> None:
    with (
        pytest.raises(CytostreamError, match="needs certificates"),
        open_workers(scheduler=Scheduler("tls://127.0.0.1:9")),
    ):
        pass


def test_certificates_that_are_not_there(tmp_path: Path) -> None:
    absent = Scheduler("tls://127.0.0.1:9", tmp_path / "a", tmp_path / "b", tmp_path / "c")
    with pytest.raises(CytostreamError, match="cannot be read"), open_workers(scheduler=absent):
        pass


def hoard(_: int) -> int:
    return len(bytearray(64 << 30))


def test_an_item_that_unpacks_to_too_much_is_its_own_failure() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as apart:
        outcome = apart.apply(limited, (hoard, 0, 30.0))
        assert isinstance(outcome, SlideError) and "memory" in outcome.what
        assert apart.apply(limited, (abs, -2, 30.0)) == 2
