"""The STOW-RS sink keeps the contract of all sinks; a DICOM server keeps an instance once by its
UID. The server here reads the parts with the standard library and instances with pydicom.
"""

import io
import json
import threading
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from stream.config import Config, LisSettings
from stream.events.codec import from_line, to_line
from stream.lis import StowSink, http_sink
from stream.review.report.dicom import uid_of
from stream.sinks import EventRefusedError, SinkError
from tests.contracts.sink_contract import SinkContract, records


class Server(HTTPServer):
    """Keeps each instance by its UID; answers as `codes` say, then 200; refuses those of
    `failing` in an answer of success.
    """

    def __init__(self):
        self.kept, self.codes, self.asked, self.failing = {}, [], [], False
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/dicom-web"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers)))
        code = self.server.codes.pop(0) if self.server.codes else 200
        answer = {"00081198": {"vr": "SQ"}}  # a list may be there, and empty
        if code == 200:
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            whole = message_from_bytes(head + body, policy=policy.HTTP)
            for part in whole.iter_parts():
                assert part.get_content_type() == "application/dicom"
                instance = pydicom.dcmread(io.BytesIO(part.get_payload(decode=True)))
                if self.server.failing:
                    answer["00081198"] = {"vr": "SQ", "Value": [{}]}
                else:
                    self.server.kept[instance.SOPInstanceUID] = instance
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps({**answer, "text": "Anna Ito"}).encode())

    def log_message(self, *_):
        pass


def as_instance(record):
    """Any event as an instance, for the contract's sake."""
    instance = Dataset()
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.SOPClassUID = "1.2.840.10008.5.1.4.1.1.91.1"
    instance.SOPInstanceUID = uid_of(record.id)
    instance.TextValue = to_line(record.event)
    out = io.BytesIO()
    instance.save_as(out, enforce_file_format=True)
    return out.getvalue()


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
    return lambda **more: StowSink(LisSettings(stow_to=server.url, **more), as_instance)


@pytest.fixture
def received(server):
    return lambda: [from_line(instance.TextValue) for instance in server.kept.values()]


class TestStowSink(SinkContract):
    pass


@pytest.mark.parametrize("code", [400, 409, 415])
def test_what_the_server_will_never_take_is_put_aside_without_its_words(server, open_sink, code):
    server.codes = [code]
    with pytest.raises(EventRefusedError) as refused:
        open_sink().send(records(1, 1))
    assert str(code) in refused.value.reason and "Anna" not in refused.value.reason


def test_an_instance_that_a_server_lists_as_failed_is_put_aside(server, open_sink):
    server.failing = True
    with pytest.raises(EventRefusedError, match="has not kept it"):
        open_sink().send(records(1, 1))


@pytest.mark.parametrize("code", [401, 429, 503])
def test_what_time_or_a_person_mends_is_tried_again(server, open_sink, code):
    server.codes = [code]
    sink = open_sink()
    with pytest.raises(SinkError, match=str(code)):
        sink.send(records(1, 1))
    sink.send(records(1, 1))
    assert len(server.kept) == 1


def test_it_asks_for_the_studies_with_the_token_of_the_file(server, open_sink, tmp_path):
    (tmp_path / "token").write_text("one\n")
    open_sink(stow_token_file=tmp_path / "token").send(records(1, 1))
    ((path, headers),) = server.asked
    assert path == "/dicom-web/studies" and headers["Authorization"] == "Bearer one"
    missing = open_sink(stow_token_file=tmp_path / "absent")
    with pytest.raises(SinkError) as refused:
        missing.send(records(1, 1))
    assert refused.value.hint == "check lis.stow_token_file"


def test_other_machines_need_tls_and_the_package_is_named(monkeypatch):
    with pytest.raises(ValueError, match="without TLS"):
        Config(lis={"stow_to": "http://pacs.lab.example/dicom-web"})
    assert Config(lis={"stow_to": "https://pacs.lab.example/dicom-web"})
    monkeypatch.setattr(http_sink, "find_spec", lambda _: None)
    with pytest.raises(SinkError) as refused:
        StowSink(LisSettings(stow_to="http://127.0.0.1:9"), as_instance)
    assert "cytostream[dicom]" in refused.value.hint
