"""`python -m tests.tools.bench.state`: what the state of a store costs, on SQLite and PostgreSQL.

Commits of the pipeline (a tile's cells with their events), reads of a relay, the page's queries at
a number of cells, and how several processes, each with a folder of its own, share a backlog. The
PostgreSQL server is one of its own on this machine, over a Unix socket, with fsync as it comes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import groupby
from pathlib import Path
from statistics import median

from stream.config import BacklogSettings
from stream.store import Backlog, Job, Outbox, SlideQueries, use_server
from tests.postgres_server import PostgresServer, why_absent
from tests.stream.making import make_events

COMMIT = 32
SLIDE_CELLS = 10_000
CLASSES = [f"class-of-a-cell-{number}" for number in range(13)]
BODY = json.dumps(  # of as many bytes as a run writes
    {
        "cell": {
            "cell_id": "afafbff2151d46e4d38b",
            "slide_id": "481ce183be73c6e9c170",
            "kind": "wbc",
            "x_px0": 43400,
            "y_px0": 37700,
            "box_px0": [43380, 37680, 43420, 37720],
            "area_um2": 120.5,
        },
        "verdict": {
            "label": CLASSES[5],
            "scores": {name: 0.07692307692307693 for name in CLASSES},
            "anomaly": {"score": 0.5, "relative": 0.2, "absolute": -0.3, "reason": "typical"},
            "draws": 8,
            "decided": True,
            **{name: [] for name in ("may_be", "parents_possible", "taught")},
            **{name: "" for name in ("parent", "contradiction", "standard_label")},
            "parents": {},
        },
        "crop": "3d45ee680426daa15dcc93a9d3608df2",
    }
)


def commits(outbox: Outbox, count: int, slide: str = "bench") -> float:
    """Events a second, committed with their cells as the pipeline does."""
    events = make_events(count * COMMIT, slide)
    begun = time.monotonic()
    for start in range(0, len(events), COMMIT):
        some = events[start : start + COMMIT]
        with outbox.transaction() as tx:
            tx.add(some)
            tx.add_cells(slide, [(event.id, BODY, None, None) for event in some])
            tx.tile_done(slide, str(start))
    return len(events) / (time.monotonic() - begun)


def relayed(outbox: Outbox, batch: int = 2000) -> float:
    """Events a second that a relay reads and marks as sent."""
    begun = time.monotonic()
    count = 0
    while records := outbox.unsent("bench", batch):
        outbox.mark_sent("bench", records[-1].seq)
        count += len(records)
    return count / (time.monotonic() - begun)


def fill(outbox: Outbox, cells: int, first: int = 0) -> None:
    """That many cells after the `first`, in slides of 10,000."""
    numbers = range(first, first + cells)
    for slide, each in groupby(numbers, key=lambda number: number // SLIDE_CELLS):
        rows = [(f"cell-{number}", BODY, None, None) for number in each]
        with outbox.transaction() as tx:
            tx.add_cells(f"s{slide}", rows)
            tx.set_status(f"s{slide}", "done", progress={"cells": SLIDE_CELLS})


def analyse(outbox: Outbox) -> None:
    """What a server does by itself within a minute of so many rows; till then its plans are old."""
    with outbox.exclusive() as db:
        db.change("ANALYZE")


def milliseconds(ask: Callable[[], object], times: int = 9) -> float:
    """The median of a query's time."""
    took = []
    for _ in range(times):
        begun = time.monotonic()
        ask()
        took.append(time.monotonic() - begun)
    return round(median(took) * 1000, 2)


def read_page(queries: SlideQueries, slide: str) -> int:
    """Reads the first page of a slide's cells as the review page does; returns how many."""
    return sum(1 for _ in queries.cells_page(slide, 0))


def page(path: Path) -> dict[str, float]:
    """Milliseconds of what the page asks."""
    with closing(SlideQueries(path)) as queries:
        last = queries.last_cell_row()
        return {
            "one page of cells": milliseconds(lambda: read_page(queries, "s1")),
            "new cells of all slides": milliseconds(lambda: queries.new_cell_rows(last - 4096)),
            "all slides": milliseconds(queries.slide_states),
            "one cell": milliseconds(lambda: queries.cell_body(last)),
            "events of a slide": milliseconds(lambda: queries.events("s1", 0, "no.such")),
            "is there anything new": milliseconds(queries.data_version),
        }


def shares(store: Callable[[int], Path], hosts: int, slides: int) -> dict[str, object]:
    """How many slides each of some processes did, each as long as the others, and how often each
    slide was done. They begin when all of them are up.
    """
    with Outbox(store(0) / "state.db") as outbox:
        Backlog(outbox, BacklogSettings()).add(
            Job(store(0) / f"{number}.svs") for number in range(slides)
        )
    code = "import sys; from tests.tools.bench.state import work; work(sys.argv[1])"
    asked = [[sys.executable, "-c", code, str(store(number))] for number in range(hosts)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(words, **pipes) for words in asked]
    for process in running:
        process.stdout.readline()  # it has opened the store
    begun = time.monotonic()
    for process in running:
        process.stdin.write("\n")
        process.stdin.flush()
    done = [process.communicate()[0].split() for process in running]
    times = Counter(path for paths in done for path in paths)
    return {
        "shares": sorted(map(len, done)),
        "slides": len(times),
        "done twice": sum(count > 1 for count in times.values()),
        "slides_s": round(slides / (time.monotonic() - begun), 1),
    }


def work(store: str, slide_s: float = 0.05) -> None:
    """Takes slides of a backlog until there is none."""
    with Outbox(Path(store) / "state.db") as outbox:
        backlog = Backlog(outbox, BacklogSettings())
        print(flush=True)
        sys.stdin.readline()  # all others have, too
        while job := backlog.next():
            time.sleep(slide_s)
            backlog.finish(job, job.path.stem, slide_s)
            print(job.path.stem, flush=True)


def measured(store: Callable[[int], Path], options: argparse.Namespace) -> dict[str, object]:
    path = store(0) / "state.db"
    with Outbox(path) as outbox:
        before = outbox.size_bytes()
        figures: dict[str, object] = {
            "events_s": round(commits(outbox, options.commits)),
            "relayed_s": round(relayed(outbox)),
            "bytes_a_cell_and_event": round(
                (outbox.size_bytes() - before) / (options.commits * COMMIT)
            ),
        }
        for cells in options.cells:
            fill(outbox, cells)
            analyse(outbox)
            figures[f"page_ms at {cells} cells"] = page(path)
    return figures | shares(store, options.hosts, options.slides)


def main() -> None:
    parser = argparse.ArgumentParser(prog="state", description=__doc__)
    parser.add_argument("--commits", type=int, default=300)
    parser.add_argument("--cells", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--slides", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cytostream-state-"))
    results = {"sqlite": measured(lambda _: folder / "sqlite", options)}
    print(json.dumps(results, indent=1), flush=True)
    if why_absent():
        print(why_absent())
    else:
        server = PostgresServer(fast=False)
        server.start()
        url = server.database()

        def host(number: int) -> Path:
            use_server(folder / f"host-{number}", url)
            return folder / f"host-{number}"

        try:
            results["postgresql"] = measured(host, options)
        finally:
            server.close()
        print(json.dumps(results["postgresql"], indent=1))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
