"""A real `cytostream watch` over a real Dask cluster, on a share that is mounted and unmounted,
with a worker that loses the mount and a clock that jumps: what is lost, done twice or put into
quarantine?

    python -m tests.tools.chaos.mounts --slides 20 --strikes 12

Needs root (mount, a mount namespace). The clock is that of the watching process alone.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.tools.chaos.intake import JUMPS_S
from tests.tools.chaos.scenes import make_slides

ROOT = Path(__file__).parents[3]
CONFIG = """[reading]
scheduler = "tcp://127.0.0.1:{port}"
insecure_scheduler = true
[backlog]
retry_s = 1.0
progress_s = 1.0
lease_s = 10.0
[watch]
look_s = 0.5
[red_cells]
judged = 0
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Field:
    """The share, its mount, the cluster with two workers, and the process that watches."""

    def __init__(self, folder: Path, options: argparse.Namespace):
        self.folder = folder
        self.rng = random.Random(options.seed)
        self.pause_s = options.pause_s
        self.export = folder / "export"
        self.scans = folder / "scans"
        self.export.mkdir()
        self.scans.mkdir()
        self.clock = folder / "clock"
        self.set_clock(0.0)
        self.log = (folder / "log").open("w")
        port = free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        (folder / "lab.toml").write_text(CONFIG.format(port=port))
        self.mount()
        here = "--host", "127.0.0.1", "--no-dashboard"
        self.scheduler = self.start(["-m", "dask", "scheduler", *here, "--port", str(port)])
        self.workers = [self.start_worker(), self.start_worker()]
        words = "watch", self.scans, "--store", folder / "store", "--sink", "none"
        words += "--config", folder / "lab.toml"
        shifted = ["-m", "tests.tools.chaos.shifted_clock", str(self.clock)]
        self.watch = self.start([*shifted, *map(str, words)])

    def start(self, words: list[str], *before: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*before, sys.executable, *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=self.log,
            stderr=self.log,
        )

    def start_worker(self, blind: bool = False) -> subprocess.Popen[bytes]:
        """A worker of one thread; a blind one has the empty mount point before it."""
        words = ["-m", "dask", "worker", self.address, "--nthreads", "1", "--no-nanny"]
        words += ["--no-dashboard", "--local-directory", str(self.folder / "dask")]
        script = f"umount -l '{self.scans}'; exec \"$@\""
        return self.start(words, *(["unshare", "-m", "sh", "-c", script, "sh"] if blind else []))

    def mount(self) -> None:
        subprocess.run(["mount", "--bind", self.export, self.scans], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", self.scans], check=True)

    def set_clock(self, jump_s: float) -> None:
        self.clock.write_text(f"{jump_s:.0f}\n")

    def strike(self) -> str:
        """One of them, for a while; the clock stays where it jumped to until the next jump."""
        kind = self.rng.choice(["share", "share", "blind worker", "clock"])
        time.sleep(self.rng.uniform(0.2, 1.0) * self.pause_s)
        if kind == "share":
            self.unmount()
            time.sleep(self.rng.uniform(0.1, 1.0) * self.pause_s)
            self.mount()
        elif kind == "blind worker":
            self.exchange(blind=True)
            time.sleep(2 * self.pause_s)
            self.exchange(blind=False)
        else:
            self.set_clock(self.rng.choice(JUMPS_S))
        return kind

    def exchange(self, blind: bool) -> None:
        end(self.workers.pop())
        self.workers.append(self.start_worker(blind))

    def scan(self, slides: list[Path]) -> None:
        """The scanner writes to the server, whether or not the share is mounted here."""
        for slide in slides:
            with (self.export / slide.name).open("wb") as file:
                data = slide.read_bytes()
                file.write(data[: len(data) // 2])
                file.flush()
                time.sleep(self.rng.uniform(0.1, 0.8) * self.pause_s)
                file.write(data[len(data) // 2 :])

    def rows(self, sql: str) -> list[tuple]:
        path = self.folder / "store" / "state.db"
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as db:
            return db.execute(sql).fetchall()
        return []

    def states(self) -> Counter[str]:
        return Counter(state for (state,) in self.rows("SELECT state FROM backlog"))

    def close(self) -> None:
        for process in (self.watch, *self.workers, self.scheduler):
            end(process)
        with contextlib.suppress(subprocess.CalledProcessError):
            self.unmount()


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    slides = make_slides(folder / "made", options.slides, whites=2, side_px=400)
    field = Field(folder, options)
    strikes: Counter[str] = Counter()
    try:
        scanning = threading.Thread(target=field.scan, args=(slides,), daemon=True)
        scanning.start()
        while not field.states() and field.watch.poll() is None:
            time.sleep(0.2)
        while strikes.total() < options.strikes:
            strikes[field.strike()] += 1
            print(f"{time.strftime('%X')} {dict(strikes)} {dict(field.states())}", flush=True)
        scanning.join()
        until_s = time.monotonic() + options.limit_s
        while field.states()["done"] < options.slides and time.monotonic() < until_s:
            time.sleep(0.5)
        lives = field.watch.poll() is None
        return counted(field, options.slides) | {"strikes": dict(strikes), "watch lives": lives}
    finally:
        field.close()
        if options.log:
            options.log.write_text((folder / "log").read_text())


def counted(field: Field, slides: int) -> dict[str, object]:
    rows = field.rows("SELECT subject, type, value FROM records")
    done = Counter(
        subject
        for subject, kind, value in rows
        if kind == "cytostream.slide.v1" and json.loads(value)["status"] == "done"
    )
    return {
        "slides": slides,
        "done": len(done),
        "lost": slides - len(done),
        "done twice": sum(count - 1 for count in done.values()),
        "quarantined": len(list(field.export.rglob("*.reason.txt"))),
        "failed": field.states()["failed"],
        "files there": len(list(field.export.glob("*.tiff"))),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=20)
    parser.add_argument("--strikes", type=int, default=12)
    parser.add_argument("--pause-s", type=float, default=3.0, help="longest pause and outage")
    parser.add_argument("--limit-s", type=float, default=900.0, help="after the last strike")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="write what the processes said here")
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args()
    if os.geteuid():
        raise SystemExit("needs root, to mount")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        result = run(Path(name).resolve(), options)
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    wrong = "lost", "done twice", "quarantined", "failed"
    return any(result[key] for key in wrong) or result["files there"] != options.slides


if __name__ == "__main__":
    raise SystemExit(main())
