"""The figures that Prometheus reads: of the store when it asks, of the process as they arise.

Names and labels say nothing of a patient; `METRIC_NAMES` is what rules and dashboards may use.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest import CytostreamError
from stream.store import FigureQueries, SinkFigures, StoreFigures

STAGE_BUCKETS_S = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
# Of the store: name, what it is, its label, and the values.
_STORE: tuple[tuple[str, str, str, Callable[[StoreFigures], dict[str, float]]], ...] = (
    ("slides", "slides of the store", "status", lambda f: {**f.slides}),
    ("backlog_files", "files of the backlog", "state", lambda f: {**f.backlog}),
    ("orders", "orders of the worklist", "state", lambda f: {**f.orders}),
    ("refused_orders", "messages that were no order", "", lambda f: {"": f.refused_orders}),
    (
        "alerts",
        "alerts that were raised",
        "about",
        lambda f: {"cell": f.cell_alerts, "slide": f.slide_alerts},
    ),
    ("disk_free_bytes", "free on the disk of the store", "", lambda f: {"": f.disk_free_bytes}),
    ("state_file_bytes", "size of the state file", "", lambda f: {"": f.state_bytes}),
)

_SINKS: tuple[tuple[str, str, Callable[[SinkFigures], float]], ...] = (
    ("outbox_events", "events that wait for a sink", lambda s: s.waiting),
    (
        "outbox_oldest_seconds",
        "age of the oldest event that waits for a sink",
        lambda s: s.oldest_s,
    ),
    ("refused_events", "events that a sink will never take", lambda s: s.refused),
)


class StoreCollector(Collector):
    """Reads the store at each scrape; `cytostream_store_up` is 0 where it cannot be read.

    `outboxes` are the files whose events wait for sinks, by name: results and reviews; `sinks` are
    those of this process, which may have taken nothing yet.
    """

    def __init__(self, outboxes: Mapping[str, FigureQueries], sinks: Mapping[str, Sequence[str]]):
        self._outboxes = outboxes
        self._sinks = sinks

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("cytostream_store_up", "whether the store can be read")
        try:
            found = self._outboxes["results"].figures()
            waiting = {
                name: queries.sinks(self._sinks.get(name, ()))
                for name, queries in self._outboxes.items()
            }
        except (CytostreamError, OSError):
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        for name, text, label, values in _STORE:
            family = GaugeMetricFamily(f"cytostream_{name}", text, labels=[label] if label else [])
            for value, number in values(found).items():
                family.add_metric([value] if label else [], number)
            yield family
        for name, text, figure in _SINKS:
            family = GaugeMetricFamily(f"cytostream_{name}", text, labels=["outbox", "sink"])
            for outbox, by_sink in waiting.items():
                for sink, figures in by_sink.items():
                    family.add_metric([outbox, sink], figure(figures))
            yield family


class ProcessMetrics:
    """What this process counts itself, in a registry of its own."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self.cells = Counter("cytostream_cells", "cells that were judged", registry=own)
        self.tiles = Counter("cytostream_tiles", "tiles that were read", registry=own)
        self.ended = Counter(
            "cytostream_slides_ended", "slides that ended here", ["status"], registry=own
        )
        self.stages = Histogram(
            "cytostream_stage_seconds",
            "time of a stage of the work: read, find, commit, slide",
            ["stage"],
            buckets=STAGE_BUCKETS_S,
            registry=own,
        )
        self.engine = Info("cytostream_engine", "what runs the model", registry=own)
        self.workers = Gauge("cytostream_workers", "processes that read tiles", registry=own)
        self.relay_up = Gauge(
            "cytostream_relay_up", "1 while a relay has no trouble", ["sink"], registry=own
        )
        build = Info("cytostream_build", "version of the program", registry=own)
        build.info({"version": version})


METRIC_NAMES = frozenset(
    {"cytostream_store_up", *(f"cytostream_{name}" for name, *_ in (*_STORE, *_SINKS))}
    | {
        "cytostream_cells_total",
        "cytostream_tiles_total",
        "cytostream_slides_ended_total",
        "cytostream_stage_seconds_bucket",
        "cytostream_stage_seconds_count",
        "cytostream_stage_seconds_sum",
        "cytostream_engine_info",
        "cytostream_workers",
        "cytostream_relay_up",
        "cytostream_build_info",
    }
)
