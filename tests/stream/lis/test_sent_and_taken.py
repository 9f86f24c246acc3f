"""What is sent to a laboratory's system, byte by byte, and what is said of each of its answers;
sockets and servers that answer from here stand in the place of others.
"""

import asyncio
import http.client
import json
import logging
import socket
import ssl
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from ingest import CytostreamError
from stream.config import LisSettings
from stream.lis import FhirSink, MllpSink, StowSink, http_sink, listener
from stream.lis import sink as mllp
from stream.lis.acknowledgement import Answer, acknowledgement, read_answer
from stream.lis.hl7_text import escaped, iso_date, timestamp, unescaped
from stream.lis.listener import Connection, OrderTaker
from stream.lis.order_messages import Header, MessageError
from stream.sinks import EventRefusedError
from tests.approved import approved
from tests.recorded import Named, Recorded


def record(seq, control_id="0123456789abcdefghijklmn"):
    return Named(f"record {seq}", seq=seq, id=control_id)


@pytest.fixture
def recorded(monkeypatch):
    return Recorded(monkeypatch)


def hold(name, recorded):
    approved(__file__, name, "\n".join(recorded.lines))


def told(recorded, call):
    """What a call gives, or how it is refused."""
    try:
        recorded.lines.append(f"-> {call()!r}")
    except EventRefusedError as error:
        recorded.lines.append(f"-> refused: {error}")
    except CytostreamError as error:
        recorded.lines.append(f"-> {error.what} ({error.hint})")


class Line:
    """A connected socket that gives blocks, one after the other."""

    def __init__(self, recorded, blocks):
        self.recorded, self.blocks = recorded, blocks

    def __repr__(self):
        return "<line>"

    def __getattr__(self, name):
        return self.recorded.function(name)

    def recv(self, size):
        self.recorded.lines.append(f"recv({size})")
        block = self.blocks.pop(0)
        if isinstance(block, Exception):
            raise block
        return block


def answer(code="AA", control_id="0123456789abcdefghij", more=""):
    return f"\x0bMSH|^~\\&|LIS\rMSA|{code}|{control_id}\r{more}\x1c\r".encode()


def test_results_by_mllp(recorded, monkeypatch, caplog):
    blocks = []
    opened = recorded.function("create_connection", lambda *_: Line(recorded, blocks))
    monkeypatch.setattr(socket, "create_connection", opened)
    settings = LisSettings(results_to="127.0.0.1:2575", answer_s=3)
    make = recorded.function("make", lambda one, _: None if one.seq == 2 else b"message")
    sink = MllpSink(settings, make)
    assert sink.name == "mllp:127.0.0.1:2575 results"
    assert MllpSink(settings, make, "preliminary").name == "mllp:127.0.0.1:2575 preliminary"
    whole = answer()
    blocks += [whole]
    told(recorded, lambda: sink.send([record(1), record(2)]))
    told(recorded, lambda: sink.send([record(1), record(2)]))
    recorded.lines.append("--- late, in pieces, and two at once")
    blocks += [answer(control_id="earlier"), whole[:9], whole[9:-1], whole[-1:]]
    told(recorded, lambda: sink.send([record(3)]))
    blocks += [answer(control_id="earlier") + whole]
    told(recorded, lambda: sink.send([record(4)]))
    for name, given in (
        ("refused", [answer("AE", more="ERR|||204^Unknown|E")]),
        ("refused without a reason", [answer("CR")]),
        ("no frame", [b"x"]),
        ("ends", [b"\x0b", b""]),
        ("too long", [b"\x0b" + b"x" * 255_999, b"x"]),
        ("as long as may be", [b"\x0b" + b"x" * 255_999, OSError(110, "Connection timed out")]),
        ("no acknowledgement", [b"\x0bhello\x1c\r"]),
        ("gone", [TimeoutError()]),
        ("taken", [answer("CA")]),
    ):
        recorded.lines.append(f"--- {name}")
        blocks[:] = given
        told(recorded, lambda: sink.send([record(5)]))
        assert sink._read == b"" and not blocks, name
    with caplog.at_level(logging.INFO, "stream"):
        blocks += [whole]
        told(recorded, lambda: sink.send([record(6)]))
    taken = [(one.getMessage(), one.event_id, one.sink) for one in caplog.records]
    assert taken == [("result taken", record(6).id, sink.name)]
    sink.place()
    sink.close()
    sink.close()
    lines = [line if len(line) < 300 else "..." for line in recorded.lines]
    approved(__file__, "mllp", "\n".join(lines))


def test_a_secured_line(recorded, monkeypatch):
    made = Named("context", wrap_socket=recorded.function("wrap_socket", "secured"))
    made.load_cert_chain = recorded.function("load_cert_chain")
    recorded.put(ssl, "create_default_context", made)
    plain = Line(recorded, [])
    settings = Named("settings", results_to="lab:2575", results_ca=None)
    sink = MllpSink(settings, None)
    assert sink._secured(plain) is plain
    settings.results_ca, settings.results_certificate = Path("ca.pem"), None
    assert sink._secured(plain) == "secured"
    settings.results_certificate, settings.results_key = Path("c.pem"), Path("k.pem")
    sink._secured(plain)
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2

    def refuse(*_, **__):
        raise ssl.SSLError("no")

    made.wrap_socket = refuse
    with pytest.raises(ssl.SSLError):
        sink._secured(plain)
    hold("mllp_tls", recorded)


def test_results_by_http(recorded, monkeypatch, tmp_path, caplog):
    answers = []

    class Reply(Named):
        def __init__(self, status, body):
            super().__init__("reply", status=status, read=recorded.function("read", body))

    def asked():
        given = answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return Reply(*given)

    def connection(*_, **__):
        made = Named("connection", close=recorded.function("close"))
        made.request = recorded.function("request")
        made.getresponse = asked
        return made

    for name in ("HTTPConnection", "HTTPSConnection"):
        recorded.put(http_sink, name, connection)
    recorded.put(ssl, "create_default_context", "context")
    token = tmp_path / "token"
    token.write_text(" t1 \n")
    plain = LisSettings(fhir_to="http://127.0.0.1:80", answer_s=3)
    full = LisSettings(
        fhir_to="https://fhir.lab/base",
        fhir_token_file=token,
        fhir_ca=Path("ca.pem"),
        stow_to="https://pacs.lab/dicom-web/",
        stow_token_file=token,
    )
    monkeypatch.setattr(http_sink, "find_spec", recorded.function("find_spec", "spec"))
    body = recorded.function("make", lambda one: b"" if one.seq == 2 else b"body")
    sinks = [FhirSink(plain, body), FhirSink(full, body, "preliminary"), StowSink(full, body)]
    for sink in sinks:
        recorded.lines.append(f"--- {sink.name}")
        answers += [(200, b"")]
        told(recorded, lambda sink=sink: sink.send([record(1), record(2)]))
        told(recorded, lambda sink=sink: sink.send([record(1), record(2)]))
        sink.place()
        sink.close()
    recorded.lines.append("--- the token is exchanged")
    token.write_text("t2")
    answers += [(299, b"")]
    told(recorded, lambda: sinks[1].send([record(3)]))
    token.unlink()
    told(recorded, lambda: sinks[1].send([record(4)]))
    told(recorded, lambda: sinks[2].send([record(4)]))
    token.write_text("t3")
    recorded.lines.append("--- statuses")
    statuses = (199, 300, 399, 400, 401, 403, 404, 405, 408, 409, 412, 422, 425, 429, 499, 500)
    for sink in (sinks[0], sinks[2]):
        for status in statuses:
            answers += [(status, b"")]
            before = len(recorded.lines)
            told(recorded, lambda sink=sink: sink.send([record(5)]))
            recorded.lines[before:] = [f"{status} {recorded.lines[-1]}"]
    for error in (
        ConnectionRefusedError(111, "Connection refused"),
        http.client.BadStatusLine("x"),
        OSError("odd"),
    ):
        answers.append(error)
        told(recorded, lambda: sinks[0].send([record(6)]))
    recorded.lines.append("--- what a DICOM server has not kept")
    failed = {http_sink.FAILED_INSTANCES: {"vr": "SQ", "Value": [{}]}}
    none = {http_sink.FAILED_INSTANCES: {"vr": "SQ", "Value": []}}
    for said in (failed, [none, failed], none, [], {}, [1], {http_sink.FAILED_INSTANCES: 1}):
        answers += [(200, json.dumps(said).encode())]
        told(recorded, lambda: StowSink(full, body).send([record(7)]))
    for said in (b"none", b"[" * 100_000):
        answers += [(200, said)]
        told(recorded, lambda: StowSink(full, body).send([record(7)]))
    monkeypatch.setattr(http_sink, "find_spec", lambda name: None)
    told(recorded, lambda: StowSink(full, body))
    with caplog.at_level(logging.INFO, "stream"):
        answers += [(201, b"")]
        sinks[0].send([record(8)])
    taken = [(one.getMessage(), one.event_id, one.sink) for one in caplog.records]
    assert taken == [("result taken", record(8).id, sinks[0].name)]
    approved(__file__, "http_results", "\n".join(recorded.lines), token=token)


HEADER = Header(
    **{
        "control_id": "M|1",
        "sender": "LIS",
        "sender_facility": "Lab & Co",
        "event": "O33",
    }
)


def test_an_answer_whole(recorded):
    long = MessageError("AE", "204", "x" * 300)
    for error in (None, MessageError("AR", "207", "no order"), long):
        said = acknowledgement(HEADER, "own", error).decode().replace("\r", "\n")
        recorded.lines.append(said)
    hold("acknowledgements", recorded)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("MSH|\rMSA| AA | 1 |", Answer("AA", "1")),
        ("MSH|\nMSA|CA|1", Answer("CA", "1")),
        ("MSH|\rMSA|AE|1\rERR|||204^x|E", Answer("AE", "1", "204")),
        ("MSH|\rMSA|AR|1\rERR|||abc|E", Answer("AR", "1")),
        ("MSH|\rMSA|CE|1\rERR||", Answer("CE", "1")),
        ("MSH|\rMSA|CR|1\rERR|||9", Answer("CR", "1", "9")),
        ("MSH|\rMSA|AA|1\rMSA|AE|2", Answer("AA", "1")),
        ("MSA|AA|1", None),
        ("MSH|\rMSA|AA", None),
        ("MSH|\rMSA|XX|1", None),
        ("MSH|", None),
        ("MSH|" + "x" * 19_980 + "\rMSA|AA|1", Answer("AA", "1")),
        ("MSH|" + "x" * 19_990 + "\rMSA|AA|1", None),
    ],
)
def test_what_a_system_answers(lines, found):
    assert read_answer(lines.encode()) == found


def test_texts_of_hl7():
    marks = "a|b^c&d~e\\f"
    assert escaped(f" {marks}\n\x07 x ") == "a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f  x"
    assert unescaped(escaped(marks)) == marks
    for text, plain in (
        ("\\H\\bold\\N\\", "bold"),
        ("a\\F", "a\\F"),
        ("\\F\\\\S\\", "|^"),
        ("\\F\\\\S", "\\F\\\\S"),
        ("", ""),
    ):
        assert unescaped(text) == plain
    assert iso_date("20260102030405") == "2026-01-02" and iso_date("2026013x") == ""
    at = datetime.fromisoformat("2026-01-02T03:04:05+02:00")
    assert timestamp(at) == "20260102010405+0000"


def served(recorded, *blocks, answer=lambda frame: b"said " + frame):
    """What a caller is answered who sends these blocks and ends."""
    written = []

    class Writer:
        def write(self, data):
            written.append(data)

        async def drain(self):
            pass

        def close(self):
            written.append("closed")

        async def wait_closed(self):
            written.append("waited")
            raise ConnectionResetError

    async def call():
        reader = asyncio.StreamReader(limit=64)
        for block in blocks:
            reader.feed_data(block) if isinstance(block, bytes) else reader.set_exception(block)
        reader.feed_eof()
        await Connection(answer).serve(reader, Writer())

    asyncio.run(call())
    return written


def test_a_caller_is_answered_frame_by_frame(recorded):
    one, two = b"\x0bone\x1c\r", b"\x0btwo\x1c\r"
    end = ["closed", "waited"]
    first, second = b"\x0bsaid one\x1c\r", b"\x0bsaid two\x1c\r"
    assert served(recorded) == end
    assert served(recorded, b"noise" + one, b"\n" + two) == [first, second, *end]
    assert served(recorded, one + b"\x0bhalf") == [first, *end]
    assert served(recorded, one, ConnectionResetError()) == end
    large = served(recorded, b"\x0b" + b"x" * 400)
    assert large[1:] == end
    assert b"|AR|" in large[0] and b"more than 256000 bytes" in large[0] and b"100^" in large[0]


def test_how_long_a_caller_may_take(monkeypatch):
    waits = []

    async def wait_for(awaitable, limit_s):
        waits.append(limit_s)
        return await awaitable

    monkeypatch.setattr(
        listener,
        "asyncio",
        SimpleNamespace(**{**vars(asyncio), "wait_for": wait_for}),
    )
    served(None, b"\x0bone\x1c\r")
    assert waits == [600.0, 30.0, 30.0, 600.0]


def test_an_order_is_kept_or_refused(recorded, monkeypatch, caplog):
    outbox = Named("outbox")
    tx = Named("tx", put_order=recorded.function("put_order"))
    tx.keep_refused_order = recorded.function("keep_refused_order")
    outbox.transaction = None
    recorded.context(outbox, "transaction", tx)
    header = Named("header", control_id="M1")
    recorded.put(listener, "header_of", header)
    recorded.put(listener, "orders_of", Named("message", orders=["a", "b"]))
    recorded.put(
        listener,
        "acknowledgement",
        lambda header, own_id, error=None: f"{len(own_id)} {error and error.what}".encode(),
    )
    monkeypatch.setattr(listener.uuid, "uuid4", lambda: SimpleNamespace(hex="0123456789" * 3))
    taker = OrderTaker(outbox)

    def refuse(error):
        def raised(_):
            raise error

        recorded.put(listener, "orders_of", raised)

    with caplog.at_level(logging.INFO, "stream"):
        told(recorded, lambda: taker.take(b"frame"))
        refuse(MessageError("AE", "204", "no code"))
        told(recorded, lambda: taker.take(b"frame"))
        refuse(CytostreamError("the disk is full", ""))
        told(recorded, lambda: taker.take(b"frame"))
        refuse(MessageError("AE", "204", "no code"))

        def full():
            raise CytostreamError("the disk is full", "")

        outbox.transaction = full
        told(recorded, lambda: taker.take(b"frame"))
    for one in caplog.records:
        recorded.lines.append(
            f"{one.levelname}: {one.getMessage()}, {getattr(one, 'count', '')}, "
            f"{one.exc_info is not None}"
        )
    hold("orders_taken", recorded)


def test_the_listener_s_certificate(recorded, monkeypatch, tmp_path):
    made = Named("context", load_cert_chain=recorded.function("load_cert_chain"))
    made.load_verify_locations = recorded.function("load_verify_locations")
    recorded.put(ssl, "SSLContext", made)
    settings = Named("settings", listen_certificate=None, listen_key=Path("k"), listen_ca=None)
    assert listener.server_context(settings) is None
    settings.listen_certificate = Path("c")
    assert listener.server_context(settings) is made and not hasattr(made, "verify_mode")
    settings.listen_ca = Path("ca")
    listener.server_context(settings)
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2

    def absent(*_):
        raise OSError(2, "No such file")

    made.load_cert_chain = absent
    told(recorded, lambda: listener.server_context(settings))
    lines = [line.replace(repr(ssl.PROTOCOL_TLS_SERVER), "TLS server") for line in recorded.lines]
    approved(__file__, "listener_tls", "\n".join(lines))


def test_callers_are_never_too_many(recorded, monkeypatch):
    async def call():
        settings = Named("settings", listen="127.0.0.1:7")
        opened = Named("server", close=recorded.function("server.close"))

        async def start_server(called, *given, **named):
            recorded.function("start_server")(*given, **named)
            return opened

        monkeypatch.setattr(asyncio, "start_server", start_server)
        server = listener._Server(settings, "context", None)
        await server.open()
        waiting = asyncio.Event()

        async def serve(reader, writer):
            await waiting.wait()

        server._connection = SimpleNamespace(serve=serve)
        writers = [Named(f"{n}", close=recorded.function(f"close {n}")) for n in range(34)]
        tasks = [asyncio.create_task(server._called(None, writer)) for writer in writers]
        await asyncio.sleep(0)
        assert len(server._tasks) == 32 and sum(task.done() for task in tasks) == 2
        waiting.set()
        await asyncio.gather(*tasks)
        assert not server._tasks
        waiting.clear()
        last = asyncio.create_task(server._called(None, writers[0]))
        await asyncio.sleep(0)
        await server.close()
        assert last.cancelled()

    asyncio.run(call())
    hold("callers", recorded)
    assert mllp.CONTROL_ID_LETTERS == 20
