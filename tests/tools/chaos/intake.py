"""A watched share that comes and goes, a worker that does not see it, a clock that jumps: what is
lost, done twice or put into quarantine?

    python -m tests.tools.chaos.intake --slides 40 --strikes 20
"""

import argparse
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

from ingest import SerialWorkers
from stream.cli.session import Session, open_station
from stream.config import load_config
from stream.run.worker import work
from tests.tools.chaos.scenes import make_slides, write_config
from tests.watching import tiny_watch

JUMPS_S = (-86_400.0, -3600.0, 0.0, 3600.0, 400 * 86_400.0)
T, R = TypeVar("T"), TypeVar("R")


class PartlyBlindWorkers(SerialWorkers):
    """Two workers of a cluster, of which the second loses its mount now and then."""

    blind = False

    def everywhere(self, function: Callable[[T], R], item: T) -> dict[str, R | BaseException]:
        second = FileNotFoundError(str(item)) if self.blind else function(item)
        return {"tls://one:1": function(item), "tls://two:2": second}


class Share:
    """The watched folder; `away` takes it out of sight, with or without an empty mount point."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.hidden = folder.with_name("hidden")

    def away(self, mount_point: bool) -> None:
        self.folder.rename(self.hidden)
        if mount_point:
            self.folder.mkdir()

    def back(self) -> None:
        with suppress(FileNotFoundError):
            self.folder.rmdir()
        self.hidden.rename(self.folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=40)
    parser.add_argument("--strikes", type=int, default=20)
    parser.add_argument("--pause-s", type=float, default=1.0, help="between two strikes, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = run(Path(name).resolve(), options)
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    return bool(result["lost"] or result["done twice"] or result["quarantined"])


def run(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    make_slides(folder / "scans", options.slides, whites=2, side_px=400)
    settings = load_config(write_config(folder, "127.0.0.1:9", workers=0))
    workers, stop = PartlyBlindWorkers(), threading.Event()
    strikes: Counter[str] = Counter()
    with open_station(folder / "store", settings, []) as station:
        lab, report, intake = tiny_watch(station, folder / "scans", workers)

        def strike_then_end() -> None:
            rng = random.Random(options.seed)
            for _ in range(options.strikes):
                strikes[strike(Share(folder / "scans"), workers, rng, options.pause_s)] += 1
            while intake.watcher.growing() or station.backlog.is_open() or not intake.arrived:
                time.sleep(0.2)
            stop.set()

        threading.Thread(target=strike_then_end, daemon=True).start()
        with intake.looking(stop):
            work(lab, station.backlog, stop, forever=True, ended=report.ended, waits=report.waits)
        return counted(station, folder / "scans", options.slides) | {"strikes": dict(strikes)}


def strike(share: Share, workers: PartlyBlindWorkers, rng: random.Random, pause_s: float) -> str:
    """One of them, for a while; the clock stays where it jumped to until the next jump."""
    kind = rng.choice(["share gone", "share empty", "blind worker", "clock"])
    time.sleep(rng.uniform(0.0, pause_s))
    length_s = rng.uniform(0.1, pause_s)
    if kind.startswith("share"):
        share.away(mount_point=kind == "share empty")
        time.sleep(length_s)
        share.back()
    elif kind == "blind worker":
        workers.blind = True
        time.sleep(length_s)
        workers.blind = False
    else:
        real_time, jump_s = time.time, rng.choice(JUMPS_S)
        with patch("time.time", lambda: real_time() + jump_s):
            time.sleep(length_s)
    return kind


def counted(station: Session, scans: Path, slides: int) -> dict[str, object]:
    done = Counter(
        record.event.subject
        for record in station.outbox.events()
        if record.kind == "slides" and record.event.data["status"] == "done"
    )
    return {
        "slides": slides,
        "done": len(done),
        "lost": slides - len(done),
        "done twice": sum(count - 1 for count in done.values()),
        "quarantined": len(list((scans / "quarantine").rglob("*.reason.txt"))),
        "failed": sum(job.state == "failed" for job in station.backlog.jobs()),
    }


if __name__ == "__main__":
    raise SystemExit(main())
