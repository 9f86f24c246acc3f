"""The HTTP interface of the intake: who may announce what, and what becomes of it."""

import json
import socket
import stat
import time

import pytest
from starlette.testclient import TestClient

from ingest import CytostreamError
from stream.config import BacklogSettings as Rules
from stream.http import check_address, host_and_port, limits
from stream.intake import http
from stream.intake.http import (
    Guard,
    Served,
    intake_token,
    make_intake_app,
    open_intake,
    read_token,
)
from stream.store.backlog import Backlog

TOKEN = "0123456789abcdef"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def backlog(outbox):
    return Backlog(outbox, Rules())


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    for below in ("quarantine", "results"):
        (folder / below).mkdir(parents=True)
    (folder / "a.svs").write_text("slide")
    (folder / "notes.txt").write_text("no slide")
    (folder / "results" / "state.db").write_text("store")
    (folder / "results" / "b.svs").write_text("slide")
    (folder / "quarantine" / "c.svs").write_text("slide")
    (tmp_path / "secret.svs").write_text("outside")
    (folder / "link.svs").symlink_to(tmp_path / "secret.svs")
    return folder


@pytest.fixture
def app(backlog, scans):
    served = Served((scans,), (scans / "quarantine", scans / "results"))
    return make_intake_app(backlog, served, Guard(TOKEN, ["localhost"]))


@pytest.fixture
def client(app):
    return TestClient(app, "http://localhost", headers=AUTHORIZED)


def test_an_announced_slide_waits_and_can_be_asked_for(client, backlog, scans):
    slide = {"path": str(scans / "a.svs"), "priority": "stat", "mpp": 0.25}
    said = client.post("/slides", json=slide)
    assert said.status_code == 202 and said.json()["state"] == "waiting"
    assert [(job.priority, job.mpp, job.root) for job in backlog.jobs()] == [(10, 0.25, scans)]
    backlog.finish(backlog.next(), "s1", 1.0)
    assert client.get(f"/slides/{said.json()['number']}").json()["slide_id"] == "s1"
    again = client.post("/slides", json={"path": str(scans / "a.svs")})
    assert again.json()["state"] == "done"
    assert client.get("/slides/99").status_code == 404


def test_what_is_stated_of_a_slide_waits_with_it(client, backlog, scans):
    slide = {"path": str(scans / "a.svs"), "specimen": {"accession": " S26-1 ", "order": "O1"}}
    assert client.post("/slides", json=slide).status_code == 202
    assert backlog.jobs()[0].announced == '{"accession": "S26-1", "order": "O1"}'
    client.post("/slides", json={"path": str(scans / "a.svs")})  # who states nothing takes nothing
    assert backlog.jobs()[0].announced
    backlog.finish(backlog.next(), "s1", 1.0)
    client.post("/slides", json={**slide, "specimen": {"accession": "S26-2"}})
    (claim,) = backlog.outbox.claims("s1")
    assert (claim.source, claim.identity.accession) == ("intake", "S26-2")


@pytest.mark.parametrize("specimen", [{"accession": "x" * 65}, {"ward": "3"}, {"order": "a\nb"}])
def test_what_can_be_no_code_is_refused(client, backlog, scans, specimen):
    slide = {"path": str(scans / "a.svs"), "specimen": specimen}
    assert client.post("/slides", json=slide).status_code == 422 and not backlog.jobs()


OUTSIDE = [
    "../secret.svs",
    "link.svs",
    "/etc/passwd",
    "",
    "a\0b",
    "x" * 5000,
    "\ud800.svs",
    "notes.txt",
    "results/state.db",
    "results/b.svs",
    "quarantine/c.svs",
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_what_is_no_slide_of_its_folders_is_not_queued(client, backlog, scans, path):
    for tried in (path, f"{scans}/{path}"):
        body = json.dumps({"path": tried})
        said = client.post("/slides", content=body, headers={"Content-Type": "application/json"})
        assert said.status_code in (403, 404)
        assert str(scans) not in said.text
    assert backlog.jobs() == []


def test_a_part_is_announced_as_its_slide(client, backlog, scans):
    (scans / "s.vms").write_text("[Virtual Microscope Specimen]\nImageFile=s(0,0).jpg\n")
    (scans / "s(0,0).jpg").write_text("pixels")
    assert client.post("/slides", json={"path": str(scans / "s(0,0).jpg")}).status_code == 202
    assert [job.path.name for job in backlog.jobs()] == ["s.vms"]


def test_an_answer_names_no_file(client, backlog, scans):
    client.post("/slides", json={"path": str(scans / "a.svs")})
    backlog.give_up(backlog.next(), f"{scans}/a.svs: damaged")
    said = client.get("/slides/1")
    assert said.json()["reason"] and "a.svs" not in said.text and str(scans) not in said.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"path": 7},
        {"path": "a", "SECRET-colour": "blue"},
        {"path": "a", "mpp": 353},
        {"path": "a", "\ud800": 1},
    ],
)
def test_what_is_no_announcement_says_so_and_repeats_no_value(client, body):
    text = json.dumps(body)
    said = client.post("/slides", content=text, headers={"Content-Type": "application/json"})
    assert said.status_code == 422 and "353" not in said.text and "blue" not in said.text


@pytest.mark.parametrize("number", ["0", "-1", "abc", "9" * 20, "9" * 5000, "1.5", "%00"])
def test_a_number_that_makes_no_sense_is_no_slide(client, number):
    assert client.get(f"/slides/{number}").status_code in (404, 422)


@pytest.mark.parametrize("page", ["/docs", "/redoc", "/openapi.json"])
def test_no_page_describes_it(client, page):
    assert client.get(page).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer 0123456789abcdeF"}, 401),
        ({"Host": "evil.example"}, 400),
        ({"Host": "evil.example:80"}, 400),
        ({"Host": ""}, 400),
        ({"Host": "127.0.0.1:8080"}, 404),
        ({"Host": "[::1]:8080"}, 404),
        ({"Host": "LOCALHOST"}, 404),
        ({"Origin": "http://localhost"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_a_web_page_or_a_stranger_is_refused(client, headers, status):
    assert client.get("/slides/1", headers=headers).status_code == status


def test_a_large_body_of_a_stranger_is_not_read(app):
    read = []

    def body():
        for _ in range(100):
            read.append(1)
            yield b"x" * 1_000_000

    stranger = TestClient(app, "http://localhost")
    assert stranger.post("/slides", content=body()).status_code == 401
    known = TestClient(app, "http://localhost", headers=AUTHORIZED)
    long = known.post("/slides", content=b"x" * 20_000)
    assert long.status_code == 413


def test_too_many_requests_wait(backlog, monkeypatch):
    monkeypatch.setattr(http, "REQUESTS_PER_S", 0.5)  # and so two at once
    app = make_intake_app(backlog, Served(()), Guard(TOKEN, ["localhost"]))
    client = TestClient(app, "http://localhost", headers=AUTHORIZED)
    assert [client.get("/slides/1").status_code for _ in range(4)] == [404, 404, 429, 429]


def test_a_token_is_made_once_readable_by_its_owner_alone(tmp_path):
    made = []
    token = intake_token(None, tmp_path, lambda path, text: made.append((path, text)))
    assert made == [(tmp_path / "intake.token", token)] and len(token) >= 32
    assert stat.S_IMODE((tmp_path / "intake.token").stat().st_mode) == 0o600
    assert intake_token(None, tmp_path, lambda *_: made.append(None)) == token and len(made) == 1
    (tmp_path / "short").write_text("abc")
    with pytest.raises(CytostreamError, match="fewer than 16"):
        read_token(tmp_path / "short")
    with pytest.raises(CytostreamError, match="cannot be read"):
        intake_token(tmp_path / "none", tmp_path, lambda *_: None)


@pytest.fixture
def served_at(backlog, scans):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open_intake(f"127.0.0.1:{port}", backlog, Served((scans,)), TOKEN):
        yield port


def ask(port):
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        head = f"GET /slides/1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}"
        one.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode())
        return one.recv(100).split(b" ")[1]


def test_it_answers_while_many_connections_are_half_open(served_at):
    half_open = []
    try:
        for _ in range(200):
            one = socket.create_connection(("127.0.0.1", served_at), 10)
            one.sendall(b"POST /slides HTTP/1.1\r\nHost: lo")
            half_open.append(one)
        before_s = time.monotonic()
        assert ask(served_at) == b"404"
        assert time.monotonic() - before_s < 5
    finally:
        for one in half_open:
            one.close()


def test_a_body_that_does_not_come_is_given_up(app, monkeypatch):
    monkeypatch.setattr(limits.Body.__init__, "__defaults__", (0.05,))
    messages = []

    async def receive():
        await limits.asyncio.sleep(60)

    async def send(message):
        messages.append(message)

    headers = [
        (b"host", b"localhost"),
        (b"authorization", f"Bearer {TOKEN}".encode()),
        (b"content-length", b"10"),
        (b"content-type", b"application/json"),
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/slides",
        "raw_path": b"/slides",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
    }
    limits.asyncio.run(app(scope, receive, send))
    assert messages and messages[0]["status"] == 408


@pytest.mark.parametrize("address", [":0", "127.0.0.1:0", "localhost:0"])
def test_an_address_of_this_machine_is_listened_on(backlog, address):
    check_address(address)


def test_an_ipv6_address_stands_in_brackets():
    assert host_and_port("[::1]:8080") == ("::1", 8080)
    assert host_and_port(":8080") == ("127.0.0.1", 8080)


def test_an_address_that_is_taken_is_one_line(backlog):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(CytostreamError, match="cannot be listened on: Address already in use"):
            check_address(f"127.0.0.1:{taken.getsockname()[1]}")


WRONG_ADDRESSES = ["127.0.0.1", "127.0.0.1:http", "127.0.0.1:99999", "::1:8080", "127.0.0.1:８０"]


@pytest.mark.parametrize("address", WRONG_ADDRESSES)
def test_an_address_without_a_port_is_refused(backlog, address):
    with (
        pytest.raises(CytostreamError, match="no address"),
        open_intake(address, backlog, Served(()), TOKEN),
    ):
        pass
