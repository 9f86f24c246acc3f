"""`python -m tests.tools.bench.hosts`: several hosts on one PostgreSQL server, and how they share a
backlog of small slides.

A host is a process with a folder, workers and leases of its own; only the net is the tests' fake.
Slides are queued once all hosts are up, as for hosts that watch. With `--start each`, every host
queues them and begins as soon as it is up, as `cytostream run` does: who comes first has more.
"""

import argparse
import json
import multiprocessing
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from stream.cli.session import open_pool, open_station
from stream.config import BacklogSettings, load_config
from stream.events import Provenance
from stream.run import RunContext, work
from stream.store import Backlog, Job, Outbox, use_server
from tests.make import tiny_model
from tests.postgres_server import PostgresServer, why_absent
from tests.tools.chaos.pipeline import SlowEngine
from tests.tools.chaos.scenes import make_slides, write_config

LOOK_S = 0.2


@dataclass(frozen=True)
class Host:
    """A host as a process: it says when it is up, and at the end which slides it did."""

    store: Path
    config: Path
    queued: tuple[Path, ...]
    pass_s: float

    def __call__(self, link: Connection) -> None:
        """Works off the backlog until it hears from its parent."""
        settings = load_config(self.config)
        stop = threading.Event()
        threading.Thread(target=set_at_word, args=(link, stop), daemon=True).start()
        with open_station(self.store, settings, []) as station, open_pool(settings.reading) as pool:
            model, engine = tiny_model(), SlowEngine(self.pass_s)
            stamp = Provenance("hosts", "tiny", "tiny", {})
            lab = RunContext(settings, model, engine, pool, station.outbox, self.store, stamp)
            link.send("up")
            station.backlog.add(Job(path) for path in self.queued)
            ended = work(lab, station.backlog, stop, forever=True)
        link.send([job.path.name for job, _ in ended])


def set_at_word(link: Connection, stop: threading.Event) -> None:
    """Waits for the parent."""
    link.recv()
    stop.set()


@contextmanager
def running(hosts: list[Host]) -> Iterator[list[Connection]]:
    """The hosts as processes, and the way to each."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in hosts]
    processes = [
        context.Process(target=host, args=(there,))
        for host, (_, there) in zip(hosts, pipes, strict=True)
    ]
    for process in processes:
        process.start()
    try:
        yield [here for here, _ in pipes]
    finally:
        for process in processes:
            process.join(10)
            process.kill()


def shared(url: str, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """How many slides each host did, how often each slide was done, and the share of the hosts'
    time that went into slides and not into finding the next.
    """
    paths = tuple(make_slides(folder / "slides", options.slides, whites=4, side_px=500))
    config = write_config(folder, "127.0.0.1:1", workers=options.workers)
    stores = [folder / f"host-{number}" for number in range(options.hosts)]
    for store in stores:
        use_server(store, url)
    queued = paths if options.start == "each" else ()
    hosts = [Host(store, config, queued, options.pass_s) for store in stores]
    with Outbox(stores[0] / "state.db") as outbox, running(hosts) as links:
        if options.start == "together":
            for link in links:
                link.recv()
        backlog = Backlog(outbox, BacklogSettings())
        begun = time.monotonic()
        backlog.add(Job(path) for path in paths)
        while backlog.is_open():
            time.sleep(LOOK_S)
        took = time.monotonic() - begun
        for link in links:
            link.send("stop")
        ended = [last_word(link) for link in links]
        busy_s = sum(job.seconds or 0.0 for job in backlog.jobs())
    times = Counter(name for names in ended for name in names)
    return {
        "slides": len(times),
        "done twice": sum(count > 1 for count in times.values()),
        "shares": sorted(map(len, ended)),
        "slides_s": round(options.slides / took, 2),
        "busy": round(busy_s / took / options.hosts, 3),
    }


def last_word(link: Connection) -> list[str]:
    """The slides that a host did."""
    while (word := link.recv()) == "up":
        pass
    done: list[str] = word
    return done


def main() -> int:
    parser = argparse.ArgumentParser(prog="hosts", description=__doc__)
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--slides", type=int, default=200)
    parser.add_argument("--workers", type=int, default=0, help="processes of each host; 0: itself")
    parser.add_argument("--pass-s", type=float, default=0.02, help="seconds a pass of the fake net")
    parser.add_argument("--start", choices=("together", "each"), default="together")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if why_absent():
        print(why_absent())
        return 1
    server = PostgresServer(fast=False)
    server.start()
    try:
        with tempfile.TemporaryDirectory(prefix="cytostream-hosts-") as folder:
            result = shared(server.database(), Path(folder), options)
    finally:
        server.close()
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    return result["slides"] != options.slides or bool(result["done twice"])


if __name__ == "__main__":
    raise SystemExit(main())
