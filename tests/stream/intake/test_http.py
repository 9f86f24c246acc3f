"""The HTTP door: who may announce what, and what becomes of it."""

import urllib.error
import urllib.request

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from ingest import CytostreamError
from stream.config import Backlog as Rules
from stream.intake.http import door_router, open_door, read_token
from stream.store.backlog import Backlog


@pytest.fixture
def backlog(outbox):
    return Backlog(outbox, Rules())


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "a.svs").write_text("slide")
    (tmp_path / "secret.txt").write_text("no slide")
    (folder / "link.svs").symlink_to(tmp_path / "secret.txt")
    return folder


@pytest.fixture
def client(backlog, scans):
    app = FastAPI()
    app.include_router(door_router(backlog, [scans]))
    return TestClient(app)


def test_an_announced_slide_waits_and_can_be_asked_for(client, backlog, scans):
    said = client.post(
        "/slides", json={"path": str(scans / "a.svs"), "priority": "stat", "mpp": 0.25}
    )
    assert said.status_code == 202 and said.json()["state"] == "waiting"
    assert [(job.priority, job.mpp) for job in backlog.jobs()] == [(10, 0.25)]
    backlog.finish(backlog.next(), "s1", 1.0)
    assert client.get(f"/slides/{said.json()['number']}").json()["slide_id"] == "s1"
    assert client.post("/slides", json={"path": str(scans / "a.svs")}).json()["state"] == "done"
    assert client.get("/slides/99").status_code == 404


@pytest.mark.parametrize(
    "path", ["../secret.txt", "link.svs", "/etc/passwd", "", "a\0b", "x" * 5000]
)
def test_outside_of_its_folders_it_serves_nothing(client, backlog, scans, path):
    for tried in (path, f"{scans}/{path}"):
        assert client.post("/slides", json={"path": tried}).status_code in (403, 404)
    assert backlog.jobs() == []


@pytest.mark.parametrize(
    "body", [{}, {"path": 7}, {"path": "a", "colour": "blue"}, {"path": "a", "mpp": 353}]
)
def test_what_is_no_announcement_says_so(client, body):
    assert client.post("/slides", json=body).status_code == 422


def test_served_on_the_loopback_with_a_token(backlog, scans, tmp_path, unused_port):
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    with open_door(f"127.0.0.1:{unused_port}", backlog, [scans], token) as url:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/slides/1", timeout=10)
        assert refused.value.code == 401
        refused.value.close()
        asked = urllib.request.Request(f"{url}/slides", f'{{"path": "{scans}/a.svs"}}'.encode())
        asked.add_header("Authorization", "Bearer 0123456789abcdef")
        asked.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert answer.status == 202


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_off_the_loopback_only_with_a_token(backlog, scans, tmp_path):
    with (
        pytest.raises(CytostreamError, match="needs a token"),
        open_door("0.0.0.0:0", backlog, [scans], None),
    ):
        pass
    (tmp_path / "short").write_text("abc")
    with pytest.raises(CytostreamError, match="fewer than 16"):
        read_token(tmp_path / "short")
