"""A scanner that writes slides slowly into a folder that is watched: one broken, one twice, one
renamed while it is written.

    python -m tests.tools.chaos.scanner --slides 20

Says what happened to each, and how long it took from the last byte to the first label.
"""

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

from ingest import open_slide, open_workers
from stream.cli.session import open_station
from stream.config import load_config
from stream.run.worker import work
from tests.tools.chaos.scenes import make_slides, write_config
from tests.watching import tiny_watch

BROKEN, TWICE, RENAMED, STAT = 3, 5, 7, 9


class Scanner:
    """Writes slides one after the other, each in `chunks` pieces; remembers when the last byte of
    each was written.
    """

    def __init__(self, slides: list[Path], folder: Path, chunks: int, pause_s: float):
        self.slides, self.folder, self.chunks, self.pause_s = slides, folder, chunks, pause_s
        self.last_byte: dict[str, float] = {}
        self.names: dict[str, str] = {}

    def scan(self) -> None:
        for number, slide in enumerate(self.slides):
            data = slide.read_bytes()
            if number == BROKEN:
                data = data[: len(data) // 3]
            self.write(number, data)
            if number == TWICE:
                self.write(number, data, "-again")

    def write(self, number: int, data: bytes, more: str = "") -> None:
        path = self.folder / f"{number:02}{more}{'_STAT' if number == STAT else ''}.tiff"
        step = len(data) // self.chunks + 1
        for at in range(0, len(data), step):
            with path.open("ab") as file:
                file.write(data[at : at + step])
            if number == RENAMED and at == step * (self.chunks // 2):
                path = path.rename(path.with_name(f"{number:02}-renamed.tiff"))
            time.sleep(self.pause_s)
        self.last_byte[path.name] = time.time() - self.pause_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=20)
    parser.add_argument("--chunks", type=int, default=8)
    parser.add_argument("--pause-s", type=float, default=0.3, help="between two pieces of a slide")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scans, made = folder / "scans", make_slides(folder / "made", options.slides, 4, 600)
        scans.mkdir()
        scanner = Scanner(made, scans, options.chunks, options.pause_s)
        settings = load_config(write_config(folder, "127.0.0.1:9", workers=0))
        events = folder / "events.jsonl"
        with (
            open_station(folder / "store", settings, [f"jsonl:{events}"]) as station,
            open_workers(0) as workers,
        ):
            lab, report, intake = tiny_watch(station, scans, workers)
            stop = threading.Event()
            writing = threading.Thread(target=scanner.scan)
            writing.start()

            def end() -> None:
                writing.join()
                while (
                    intake.watcher.growing()
                    or station.backlog.is_open()
                    or expected(scanner) - set(intake.arrived) - quarantined(scans)
                ):
                    time.sleep(0.2)
                stop.set()

            threading.Thread(target=end, daemon=True).start()
            with intake.looking(stop):
                work(
                    lab, station.backlog, stop, forever=True, ended=report.ended, waits=report.waits
                )
            result = told(scanner, station, scans)
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    return 0


def expected(scanner: Scanner) -> set[Path]:
    return {scanner.folder / name for name in scanner.last_byte}


def quarantined(scans: Path) -> set[Path]:
    return {scans / path.name for path in (scans / "quarantine").glob("*.tiff")}


def told(scanner: Scanner, station, scans: Path) -> dict:
    """What became of each file; seconds from its last byte to its first label."""
    first, status = {}, {}
    for record in station.outbox.events():
        event = record.event
        if event.kind == "cells":
            first.setdefault(event.subject, event.time.timestamp())
        if event.kind == "slides":
            status.setdefault(event.subject, []).append(event.data["status"])
    files, waits = {}, []
    for job in station.backlog.jobs():
        name = job.path.name
        reasons = list((scans / "quarantine").glob(f"{name}.reason.txt"))
        files[name] = {
            "state": job.state,
            "events": status.get(job.slide_id, []),
            "quarantine": bool(reasons),
        }
        if reasons:
            files[name]["reason"] = reasons[0].read_text().splitlines()[0].replace(str(scans), "")
        elif (
            job.slide_id in first
            and "-again" not in name
            and (wait := first[job.slide_id] - scanner.last_byte[name]) > 0
        ):
            waits.append(wait)
            files[name]["last byte to first label, s"] = round(wait, 2)
    waits.sort()
    median = round(waits[len(waits) // 2], 2) if waits else None
    slides = {open_slide(path).slide_id for path in scans.glob("*.tiff")}
    return {
        "files": files,
        "slides": len(slides),
        "median s": median,
        "largest s": round(max(waits, default=0), 2),
    }


if __name__ == "__main__":
    raise SystemExit(main())
