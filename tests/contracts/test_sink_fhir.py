"""The FHIR sink keeps the contract of all sinks; a server keeps a resource once by its
identifier.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from stream.config import Config, LisSettings
from stream.events.codec import from_line, to_line
from stream.lis import FhirSink
from stream.sinks import EventRefusedError, SinkError
from tests.contracts.sink_contract import SinkContract, records


class Server(HTTPServer):
    """Keeps each entry of a transaction by its conditional address; answers as `codes` say, then
    200.
    """

    def __init__(self):
        self.kept, self.codes, self.asked = {}, [], []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/fhir"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers)))
        code = self.server.codes.pop(0) if self.server.codes else 200
        if code == 200:
            for entry in body["entry"]:
                self.server.kept[entry["request"]["url"]] = entry["resource"]
        self.send_response(code)
        self.end_headers()
        self.wfile.write(b'{"resourceType": "OperationOutcome", "text": "Anna Ito"}')

    def log_message(self, *_):
        pass


def as_bundle(record):
    """Any event as a transaction, for the contract's sake."""
    request = {"method": "PUT", "url": f"Basic?identifier={record.id}"}
    entry = {"request": request, "resource": {"line": to_line(record.event)}}
    return json.dumps({"entry": [entry]}).encode()


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def open_sink(server):
    return lambda **more: FhirSink(LisSettings(fhir_to=server.url, **more), as_bundle)


@pytest.fixture
def received(server):
    return lambda: [from_line(resource["line"]) for resource in server.kept.values()]


class TestFhirSink(SinkContract):
    pass


@pytest.mark.parametrize("code", [400, 413, 422])
def test_what_the_server_will_never_take_is_put_aside_without_its_words(server, open_sink, code):
    server.codes = [code]
    with pytest.raises(EventRefusedError) as refused:
        open_sink().send(records(1, 1))
    assert str(code) in refused.value.reason and "Anna" not in refused.value.reason


@pytest.mark.parametrize("code", [401, 429, 500, 503, 302])
def test_what_time_or_a_person_mends_is_tried_again(server, open_sink, code):
    server.codes = [code]
    sink = open_sink()
    with pytest.raises(SinkError, match=str(code)):
        sink.send(records(1, 1))
    sink.send(records(1, 1))
    assert len(server.kept) == 1


def test_it_shows_the_token_of_the_file(server, open_sink, tmp_path):
    (tmp_path / "token").write_text("one\n")
    sink = open_sink(fhir_token_file=tmp_path / "token")
    sink.send(records(1, 1))
    (tmp_path / "token").write_text("two\n")
    sink.send(records(2, 2))
    shown = [headers["Authorization"] for _, headers in server.asked]
    assert shown == ["Bearer one", "Bearer two"] and server.asked[0][0] == "/fhir"


def test_an_absent_server_is_said_in_one_line():
    settings = LisSettings(fhir_to="http://127.0.0.1:9/fhir")
    with pytest.raises(SinkError, match="refused"):
        FhirSink(settings, as_bundle).send(records(1, 1))


def test_other_machines_need_tls():
    with pytest.raises(ValueError, match="without TLS"):
        Config(lis={"fhir_to": "http://fhir.lab.example/fhir"})
    assert Config(lis={"fhir_to": "https://fhir.lab.example/fhir"})
    assert Config(lis={"fhir_to": "http://fhir.lab.example", "insecure": True})
