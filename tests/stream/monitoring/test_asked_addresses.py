"""Every answer of the three addresses, to whom, and the limits that stand before them."""

import socket
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, Gauge
from starlette.testclient import TestClient

from ingest import StoreError
from stream.config import Config
from stream.monitoring import Health, StoreCollector, check_store_files, health, server
from tests.approved import approved
from tests.recorded import Named, Recorded


def test_every_answer(monkeypatch):
    registry = CollectorRegistry()
    Gauge("up", "whether it is up", registry=registry).set(1)
    own = Health()
    own.add("store", lambda: "the store cannot be read")
    monkeypatch.setattr(server, "_REQUESTS_PER_S", 100.0)
    page = TestClient(server.make_monitoring_app(registry, own, ("Lab.example",)))
    lines = []
    plain = {"host": "lab.EXAMPLE:9000"}
    for path, headers in (
        ("/metrics", plain),
        ("/metrics", {**plain, "accept": "application/openmetrics-text; version=1.0.0"}),
        ("/healthz", {"host": "localhost"}),
        ("/healthz", {"host": "10.0.0.1"}),
        ("/readyz", plain),
        ("/none", plain),
        ("/healthz", {"host": "evil.example"}),
        ("/healthz", {**plain, "origin": "https://evil.example"}),
        ("/healthz", {**plain, "sec-fetch-site": "cross-site"}),
        ("/healthz", {**plain, "sec-fetch-site": "none"}),
        ("/healthz", {**plain, "content-length": "1001"}),
    ):
        said = page.request("GET", path, headers=headers)
        kind = said.headers.get("content-type")
        lines.append(f"{path} {headers}: {said.status_code} {kind}\n{said.text}")
    own.add("store", lambda: "")
    own.started()
    lines.append(f"{page.get('/readyz', headers=plain).status_code}")
    assert page.post("/healthz", headers=plain).status_code == 405
    approved(__file__, "answers", "\n".join(lines))


def test_how_it_is_opened(monkeypatch):
    recorded = Recorded(monkeypatch)
    recorded.put(server, "Bucket", "bucket")
    recorded.put(server, "Limits", "limits")
    server.make_monitoring_app(CollectorRegistry(), Health())
    recorded.put(server, "make_monitoring_app", "app")
    recorded.context(server, "serving")
    monkeypatch.setattr(socket, "gethostname", lambda: "lab1")
    monkeypatch.setattr(socket, "getfqdn", lambda: "lab1.example")
    settings = SimpleNamespace(address="10.0.0.1:9000", hosts=("metrics.example",))
    with server.open_monitoring(settings, Named("registry"), Named("health")):
        recorded.lines.append("served")
    approved(__file__, "opened", "\n".join(recorded.lines))


def test_a_store_that_can_be_read_and_written(monkeypatch, tmp_path):
    found = SimpleNamespace(disk_free_bytes=1e9)
    figures = SimpleNamespace(figures=lambda: found)
    asked = []
    monkeypatch.setattr(health, "can_write", lambda path: asked.append(path) or asked[0] == path)
    assert check_store_files(tmp_path, Config(), figures) == ""
    assert asked == [tmp_path / "state.db"]
    found.disk_free_bytes -= 1
    full = "the disk has less free than store.free_gb"
    assert check_store_files(tmp_path, Config(), figures) == full
    monkeypatch.setattr(health, "can_write", lambda path: False)
    assert check_store_files(tmp_path, Config(), figures) == "the store cannot be written"
    for error in (StoreError("gone", ""), OSError("gone")):

        def refuse(error=error):
            raise error

        figures.figures = refuse
        assert check_store_files(tmp_path, Config(), figures) == "the store cannot be read"
        (up,) = StoreCollector({"results": figures}, {}).collect()
        assert [(one.name, one.labels, one.value) for one in up.samples] == [
            ("cytostream_store_up", {}, 0)
        ]


def test_what_fails_is_named():
    own = Health()
    assert own.failing() == {"started": "not started yet"}
    own.started()
    own.add("a", lambda: "no a")
    own.add("b", lambda: "")
    assert own.failing() == {"a": "no a"}
    with pytest.raises(ZeroDivisionError):
        own.add("c", lambda: 1 / 0) or own.failing()
