"""Addresses, limits and answers of the HTTP servers, each value of them."""

import asyncio
import itertools
import logging
import resource
import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn

from ingest import CytostreamError
from stream.http import connections, limits, server, unix_socket
from stream.http.connections import Connections, SampledLog
from stream.http.limits import Body, Bucket, Caller, Limits, Shield, Tries
from tests.approved import approved, laid_out
from tests.recorded import Named, Recorded


class Clock:
    def __init__(self):
        self.s = 50.0

    def __call__(self):
        return self.s


def test_how_long_a_caller_waits():
    clock = Clock()
    bucket = Bucket(0.5, 3, clock)
    assert [bucket.take("a") for _ in range(5)] == [0, 0, 0, 2.0, 2.0]
    assert bucket.take("a", 2.5) == 5.0 and bucket.take("b", 2.5) == 0.0
    clock.s += 1
    assert bucket.take("a") == 1.0
    clock.s += 1
    assert bucket.take("a") == 0.0
    bucket.give_back("a")
    assert bucket.take("a") == 0.0
    bucket.give_back("a", 9.0)
    assert [bucket.take("a") for _ in range(4)] == [0, 0, 0, 2.0]
    bucket.give_back("never seen")
    assert "never seen" not in bucket._left
    clock.s += 1000
    assert [bucket.take("a") for _ in range(4)] == [0, 0, 0, 2.0]


def test_the_fuller_half_of_many_callers_is_forgotten(monkeypatch):
    monkeypatch.setattr(limits, "KEPT_KEYS", 6)
    bucket = Bucket(1.0, 9, Clock())
    for cost, key in enumerate("abcdef"):
        bucket.take(key, cost)
    assert list(bucket._left) == list("abcdef")
    bucket.take("g", 2.5)
    assert sorted(bucket._left) == ["d", "e", "f"]
    assert limits.cost_of("/a") == 1.0 and limits.cost_of("/static/a.js") == 0.1
    assert [limits.cost_of(path) for path in ("/api/c/image", "/tiles/1")] == [0.1, 0.1]


def test_tries_at_a_password():
    clock = Clock()
    tries = Tries(6, clock)
    assert [tries.take("1.1.1.1", "ada") for _ in range(7)] == [0] * 6 + [10.0]
    waits = [tries.take("1.1.1.1", f"name {number}") for number in range(55)]
    assert waits[:54] == [0] * 54 and waits[54] == 1.0
    tries.give_back("1.1.1.1", "name 3")
    assert tries.take("1.1.1.1", "name 3") == 0 and tries.take("1.1.1.1", "name 4") == 1.0


def test_a_body_is_read_to_its_end_or_cut(monkeypatch):
    def received(*parts, limit=10):
        left = iter(parts)

        async def receive():
            return next(left)

        body = Body(receive, limit)
        found = []
        for _ in parts:
            found.append(asyncio.run(body()))
        return found, body.refused

    part = {"type": "http.request", "body": b"12345", "more_body": True}
    last = {**part, "more_body": False}
    after = {"type": "http.disconnect"}
    assert received(part, last, after) == ([part, last, after], 0)
    assert received({"type": "x"}, after) == ([{"type": "x"}, after], 0)
    assert received(part, part, last) == ([part, part, {"type": "http.disconnect"}], 413)
    assert received(last, limit=5) == ([last], 0)
    assert received(last, limit=4)[1] == 413


def test_a_body_has_thirty_seconds(monkeypatch):
    monkeypatch.setattr(limits, "monotonic", lambda: 100.0)
    assert Body(None, 1)._until_s == 130.0 and Body(None, 1, 2.0)._until_s == 102.0


def asked(path="/", headers=(), **given):
    """Everything that is sent for a request."""
    sent = []

    async def app(scope, receive, send):
        message = await receive()
        status = 200 if message["type"] == "http.request" else 500
        kept = [(b"cache-control", b"max-age=5")] if "/static/" in scope["path"] else []
        await send({"type": "http.response.start", "status": status, "headers": kept})
        await send({"type": "http.response.body", "body": b"ok"})

    async def receive():
        return {"type": "http.request", "body": given.get("body", b"")}

    async def send(message):
        sent.append(message)

    own = Limits(given.get("bucket", Bucket(0.5, 1, Clock())), 20_000, given.get("strict", False))
    caller = Caller("a", given.get("known", True))
    shield = Shield(app, own, lambda _: caller, lambda _: given.get("refused"))
    scope = {"type": "http", "path": path, "client": None, "headers": list(headers)}
    asyncio.run(shield({**scope, **given.get("scope", {})}, receive, send))
    return [
        {
            **message,
            "headers": {k.decode(): v.decode() for k, v in message.get("headers", [])},
            "body": message.get("body", b"").decode(),
        }
        for message in sent
    ]


def test_every_answer_whole():
    used = Bucket(0.5, 1, Clock())
    used.take("a")
    length = (b"content-length",)
    lines = []
    for name, given in {
        "plain": {},
        "strict": {"strict": True},
        "static": {"path": "/static/a.js"},
        "refused": {"refused": (403, "no")},
        "too many": {"bucket": used},
        "a picture": {"bucket": used, "path": "/image"},
        "too long": {"headers": [(*length, b"20001")]},
        "as long as may be": {"headers": [(*length, b"20000")]},
        "no number": {"headers": [(*length, b"-5")]},
        "stranger": {"known": False, "headers": [(*length, b"10001")]},
        "stranger within": {"known": False, "headers": [(*length, b"10000")]},
        "longer than said": {"body": b"x" * 20_001},
    }.items():
        lines.append(f"{name}: {laid_out(asked(**given))}")
    approved(__file__, "answers", "\n".join(lines))


def test_what_is_no_http_passes():
    for scope in ({"type": "lifespan"}, {"type": "websocket"}):
        found = asked(scope=scope)
        assert [one["headers"] for one in found] == [{}, {}]


def test_where_a_request_comes_from():
    def address(client, *lines, trusted=()):
        headers = [(b"x-forwarded-for", line.encode()) for line in lines]
        scope = {"type": "http", "client": client, "headers": headers}
        return limits.client_address(scope, trusted)

    assert address(None) == "unix" and address(("9.9.9.9", 1)) == "9.9.9.9"
    assert address(None, "1.1.1.1 , 2.2.2.2", trusted=("unix",)) == "2.2.2.2"
    assert address(None, "1.1.1.1", "3.3.3.3", trusted=("unix",)) == "1.1.1.1"
    assert address(None, "unix", trusted=("unix",)) == "unix"
    assert limits.network_of("x" * 70) == "x" * 64
    assert limits.network_of("2001:db8:1:2:3::4") == "2001:db8:1:2::/64"
    assert limits.network_of("::ffff:1.2.3.4") == limits.network_of("1.2.3.4") == "1.2.3.4"
    scope = {"type": "http", "headers": [(b"content-length", b"9" * 30)]}
    assert limits.length_of(scope) == "9" * 20
    assert limits.length_of({"type": "http", "headers": []}) == "0"


def test_a_folder_of_the_public_address_is_taken_off():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    under = limits.UnderFolder(app, "/lab")
    for scope in ({"path": "/lab/a"}, {"path": "/lab"}, {"path": "/labs/a"}, {"type": "x"}):
        asyncio.run(under(scope, None, None))
    assert seen == [{"path": "/a"}, {"path": "/lab"}, {"path": "/labs/a"}, {"type": "x"}]


def connection(at_work=False):
    one = Named("connection", ended=0)
    one.is_at_work = lambda: at_work
    one.__class__ = type("C", (Named,), {"__hash__": object.__hash__, "__eq__": object.__eq__})
    one.end = lambda: setattr(one, "ended", one.ended + 1)
    return one


def test_the_oldest_that_is_not_at_work_makes_room():
    places = Connections(2)
    busy, idle, new, more = connection(True), connection(), connection(True), connection(True)
    places.add(busy)
    places.add(idle)
    assert len(places) == 2 and not idle.ended
    places.add(new)
    assert (busy.ended, idle.ended, new.ended, len(places)) == (0, 1, 0, 2)
    places.add(more)
    assert (more.ended, len(places)) == (1, 2)
    places.drop(more)
    places.drop(busy)
    assert len(places) == 1 and Connections().most == 512


def test_a_connection_is_at_work_from_its_request_to_its_answer():
    at_work = connections.GuardedProtocol.is_at_work
    for cycle, paused, expected in (
        (None, False, False),
        ((False, False), False, True),
        ((True, False), False, False),
        ((False, True), False, False),
        ((False, False), True, False),
    ):
        about = cycle and SimpleNamespace(response_complete=cycle[0], more_body=cycle[1])
        one = SimpleNamespace(cycle=about, flow=SimpleNamespace(write_paused=paused))
        assert at_work(one) is expected
    aborted = []
    one = SimpleNamespace(transport=SimpleNamespace(abort=lambda: aborted.append(1)))
    connections.GuardedProtocol.end(one)
    assert aborted == [1]


def test_the_time_for_a_head_begins_once_and_ends():
    waits, cancelled = [], []
    timer = SimpleNamespace(cancel=lambda: cancelled.append(1))
    loop = SimpleNamespace(call_later=lambda *given: waits.append(given) or timer)
    one = SimpleNamespace(_deadline=None, loop=loop, end="end")
    protocol = connections.GuardedProtocol
    for _ in range(2):
        protocol._expect_head(one)
    assert waits == [(10.0, "end")]
    for _ in range(2):
        protocol._stop_waiting(one)
    lost = []
    protocol = connections.GuardedProtocol.__new__(connections.GuardedProtocol)
    protocol.places = SimpleNamespace(drop=lost.append)
    protocol._deadline = SimpleNamespace(cancel=lambda: lost.append("cancelled"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            connections.H11Protocol, "connection_lost", lambda self, exc: lost.append(exc)
        )
        protocol.connection_lost("why")
    assert lost == [protocol, "cancelled", "why"] and protocol._deadline is None
    assert cancelled == [1] and one._deadline is None


@pytest.mark.parametrize(
    ("soft", "hard", "files", "set_to"),
    [
        (256, 8192, 4096, (4096, 8192)),
        (256, 1000, 1000, (1000, 1000)),
        (256, -1, 4096, (4096, -1)),
        (4096, 8192, 4096, None),
        (9000, 9000, 9000, None),
        (-1, -1, 1024, None),
    ],
)
def test_files_that_may_be_open(monkeypatch, soft, hard, files, set_to):
    changes = []
    own = SimpleNamespace(
        RLIMIT_NOFILE=resource.RLIMIT_NOFILE,
        RLIM_INFINITY=-1,
        getrlimit=lambda which: (soft, hard),
        setrlimit=lambda which, values: changes.append(values),
    )
    monkeypatch.setattr(connections, "resource", own)
    assert connections.raise_file_limit() == files
    assert changes == ([set_to] if set_to else [])
    changes.clear()
    assert connections.guarded_protocol(100_000).places.most == files // 2
    assert connections.guarded_protocol(7).places.most == 7
    assert connections.guarded_protocol().places.most == min(512, files // 2)


def record(message):
    return logging.LogRecord("x", logging.WARNING, "f", 1, message, (), None)


def test_messages_of_a_kind_are_let_through_now_and_then():
    clock = Clock()
    log = SampledLog(clock=clock)
    assert [log.filter(record("a")) for _ in range(22)] == [True] * 20 + [False] * 2
    clock.s += 4.9
    assert not log.filter(record("a"))
    clock.s += 0.2
    assert log.filter(record("a")) and not log.filter(record("a"))
    clock.s += 1e6
    assert sum(log.filter(record("a")) for _ in range(30)) == 20
    alike = "x" * 40
    assert sum(log.filter(record(f"{alike}{number}")) for number in range(30)) == 20
    log = SampledLog(clock=clock)
    for number in range(257):
        log.filter(record(str(number)))
    assert len(log._left) == 257
    log.filter(record("one more"))
    assert len(log._left) == 1


def test_what_the_server_logs_is_sampled_once(monkeypatch):
    own = {name: logging.Logger(name) for name in ("uvicorn.error", "asyncio")}
    monkeypatch.setattr(connections, "logging", SimpleNamespace(getLogger=own.get))
    for _ in range(2):
        connections.sample_logs()
    assert [len(one.filters) for one in own.values()] == [1, 1]


def test_addresses_to_listen_on():
    found = [server.host_and_port(one) for one in (":80", "h:65535", "[::1]:0", "[::]:1")]
    assert found == [("127.0.0.1", 80), ("h", 65535), ("::1", 0), ("::", 1)]
    for wrong in ("h:65536", "h:", "h", "::1:80", "[::1:80", "::1]:80", "h:٣", "h:1a", "h:-1"):
        with pytest.raises(CytostreamError) as refused:
            server.host_and_port(wrong)
        assert refused.value.what == f"{wrong}: no address to listen on"
        assert refused.value.hint == (
            "give HOST:PORT with a number, as 127.0.0.1:8080 or [::1]:8080"
        )
    hosts = {"lab.example"}
    for header in ("lab.example", "LAB.example:80", "127.0.0.1", "[::1]:9", "10.0.0.1:8"):
        assert server.is_own_host(header, hosts)
    for header in ("evil.example", "lab.example:x", "lab.example.evil", "", "::1"):
        assert not server.is_own_host(header, hosts)


def test_an_address_is_tried_first(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CytostreamError) as refused:
            server.check_address(f"127.0.0.1:{port}")
    assert refused.value.what == f"127.0.0.1:{port}: cannot be listened on: Address already in use"
    assert refused.value.hint == "is the port free, and the address this machine's?"
    server.check_address(f"127.0.0.1:{port}")
    recorded = Recorded(monkeypatch)
    recorded.put(socket, "getaddrinfo", [(1, 2, 3, "", ("place", 7)), "another"])
    tried = Named("socket", bind=recorded.function("bind"))
    tried.setsockopt = recorded.function("setsockopt")
    recorded.context(socket, "socket", tried)
    server.check_address("h:7")
    stream, passive = int(socket.SOCK_STREAM), int(socket.AI_PASSIVE)
    option = f"{int(socket.SOL_SOCKET)}, {int(socket.SO_REUSEADDR)}, 1"
    settled = [line.replace(repr(socket.SOCK_STREAM), str(stream)) for line in recorded.lines]
    settled = [line.replace(repr(socket.AI_PASSIVE), str(passive)) for line in settled]
    assert settled == [
        f"getaddrinfo('h', 7, type={stream}, flags={passive})",
        "socket(1, 2, 3)",
        f"setsockopt({option})",
        "bind(['place', 7])",
        "socket ends",
    ]


def test_a_server_beside_the_work(monkeypatch):
    recorded = Recorded(monkeypatch)
    recorded.put(server, "check_address")
    recorded.put(server, "sample_logs")
    recorded.put(server, "guarded_protocol", "protocol")
    made = recorded.function("Config", "config")
    monkeypatch.setattr(uvicorn, "Config", made)
    states = itertools.cycle(["starts", "fails"])

    class Server:
        def __init__(self, config):
            self.started, self.should_exit = False, False
            self.ended = threading.Event()
            self.state = next(states)

        def run(self):
            thread = threading.current_thread()
            recorded.lines.append(f"{thread.name}, daemon {thread.daemon}")
            if self.state == "fails":
                raise SystemExit(3)
            self.started = True
            while not self.should_exit:
                self.ended.wait(0.001)
            recorded.lines.append("the server ends")

    monkeypatch.setattr(uvicorn, "Server", Server)
    with server.serving(Named("app"), "127.0.0.1:80", "intake"):
        pass
    with pytest.raises(CytostreamError) as refused, server.serving(Named("app"), ":80", "x"):
        pass
    recorded.lines.append(f"{refused.value.what} -> {refused.value.hint}")
    approved(__file__, "serving", "\n".join(recorded.lines))


def test_a_socket_of_the_proxy(tmp_path, monkeypatch):
    def refused(path):
        with pytest.raises(CytostreamError) as told, unix_socket.open_socket(path):
            pass
        return f"{told.value.what} -> {told.value.hint}"

    hint = "give a path in a folder that only this account and the proxy can reach"
    absent = tmp_path / "no" / "s"
    assert refused(absent) == f"{absent.parent}: No such file or directory -> {hint}"
    (tmp_path / "f").touch()
    assert refused(tmp_path / "f") == f"{tmp_path / 'f'}: something else is there -> {hint}"
    long = tmp_path / ("x" * 200)
    assert refused(long) == (
        f"{long}: cannot be listened on: AF_UNIX path too long -> "
        "choose another review.proxy_socket"
    )
    with unix_socket.open_socket(tmp_path / "s") as listening:
        listening.listen()
        assert refused(tmp_path / "s") == (
            f"{tmp_path / 's'}: a process listens there -> "
            "end it, or choose another review.proxy_socket"
        )
        (tmp_path / "s").unlink()  # by somebody else
    group = SimpleNamespace(st_gid=7)
    monkeypatch.setattr(Path, "stat", lambda path: group)
    monkeypatch.setattr(unix_socket.grp, "getgrgid", lambda number: {}[number])
    assert unix_socket.group_of(Path("s")) == "7"
