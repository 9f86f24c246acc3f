"""All that Prometheus reads of a small store, line by line: rules and dashboards rest on it."""

import re

import pytest
from prometheus_client.exposition import generate_latest

from stream.config import BacklogSettings, Config
from stream.config import Store as StoreSettings
from stream.identity import Identity, Order
from stream.monitoring import ProcessMetrics, StoreCollector, check_store_files
from stream.store import Backlog, FigureQueries, Job
from tests.approved import approved
from tests.stores import filled

VARIES = re.compile(r"^(\S*(bytes|oldest_seconds|created)\S*( \S+)?|\S+_created\{.*\}) \S+$", re.M)


@pytest.fixture
def made(tmp_path):
    made = filled(tmp_path / "store", cells=6, odd=2)
    with made.outbox.transaction() as tx:
        tx.put_order(Order(Identity("S26-1")))
        tx.put_order(Order(Identity("S26-2"), state="cancelled"))
        tx.set_status("s2", "failed")
        tx.set_status("s3", "running")
        tx.keep_refused_order("M1", "AE 101: no code", b"body")
    backlog = Backlog(made.outbox, BacklogSettings())
    backlog.add([Job(tmp_path / f"{number}.svs") for number in range(3)])
    backlog.finish(backlog.next(), "s2", 1.0)
    made.outbox.mark_sent("kafka:old", 4)
    made.outbox.put_aside("kafka:old", 5, "too large")
    yield made
    made.close()


def test_the_figures(made):
    metrics = ProcessMetrics("0.1.0")
    queries = FigureQueries(made.store / "state.db")
    metrics.registry.register(StoreCollector({"results": queries}, {"results": ["jsonl:new"]}))
    for stage, seconds in (("read", 0.02), ("read", 0.021), ("find", 59.0), ("slide", 61.0)):
        metrics.stages.labels(stage).observe(seconds)
    metrics.cells.inc(5)
    metrics.ended.labels("done").inc()
    metrics.workers.set(2)
    text = generate_latest(metrics.registry).decode()
    text = VARIES.sub(lambda line: f"{line[0].rpartition(' ')[0]} ...", text)
    queries.close()
    approved(__file__, "metrics", text)


def test_the_room_on_the_disk_is_a_check(made):
    queries = FigureQueries(made.store / "state.db")
    free_gb = queries.figures().disk_free_bytes / 1e9
    for wanted, says in (
        (0.0, ""),
        (free_gb * 0.9, ""),
        (free_gb * 1.1, "the disk has less free than store.free_gb"),
    ):
        settings = Config(store=StoreSettings(free_gb=wanted))
        assert check_store_files(made.store, settings, queries) == says
    queries.close()
