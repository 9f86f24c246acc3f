"""What strangers may cost: tries, requests, bodies, connections, lines of a log."""

import asyncio
import logging
import socket
import threading
from contextlib import contextmanager

import pytest
import uvicorn

from stream.http import connections
from stream.http.connections import SampledLog, guarded_protocol
from stream.http.limits import (
    KEPT_KEYS,
    Body,
    Bucket,
    Caller,
    Limits,
    Shield,
    Tries,
    client_address,
)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_ten_thousand_other_names_free_nobody():
    bucket = Bucket(0.01, 3, Clock())
    assert [bool(bucket.take("ada")) for _ in range(4)] == [False, False, False, True]
    for n in range(3 * KEPT_KEYS):
        bucket.take(f"other {n}")
    assert bucket.take("ada") and len(bucket._left) <= KEPT_KEYS


def test_a_stranger_locks_nobody_out_and_right_passwords_cost_nothing():
    tries = Tries(3, Clock())
    assert [bool(tries.take("203.0.113.9", "ada")) for _ in range(4)] == [False, False, False, True]
    assert not tries.take("192.0.2.1", "ada") and not tries.take("203.0.113.9", "rob")
    for _ in range(50):
        assert not tries.take("192.0.2.1", "ada")
        tries.give_back("192.0.2.1", "ada")


def test_an_address_that_is_out_of_tries_uses_up_no_name():
    clock = Clock()
    tries = Tries(2, clock)
    for n in range(20):
        assert not tries.take("203.0.113.9", f"name {n}")
    assert tries.take("203.0.113.9", "ada") and "203.0.113.9 ada" not in tries._names._left
    for _ in range(100):  # one name alone does not close its address for others
        tries.take("192.0.2.1", "eve")
    assert not tries.take("192.0.2.1", "ada")


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "address"),
    [
        ("203.0.113.9", "192.0.2.1", (), "203.0.113.9"),  # whoever is not trusted names nobody
        (
            "10.0.0.1",
            "6.6.6.6, 192.0.2.1",
            ("10.0.0.1",),
            "192.0.2.1",
        ),  # nor does what a stranger wrote before
        ("10.0.0.1", "192.0.2.1, 10.0.0.2", ("10.0.0.1", "10.0.0.2"), "192.0.2.1"),
        ("10.0.0.1", "", ("10.0.0.1",), ""),
        ("2001:db8::1:2:3:4", "", (), "2001:db8::/64"),
        ("::ffff:192.0.2.1", "", (), "192.0.2.1"),
    ],
)
def test_whose_address_counts(peer, forwarded, trusted, address):
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded or trusted else []
    assert (
        client_address({"type": "http", "client": (peer, 1), "headers": headers}, trusted)
        == address
    )


def test_a_body_that_never_ends_is_given_up():
    async def never():
        await asyncio.Event().wait()

    body = Body(never, 100, limit_s=0.01)
    assert asyncio.run(body())["type"] == "http.disconnect" and body.refused == 408


def asked(known, length):
    """What the shield answers to a request of so many bytes, and whether the application saw it."""
    seen, sent = [], []

    async def app(scope, receive, send):
        seen.append(await receive())

    async def receive():
        return {"type": "http.request", "body": b"x" * length, "more_body": False}

    async def send(message):
        sent.append(message)

    shield = Shield(
        app, Limits(Bucket(1, 9), 1_000_000), lambda _: Caller("a", known), lambda _: None
    )
    headers = [(b"content-length", str(length).encode())]
    asyncio.run(
        shield({"type": "http", "path": "/", "client": None, "headers": headers}, receive, send)
    )
    return (sent[0]["status"] if sent else None), bool(seen)


def test_a_stranger_sends_little_and_is_refused_before_it_is_read():
    assert asked(known=False, length=500_000) == (413, False)
    assert asked(known=True, length=500_000) == (None, True)
    assert asked(known=False, length=500) == (None, True)
    assert asked(known=True, length=400_000_000) == (413, False)


@contextmanager
def served(most):
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-length", b"2")],
                }
            )
            await send({"type": "http.response.body", "body": b"ok"})

    with socket.create_server(("127.0.0.1", 0)) as listener:
        protocol = guarded_protocol(most)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="critical", http=protocol, lifespan="off", ws="none")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield listener.getsockname(), protocol
        finally:
            server.should_exit = True
            thread.join(10)


def ask(address):
    with socket.create_connection(address, timeout=5) as line:
        line.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        return line.makefile("rb").readline()


def test_half_open_connections_make_room():
    with served(most=8) as (address, protocol):
        held = [socket.create_connection(address, timeout=5) for _ in range(40)]
        for line in held[::2]:
            line.sendall(b"GET / HTTP/1.1\r\nhost:")
        assert ask(address) == b"HTTP/1.1 200 OK\r\n"
        assert len(protocol.places) <= 8
        for line in held:
            line.close()


def test_a_head_that_does_not_end_is_given_up(monkeypatch):
    monkeypatch.setattr(connections, "HEADERS_S", 0.05)
    with served(most=8) as (address, _), socket.create_connection(address, timeout=5) as line:
        line.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: ")
        assert line.recv(1) == b""


def test_rubbish_does_not_fill_the_log():
    clock = Clock()
    log, kept = logging.Logger("sampled"), []
    log.addFilter(SampledLog(burst=5, per_s=0.5, clock=clock))
    log.addHandler(logging.Handler())
    log.handlers[0].emit = kept.append
    for _ in range(1000):
        log.warning("Invalid HTTP request received.")
    log.warning("another")
    assert len(kept) == 6
    clock.now = 4.0
    for _ in range(1000):
        log.warning("Invalid HTTP request received.")
    assert len(kept) == 8
