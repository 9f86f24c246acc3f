"""Figures and health as Prometheus sees them: complete, true, without a name, and closed by
default.
"""

import json
import logging
import urllib.request
from collections import Counter
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from ingest import CytostreamError
from stream.cli.json_logs import JsonLines
from stream.cli.observing import observing
from stream.config import BacklogSettings, Config, MonitoringSettings, Store
from stream.events import Progress
from stream.identity import Identity, Order
from stream.monitoring import METRIC_NAMES, Health, ProcessMetrics, StoreCollector
from stream.monitoring.server import make_monitoring_app
from stream.run import SlideOutcome
from stream.run.context import RunContext
from stream.store import Backlog, FigureQueries, Job
from tests.stores import filled
from tests.stream.making import STAMP, make_slide


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab") / "store"
    made = filled(folder, cells=6, odd=2, name="Smith John.tiff")
    with made.outbox.transaction() as tx:
        tx.put_order(Order(Identity("S26-1", patient_name="Anna Ito")))
    Backlog(made.outbox, BacklogSettings()).add([Job(folder / "Smith John.svs")])
    made.outbox.mark_sent("kafka:old", 1)
    made.close()
    return folder


def asked(registry, health=None, **headers):
    app = make_monitoring_app(registry, health or Health(), ["lab.example"])
    return TestClient(app, "http://127.0.0.1", headers=headers)


def samples(text):
    families = text_string_to_metric_families(text)
    return {(s.name, *s.labels.values()): s.value for f in families for s in f.samples}


@pytest.fixture
def metrics(store):
    made = ProcessMetrics("0.1.0")
    queries = FigureQueries(store / "state.db")
    made.registry.register(StoreCollector({"results": queries}, {"results": ["jsonl:new"]}))
    yield made
    queries.close()


def test_every_name_is_exported_and_no_other(metrics):
    metrics.ended.labels("done").inc()
    metrics.stages.labels("read").observe(0.1)
    metrics.engine.info({"name": "fake"})
    metrics.relay_up.labels("kafka").set(1)
    found = samples(asked(metrics.registry).get("/metrics").text)
    names = {name for name, *_ in found if not name.endswith("_created")}
    assert names == METRIC_NAMES and all(name.startswith("cytostream_") for name in names)


def test_the_figures_are_those_of_the_store(metrics):
    text = asked(metrics.registry).get("/metrics").text
    found = samples(text)
    assert found["cytostream_slides", "done"] == 1
    assert found["cytostream_orders", "open"] == 1
    assert found["cytostream_alerts", "cell"] == 2
    assert found["cytostream_outbox_events", "results", "kafka:old"] > 6
    assert (
        found["cytostream_outbox_events", "results", "jsonl:new"]
        > found["cytostream_outbox_events", "results", "kafka:old"]
    )
    assert found["cytostream_outbox_oldest_seconds", "results", "kafka:old"] >= 0
    assert found["cytostream_disk_free_bytes",] > 0
    assert not any(word in text for word in ("Smith", "Anna", "S26-1"))


def test_a_store_that_is_gone_is_a_figure_too(tmp_path):
    metrics = ProcessMetrics("0.1.0")
    (tmp_path / "state.db").touch()
    queries = FigureQueries(tmp_path / "state.db")
    (tmp_path / "state.db").unlink()
    metrics.registry.register(StoreCollector({"results": queries}, {}))
    found = samples(asked(metrics.registry).get("/metrics").text)
    assert found["cytostream_store_up",] == 0
    queries.close()


def test_health_says_what_fails_without_naming_a_file():
    health = Health()
    client = asked(ProcessMetrics("0").registry, health)
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    health.started()
    assert client.get("/readyz").json() == {"status": "ready", "failing": {}}
    health.add("store", lambda: "the store cannot be read")
    said = client.get("/readyz")
    assert said.status_code == 503 and said.json()["failing"] == {
        "store": "the store cannot be read"
    }


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "lab.example:9464"}, 200),
        ({"Host": "evil.example"}, 400),
        ({"Origin": "http://evil.example"}, 403),
    ],
)
def test_no_web_page_reads_it(metrics, headers, status):
    assert asked(metrics.registry, **headers).get("/metrics").status_code == status


def test_nothing_listens_unless_it_is_configured(store, monkeypatch):
    monkeypatch.setattr("stream.http.server.serving", None)
    with observing(store, Config(), {}) as observer:
        lab = SimpleNamespace()
        assert observer.of(lab) is lab
        observer.ready()


def test_a_process_counts_what_it_does(store, unused_tcp_port):
    address = f"127.0.0.1:{unused_tcp_port}"
    config = Config(monitoring=MonitoringSettings(address=address), store=Store(free_gb=0))
    slide = make_slide()
    relay = SimpleNamespace(name="kafka:new", trouble=None)
    engine = SimpleNamespace(name="fake", precision="f32")
    workers = SimpleNamespace(count=3)
    lab = RunContext(config, None, engine, workers, None, store, STAMP)
    with observing(store, config, {"results": [relay]}) as observer:
        assert b"not started" in fetched(f"http://{address}/readyz")
        observer.ready()
        watched = observer.of(lab)
        for cells in (10, 14, 30):  # the first ten are an earlier run's
            watched.on_progress(slide, Progress(cells=cells, tiles_done=cells // 10), Counter())
        watched.on_stage("read", 0.2)
        observer.ended(SlideOutcome(slide, "done", Counter(), Progress()))
        relay.trouble = CytostreamError("the broker is away")
        found = samples(fetched(f"http://{address}/metrics").decode())
        assert b'"ready"' in fetched(f"http://{address}/readyz")
    assert found["cytostream_cells_total",] == 20 and found["cytostream_tiles_total",] == 2
    assert found["cytostream_slides_ended_total", "done"] == 1
    assert found["cytostream_stage_seconds_count", "slide"] == 1
    assert found["cytostream_workers",] == 3 and found["cytostream_relay_up", "kafka:new"] == 0


def fetched(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        return error.read()


@pytest.fixture
def unused_tcp_port():
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_line_of_the_log_has_the_ids_of_its_event():
    record = logging.LogRecord("stream.run", logging.INFO, "", 0, "slide is %s", ("done",), None)
    record.slide_id, record.event_id, record.status = "s1", "e1", "done"
    said = json.loads(JsonLines().format(record))
    assert said.pop("at").endswith("+00:00")
    assert said == {
        "level": "info",
        "logger": "stream.run",
        "message": "slide is done",
        "slide_id": "s1",
        "event_id": "e1",
        "status": "done",
    }
