"""`make chaos`: real processes, killed at random points, again and again; then every event is
counted as a consumer sees it.

    python -m tests.tools.chaos --kills 200 --slides 300 [--state postgresql] [--broker cluster]

What is killed: two pipelines that share a backlog, a relay, Dask workers and their scheduler (kill
-9), the connections to the brokers (cut at a proxy), the disk (filled to the last byte), the broker
(stopped in order; and, at the end, kill -9: the embedded one keeps records in memory, so what it
had acknowledged since its last stop is gone, and the relay has to notice and send it again; Apache
Kafka keeps it). With `--broker cluster` there are three nodes of Apache Kafka with three copies of
everything: one is killed at a time, also the one that coordinates the relay's transactions, and all
at once. With `--state postgresql` the state is on a server, all processes of which are killed too.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ingest import CytostreamError
from stream.config import Kafka
from stream.kafka.consumer import read_all
from stream.kafka.sink import transactional_id
from stream.store import Outbox, has_state, use_server
from stream.store.database import State
from tests.dask_cluster import DaskCluster
from tests.postgres_server import PostgresServer
from tests.tools.chaos import pipeline
from tests.tools.chaos.brokers import Proxies, open_brokers
from tests.tools.chaos.crew import Crew, relay_forever, relay_once
from tests.tools.chaos.scenes import make_slides, write_config

screen = Console()
DISK_MB = 400


@contextlib.contextmanager
def small_disk(folder: Path):
    """A disk of its own for the store, where this user may mount one; else the folder, which then
    is never full.
    """
    folder.mkdir()
    mounted = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", folder],
        capture_output=True,
        check=False,
    ).returncode
    try:
        yield folder, mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", folder], check=False)


class Chaos:
    """The scene: brokers, proxies, Dask cluster, crew."""

    def __init__(self, folder: Path, disk: Path, options: argparse.Namespace):
        self.rng, self.disk = random.Random(options.seed), disk
        self.brokers = open_brokers(options.broker, self.rng)
        self.proxies = Proxies(self.brokers.ports)
        self.brokers.start()
        self.cluster = DaskCluster(folder / "dask")
        config = write_config(
            folder,
            self.proxies.bootstrap,
            scheduler=self.cluster.settings,
            read_back=self.brokers.read_back,
        )
        self.store, slides = disk / "store", folder / "slides"
        self.server = PostgresServer(fast=False) if options.state == "postgresql" else None
        if self.server:
            self.server.start()
            use_server(self.store, self.server.database())
        make_slides(slides, options.slides, options.whites, side_px=900)
        self.cluster.start()
        pipe = (pipeline.main, self.store, config, slides)
        self.crew = Crew(
            {
                "pipeline 1": (*pipe, "kafka", options.pass_s),
                "pipeline 2": (*pipe, "none", options.pass_s),
                "relay": (relay_forever, self.store, config),
            },
            folder / "crew.log",
        )
        self.again = (self.store, config)
        self.config = Kafka(bootstrap=self.brokers.bootstrap)
        self.done: Counter = Counter()
        self.seen = 0

    def strike(self, kind: str) -> bool:
        return {
            "pipeline": lambda: self.crew.kill(self.rng.choice(["pipeline 1", "pipeline 2"])),
            "relay": lambda: self.crew.kill("relay"),
            "worker": self.kill_worker,
            "scheduler": self.kill_scheduler,
            "connection": self.cut,
            "disk": self.fill_disk,
            "broker stopped": lambda: self.hit(self.brokers.stop),
            "broker killed": lambda: self.hit(self.brokers.kill),
            "coordinator killed": self.kill_coordinator,
            "all brokers killed": lambda: self.hit(self.brokers.kill_all),
            "server killed": self.restart_server,
        }[kind]()

    def hit(self, strike) -> bool:
        strike()
        return True

    def kill_worker(self) -> bool:
        if not (workers := self.cluster.worker_processes()):
            return False
        self.rng.choice(workers).kill()
        return True

    def kill_scheduler(self) -> bool:
        self.cluster.kill_scheduler()
        time.sleep(self.rng.uniform(0.0, 2.0))
        self.cluster.start()
        return True

    def kill_coordinator(self) -> bool:
        """The node that keeps the transactions of the store's relay."""
        with Outbox(self.store / "state.db") as outbox:
            return self.brokers.kill_coordinator(transactional_id(outbox.store_id))

    def cut(self) -> bool:
        self.proxies.cut(refuse=self.rng.random() < 0.5, seconds=self.rng.uniform(0.1, 1.5))
        return True

    def fill_disk(self) -> bool:
        ballast = self.disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            os.posix_fallocate(
                file.fileno(), 0, max(1, shutil.disk_usage(self.disk).free - (1 << 20))
            )
            file.seek(0, os.SEEK_END)
            while True:
                file.write(bytes(1 << 12))
        time.sleep(self.rng.uniform(0.5, 2.0))
        ballast.unlink()
        return True

    def restart_server(self) -> bool:
        self.server.kill()
        time.sleep(self.rng.uniform(0.0, 2.0))
        self.server.start()
        return True

    def await_progress(self, limit_s: float) -> None:
        """Until more events are committed than at the last strike: a kill is to hit the work."""
        end_s = time.monotonic() + limit_s
        while (events := self.events()) <= self.seen and time.monotonic() < end_s:
            self.watch()
            time.sleep(0.1)
        self.seen = events

    def watch(self) -> None:
        """Starts again what has ended: a worker ends where its scheduler does."""
        self.crew.watch()
        self.cluster.start()

    def events(self) -> int:
        return self.asked("SELECT count(*) FROM records") or 0

    def left(self) -> int | None:
        """Slides that wait or run; None where the store does not answer."""
        return self.asked("SELECT count(*) FROM backlog WHERE state IN ('waiting', 'running')")

    def asked(self, sql: str) -> int | None:
        if not has_state(self.store):
            return None
        try:
            with contextlib.closing(State(self.store / "state.db", unwritable="read")) as state:
                return state.integer(sql)
        except CytostreamError:
            return None

    def run(self, kinds: list[str], kills: int, pause_s: float) -> None:
        """Strikes until `kills` of them hit."""
        before = self.done.total()
        while self.done.total() < before + kills and self.left() != 0:
            self.await_progress(30.0)
            time.sleep(self.rng.uniform(0.0, pause_s))
            kind = self.rng.choice(kinds)
            if self.strike(kind):
                self.done[kind] += 1
                print(
                    f"{time.strftime('%X')} {self.done.total():4} {kind:15} {self.state()}",
                    flush=True,
                )

    def state(self) -> str:
        if not has_state(self.store):
            return "no store yet"
        try:
            with Outbox(self.store / "state.db") as outbox:
                (events,), slides = (
                    outbox.rows("SELECT count(*) FROM records")[0],
                    dict(outbox.rows("SELECT state, count(*) FROM backlog GROUP BY state")),
                )
                return f"{events} events, {slides}"
        except CytostreamError as error:
            return error.what

    def finish(self, limit_s: float) -> None:
        """No more strikes: until the backlog is empty and everything is sent."""
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            self.watch()
            time.sleep(2)
            with Outbox(self.store / "state.db") as outbox:
                left = outbox.rows(
                    "SELECT count(*) FROM backlog WHERE state IN ('waiting', 'running')"
                )[0][0]
                unsent = outbox.count_unsent(f"kafka:{self.proxies.bootstrap}")
            print(f"{time.strftime('%X')} {left} slides left, {unsent} events unsent", flush=True)
            if not left and not unsent:
                break
        self.crew.end()
        relay_once(*self.again)  # once more: has the broker lost anything?

    def count(self) -> dict:
        """Every event that the store holds against what a consumer that reads committed has; every
        slide against the others.
        """
        with Outbox(self.store / "state.db") as outbox:
            expected = {record.id for record in outbox.events()}
            states = dict(outbox.rows("SELECT state, count(*) FROM backlog GROUP BY state"))
            slides = dict(outbox.rows("SELECT status, count(*) FROM slides GROUP BY status"))
        events = list(read_all(self.config))
        delivered = Counter(event.id for event in events)
        cells: dict[str, Counter] = {}
        for event in events:
            if event.kind == "cells":
                cells.setdefault(event.subject, Counter())[
                    event.data["x_px0"], event.data["y_px0"], event.data["label"]
                ] += 1
        sets = Counter(tuple(sorted(found.items())) for found in cells.values())
        return {
            "expected": len(expected),
            "delivered": delivered.total(),
            "lost": len(expected - delivered.keys()),
            "duplicated": sum(n - 1 for n in delivered.values()),
            "unknown": len(delivered.keys() - expected),
            "backlog": states,
            "slides": slides,
            "slides with events": len(cells),
            "different cell sets": len(sets),
            "cells a slide": sum(n for _, n in next(iter(sets), ())),
            "done events": sum(e.kind == "slides" and e.data["status"] == "done" for e in events),
            "failure events": sum(e.kind == "failures" for e in events),
        }

    def close(self) -> None:
        self.crew.end()
        self.cluster.close()
        self.proxies.close()
        self.brokers.close()
        if self.server:
            self.server.close()


def told(title: str, result: dict) -> Table:
    table = Table("what", "count", title=title)
    for name, value in result.items():
        table.add_row(name, str(value))
    return table


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description="Kill everything, then count.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument(
        "--broker-kills", type=int, default=20, help="of those, kill -9 of the broker, at the end"
    )
    parser.add_argument("--slides", type=int, default=400)
    parser.add_argument("--whites", type=int, default=12, help="white cells a slide")
    parser.add_argument("--pass-s", type=float, default=0.05, help="seconds a pass of the fake net")
    parser.add_argument(
        "--pause-s",
        type=float,
        default=1.0,
        help="longest pause between progress and the next kill",
    )
    parser.add_argument("--state", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--broker", choices=("embedded", "apache", "cluster"), default="embedded")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="cytostream-chaos-"))
    start_s, results = time.monotonic(), {}
    with small_disk(folder / "disk") as (disk, mounted):
        chaos = Chaos(folder, disk, options)
        try:
            kinds = [
                *["pipeline"] * 4,
                *["relay"] * 3,
                *["connection"] * 2,
                *["worker"] * 2,
                "scheduler",
                "broker stopped",
                *["disk"] * mounted,
                *["server killed"] * 2 * (options.state == "postgresql"),
            ]
            chaos.await_progress(600.0)
            chaos.run(kinds, options.kills - options.broker_kills, options.pause_s)
            chaos.run(
                [*(chaos.brokers.kinds or ["broker killed"])], options.broker_kills, options.pause_s
            )
            chaos.finish(1800)
            crew = {"starts": dict(chaos.crew.starts), "ends": dict(chaos.crew.ends)}
            results = {
                "kills": dict(chaos.done),
                "total": chaos.done.total(),
                **crew,
                **chaos.count(),
            }
        finally:
            chaos.close()
    results["minutes"] = round((time.monotonic() - start_s) / 60, 1)
    screen.print(told("What a consumer that reads committed has seen", results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    ok = (
        not (results["lost"] or results["duplicated"] or results["unknown"])
        and results["different cell sets"] == 1
    )
    if ok:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        screen.print(f"kept for a look: {folder}")
    return not ok


if __name__ == "__main__":
    sys.exit(main())
