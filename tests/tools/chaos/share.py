"""Hundreds of slides by two processes that share a store, each killed (-9) several times: is every
slide done, and once?

python -m tests.tools.chaos.share --slides 300 --kills 12
"""

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from stream.store.outbox import Outbox
from tests.tools.chaos import pipeline
from tests.tools.chaos.crew import Crew
from tests.tools.chaos.scenes import make_slides, write_config


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=300)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--whites", type=int, default=2)
    parser.add_argument("--side-px", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rng, start_s, kills = random.Random(options.seed), time.monotonic(), Counter()
    with tempfile.TemporaryDirectory() as name:
        folder, store = Path(name), Path(name) / "store"
        make_slides(folder / "slides", options.slides, options.whites, options.side_px)
        pipe = (
            pipeline.main,
            store,
            write_config(folder, "127.0.0.1:9", workers=0),
            folder / "slides",
            "none",
            0.02,
        )
        crew = Crew({"first": pipe, "second": pipe}, folder / "crew.log")
        marks = sorted(rng.sample(range(1, options.slides - 5), options.kills))
        while (done := count(store)) < options.slides:
            crew.watch()
            if marks and done >= marks[0]:
                victim = min(["first", "second"], key=lambda name: kills[name])
                time.sleep(rng.uniform(0.0, 0.5))
                kills[victim] += crew.kill(victim)
                marks.pop(0)
            time.sleep(0.1)
        crew.end()
        result = told(store) | {
            "kills": dict(kills),
            "minutes": round((time.monotonic() - start_s) / 60, 1),
        }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    return not (
        result["done"] == result["done once"] == result["slides"] == options.slides
        and result["cell sets"] == 1
    )


def count(store: Path) -> int:
    """Slides that are done."""
    if not (store / "state.db").exists():
        return 0
    with Outbox(store / "state.db") as outbox:
        return outbox.rows("SELECT count(*) FROM slides WHERE status = 'done'")[0][0]


def told(store: Path) -> dict:
    """What the store's own events say: done events a slide, cells a slide."""
    with Outbox(store / "state.db") as outbox:
        done, cells = Counter(), {}
        for record in outbox.events():
            event = record.event
            if event.kind == "slides" and event.data["status"] == "done":
                done[event.subject] += 1
            if event.kind == "cells":
                place = event.data["x_px0"], event.data["y_px0"], event.data["label"]
                cells.setdefault(event.subject, Counter())[place] += 1
        states = dict(outbox.rows("SELECT state, count(*) FROM backlog GROUP BY state"))
    sets = {tuple(sorted(found.items())) for found in cells.values()}
    return {
        "slides": len(cells),
        "done": len(done),
        "done once": sum(n == 1 for n in done.values()),
        "cell sets": len(sets),
        "cells twice": sum(n - 1 for found in cells.values() for n in found.values()),
        "backlog": states,
    }


if __name__ == "__main__":
    raise SystemExit(main())
