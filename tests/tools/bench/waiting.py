"""How long a user waits, in one table: help, the first event, whole slides, beside a plain script
of a user's own, and whether memory stays flat over many slides.

    python -m tests.tools.bench.waiting ../shared/data/slides --runs 3 --slides 100

Medians of runs in turn. The CPU seconds of the command and all its processes stand beside, which
other work on the machine bends less. About 4 minutes on 2 quiet cores, and 3 for the memory of 100
slides, which `--slides 0` leaves out.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from PIL import Image
from rich.console import Console
from rich.table import Table

from ingest import open_slide, read_grid

COMMAND = (sys.executable, "-m", "stream.cli")
SLIDES = ("cbc-fields", "smear-overview")
HELPS = 5
FIELD_PX = 1400
FIRST = "cytostream.cell.v1"
ENDED = '"status": "done"'
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds until the first event and the end, of CPU, and the cells that were found."""

    first_s: float
    whole_s: float
    cpu_s: float
    cells: int


def run_slide(path: Path, folder: Path, config: Path | None = None) -> Run:
    """`cytostream run` of a slide into a new store."""
    events = folder / "e.jsonl"
    words = ["run", path, "--store", folder / "store", "--sink", f"jsonl:{events}"]
    words += ["--config", config] if config else []
    start_s = time.monotonic()
    first_s = 0.0
    cpu_s: dict[int, float] = {}
    with subprocess.Popen(
        [*COMMAND, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as command:
        while command.poll() is None:
            cpu_s |= used_s(command.pid)
            if not first_s and events.is_file() and FIRST in events.read_text():
                first_s = time.monotonic() - start_s
            time.sleep(POLL_S)
    whole_s = time.monotonic() - start_s
    if command.returncode:
        raise SystemExit(f"the run of {path} failed")
    return Run(first_s, whole_s, sum(cpu_s.values()), events.read_text().count(FIRST))


def used_s(pid: int) -> dict[int, float]:
    """Seconds of CPU that a process and those that it has started have used, by number."""
    found = {}
    with suppress(psutil.Error):
        command = psutil.Process(pid)
        for process in (command, *command.children(recursive=True)):
            with suppress(psutil.Error):
                times = process.cpu_times()
                found[process.pid] = times.user + times.system
    return {pid: seconds for pid, seconds in found.items() if seconds}


def help_s() -> float:
    start_s = time.monotonic()
    subprocess.run([*COMMAND, "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - start_s


def script_run(path: Path) -> Run:
    """What a user would write, `user_script`, in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start_s = time.monotonic()
    words = [sys.executable, "-m", "tests.tools.bench.user_script", str(path)]
    found = subprocess.run(words, capture_output=True, text=True, check=True)
    whole_s = time.monotonic() - start_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(0.0, whole_s, cpu_s, int(found.stdout.split()[-1]))


def add_rows(table: Table, slides: Path, runs: int) -> None:
    found = [help_s() for _ in range(HELPS)]
    table.add_row("--help", "", f"{statistics.median(found):.2f}", "", "")
    with TemporaryDirectory() as folder:
        white_only = Path(folder) / "white.toml"
        white_only.write_text("[red_cells]\njudged = 0\n")
        ways = {"": None, ", no red cell judged": white_only}
        for name in SLIDES:
            path = slides / f"{name}.tiff"
            taken: dict[str, list[Run]] = {}
            for _ in range(runs):
                for way, config in ways.items():
                    with TemporaryDirectory() as store:
                        one = run_slide(path, Path(store), config)
                    taken.setdefault(f"{name}{way}", []).append(one)
            taken[f"{name}, a user's script, once"] = [script_run(path)]
            for row, of_row in taken.items():
                add_row(table, row, of_row)


def add_row(table: Table, name: str, runs: list[Run]) -> None:
    first_s, whole_s, cpu_s = (
        statistics.median(getattr(run, what) for run in runs)
        for what in ("first_s", "whole_s", "cpu_s")
    )
    told = f"{first_s:.1f}" if first_s else ""
    table.add_row(name, told, f"{whole_s:.1f}", f"{cpu_s:.1f}", str(runs[0].cells))


def memory_table(slide: Path, count: int) -> Table:
    """Memory of one command that runs `count` small fields of a slide, as they are done."""
    table = Table("slides done", "command MB", "workers MB", title=f"memory over {count} slides")
    with TemporaryDirectory() as name:
        folder = Path(name)
        mpp = cut_fields(slide, folder / "fields", count)
        (folder / "c.toml").write_text("[red_cells]\njudged = 20\n")
        events = folder / "e.jsonl"
        words = ["run", folder / "fields", "--mpp", f"{mpp}", "--store", folder / "store"]
        words += ["--sink", f"jsonl:{events}", "--config", folder / "c.toml"]
        marks = sorted({max(1, count * tenth // 10) for tenth in (1, 3, 5, 7, 9)})
        with subprocess.Popen(
            [*COMMAND, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as command:
            while command.poll() is None:
                done = events.read_text().count(ENDED) if events.is_file() else 0
                if marks and done >= marks[0]:
                    marks.pop(0)
                    own, workers = memory_of(command.pid)
                    table.add_row(str(done), f"{own:.0f}", f"{workers:.0f}")
                time.sleep(10 * POLL_S)
    return table


def memory_of(pid: int) -> tuple[float, float]:
    """Private memory in MB of a process, and of those that it has started."""
    command = psutil.Process(pid)
    own = command.memory_full_info().uss / 1e6
    return own, sum(p.memory_full_info().uss for p in command.children(recursive=True)) / 1e6


def cut_fields(path: Path, folder: Path, count: int) -> float:
    """Writes `count` fields of a slide as images; returns their um/px."""
    slide = open_slide(path)
    folder.mkdir()
    rng = np.random.default_rng(4)
    for number in range(count):
        x = int(rng.integers(0, max(1, slide.width_px0 - FIELD_PX)))
        y = int(rng.integers(0, max(1, slide.height_px0 - FIELD_PX)))
        pixels = read_grid(slide, (x, y, x + FIELD_PX, y + FIELD_PX), 1, (255, 255, 255))
        Image.fromarray(pixels).save(folder / f"{number:03}.png", compress_level=1)
    return slide.mpp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slides", type=Path, help="Folder of cbc-fields and smear-overview.")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--slides", dest="many", type=int, default=100, help="0: no memory table.")
    options = parser.parse_args()
    console = Console(width=100)
    cores = len(os.sched_getaffinity(0))
    title = f"seconds, median of {options.runs} runs, {cores} cores"
    table = Table("what", "first event", "whole", "CPU", "cells", title=title)
    add_rows(table, options.slides, options.runs)
    console.print(table)
    if options.many:
        console.print(memory_table(options.slides / f"{SLIDES[0]}.tiff", options.many))


if __name__ == "__main__":
    main()
