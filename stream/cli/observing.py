"""What a command lets be seen from outside while it works: figures, health, logs."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from ingest import Slide
from stream.config import Config
from stream.events import Progress
from stream.run import RunContext, SlideOutcome
from stream.sinks import Relay
from stream.store import FigureQueries, server_of

if TYPE_CHECKING:
    from stream.monitoring import Health, ProcessMetrics

OUTBOXES = {"results": "state.db", "reviews": "reviews.db"}


@dataclass(slots=True)
class Observer:
    """Counts what a run does; without a registry it counts nothing."""

    metrics: "ProcessMetrics | None" = None
    health: "Health | None" = None
    _seen: dict[str, Progress] = field(default_factory=dict)
    _begun_s: dict[str, float] = field(default_factory=dict)

    def ready(self) -> None:
        """All that the command needs is open."""
        if self.health:
            self.health.started()

    def of(self, lab: RunContext) -> RunContext:
        """The context of a run whose progress and stages are counted."""
        metrics = self.metrics
        if metrics is None:
            return lab

        def on_progress(slide: Slide, progress: Progress, counts: Counter[str]) -> None:
            self._count(slide.slide_id, progress)
            lab.on_progress(slide, progress, counts)

        def on_stage(stage: str, seconds: float) -> None:
            metrics.stages.labels(stage).observe(seconds)

        engine = {"name": lab.engine.name, "precision": lab.engine.precision}
        metrics.engine.info({**engine, "model": lab.stamp.model_hash})
        metrics.workers.set_function(lambda: lab.workers.count)
        return replace(lab, on_progress=on_progress, on_stage=on_stage)

    def ended(self, outcome: SlideOutcome) -> None:
        """A slide has ended."""
        if self.metrics is None:
            return
        self.metrics.ended.labels(outcome.status).inc()
        name = outcome.slide.slide_id if outcome.slide else ""
        self._seen.pop(name, None)
        if begun_s := self._begun_s.pop(name, None):
            self.metrics.stages.labels("slide").observe(monotonic() - begun_s)

    def _count(self, slide_id: str, progress: Progress) -> None:
        """The difference to the last progress; what an earlier run did is not counted."""
        if self.metrics is None:
            return
        before = self._seen.setdefault(slide_id, progress)
        self._begun_s.setdefault(slide_id, monotonic())
        self._seen[slide_id] = progress
        self.metrics.cells.inc(max(0, progress.cells - before.cells))
        self.metrics.tiles.inc(max(0, progress.tiles_done - before.tiles_done))


@contextmanager
def observing(
    store: Path, settings: Config, relays: Mapping[str, Sequence[Relay]]
) -> Iterator[Observer]:
    """Serves figures and health where the config says so; `relays` are those of this process by
    outbox: results, reviews.

    Raises:
        CytostreamError: the address cannot be listened on.
    """
    if not settings.monitoring.address:
        yield Observer()
        return
    from stream.monitoring import (
        Health,
        ProcessMetrics,
        StoreCollector,
        check_store_files,
        open_monitoring,
    )

    with ExitStack() as stack:
        queries = {
            name: FigureQueries(store / file)
            for name, file in OUTBOXES.items()
            if (store / file).is_file() or server_of(store)
        }
        for each in queries.values():
            stack.callback(each.close)
        metrics = ProcessMetrics(version("cytostream"))
        sinks = {name: [relay.name for relay in own] for name, own in relays.items()}
        metrics.registry.register(StoreCollector(queries, sinks))
        health = Health()
        health.add("store", lambda: check_store_files(store, settings, queries["results"]))
        for relay in (relay for own in relays.values() for relay in own):
            metrics.relay_up.labels(relay.name).set_function(is_up(relay))
        stack.enter_context(open_monitoring(settings.monitoring, metrics.registry, health))
        yield Observer(metrics, health)


def is_up(relay: Relay) -> Callable[[], float]:
    """What a gauge asks: 1 while the relay has no trouble."""
    return lambda: float(relay.trouble is None)
