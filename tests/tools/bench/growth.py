"""`python -m tests.tools.bench.growth`: what a further cell costs in a store that has 1,000 cells,
and in one that has a million; a stage whose cost does not change grows in a straight line.

Stages: the commit of a tile's cells with their events, a relay's reading and marking of an event,
and what the page asks. Costs are processor time, of this process and of the server's, which other
work on the machine changes little; that of the disk is not in them. `--picture` draws them.
"""

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
from matplotlib.figure import Figure

from stream.store import Outbox, SlideQueries, use_server
from tests.postgres_server import PostgresServer, why_absent
from tests.tools.bench.state import (
    COMMIT,
    SLIDE_CELLS,
    analyse,
    commits,
    fill,
    read_page,
    relayed,
)

SIZES = (1_000, 10_000, 100_000, 1_000_000)
COMMITS = 20
Costs = dict[str, float]


def each_ms(do: Callable[[], object], times: int, pid: int) -> float:
    """Processor time of one of some calls, in ms; with that of the server of this process id."""
    begun_s = used_s(pid)
    for _ in range(times):
        do()
    return (used_s(pid) - begun_s) / times * 1000


def used_s(server: int) -> float:
    """Processor time of this process, and of a server and its children; 0 is none."""
    total_s = time.process_time()
    for process in server_processes(server):
        with contextlib.suppress(psutil.NoSuchProcess):
            spent = process.cpu_times()
            total_s += spent.user + spent.system
    return total_s


def server_processes(server: int) -> list[psutil.Process]:
    return [psutil.Process(server), *psutil.Process(server).children()] if server else []


def costs_of(path: Path, size: int, repeats: int, server: int) -> Costs:
    """Milliseconds of each stage in a store of that many cells; of a cell or event, or a query."""
    cells = repeats * COMMITS * COMMIT
    with Outbox(path) as outbox:
        added = each_ms(lambda: commits(outbox, repeats * COMMITS, f"new-{size}"), 1, server)
        moved = each_ms(lambda: relayed(outbox), 1, server)
        with closing(SlideQueries(path)) as queries:
            last = queries.last_cell_row()
            asked: dict[str, Callable[[], object]] = {
                "page: 4,096 cells of a slide": lambda: read_page(queries, "s0"),
                "page: the newest 4,096 cells": lambda: queries.new_cell_rows(last - 4096),
                "page: one cell": lambda: queries.cell_body(last),
                "page: all slides": queries.slide_states,
                "page: anything new": queries.data_version,
            }
            return {
                "commit of a cell with its event": added / cells,
                "relay of an event": moved / cells,
                **{name: each_ms(ask, 10 * repeats, server) for name, ask in asked.items()},
            }


def measured(path: Path, sizes: list[int], repeats: int, server: int = 0) -> dict[int, Costs]:
    """The costs at each size of one store that grows."""
    found: dict[int, Costs] = {}
    held = 0
    for size in sorted(sizes):
        with Outbox(path) as outbox:
            fill(outbox, size - held, first=held)
            analyse(outbox)
        held = size
        found[size] = costs_of(path, size, repeats, server)
        print(size, {name: round(cost, 3) for name, cost in found[size].items()}, flush=True)
    return found


def draw(results: dict[str, dict[int, Costs]], path: Path) -> None:
    """A plot a database: milliseconds over cells in the store, both in powers of ten."""
    figure = Figure(figsize=(6 * len(results), 5), layout="constrained")
    for plot, (name, found) in zip(
        figure.subplots(1, len(results), squeeze=False)[0], results.items(), strict=True
    ):
        for stage in next(iter(found.values())):
            plot.plot(list(found), [costs[stage] for costs in found.values()], "o-", label=stage)
        plot.axhline(50, color="grey", linestyle=":", linewidth=1)
        plot.set(
            xscale="log",
            yscale="log",
            title=name,
            xlabel="cells in the store",
            ylabel="processor ms",
        )
        plot.legend(fontsize=7)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(prog="growth", description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, default=Path("growth.png"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cytostream-growth-") as name:
        folder = Path(name)
        asked = options.cells, options.repeats
        results = {"sqlite": measured(folder / "store" / "state.db", *asked)}
        if reason := why_absent():
            print(reason)
        else:
            with closing(PostgresServer(fast=False)) as server:
                server.start()
                use_server(folder / "server", server.database())
                pid = int((server.data / "postmaster.pid").read_text().split()[0])
                results["postgresql"] = measured(folder / "server" / "state.db", *asked, pid)
    draw(results, options.picture)
    print(f"{options.picture}: {COMMIT} cells a commit, {SLIDE_CELLS} cells a slide")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
