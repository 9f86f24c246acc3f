"""The broker is away for minutes while the pipeline runs: what is lost, how fast it catches up, how
much disk it takes.

python -m tests.tools.chaos.outage --minutes 10
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

from stream.config import Kafka
from stream.kafka.consumer import read_all
from stream.kafka.embedded_broker import Broker
from stream.store.outbox import Outbox
from tests.tools.chaos import pipeline
from tests.tools.chaos.crew import Crew, relay_once
from tests.tools.chaos.scenes import make_slides, write_config


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--slides", type=int, default=2000)
    parser.add_argument("--whites", type=int, default=4)
    parser.add_argument("--side-px", type=int, default=600)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Broker() as broker:
        folder, store = Path(name), Path(name) / "store"
        make_slides(folder / "slides", options.slides, options.whites, options.side_px)
        config = write_config(folder, broker.bootstrap, workers=0)
        crew = Crew(
            {"pipeline": (pipeline.main, store, config, folder / "slides", "kafka", 0.0)},
            folder / "crew.log",
        )
        sink = f"kafka:{broker.bootstrap}"
        crew.watch()
        while not sent(store, sink):
            time.sleep(0.2)
        broker.stop()
        before, start_s = sizes(store), time.monotonic()
        while time.monotonic() - start_s < 60 * options.minutes:
            crew.watch()
            time.sleep(1)
        after = sizes(store)
        with Outbox(store / "state.db") as outbox:
            waiting = outbox.count_unsent(sink)
            broker.start()
            start_s = time.monotonic()
            upto = outbox.rows("SELECT max(seq) FROM records")[0][0]
            while outbox.sent(sink) < upto:
                time.sleep(0.05)
            caught_up_s = time.monotonic() - start_s
        crew.end()
        relay_once(store, config)
        with Outbox(store / "state.db") as outbox:
            expected = {record.id for record in outbox.events()}
        delivered = Counter(event.id for event in read_all(Kafka(bootstrap=broker.bootstrap)))
    result = {
        "minutes away": options.minutes,
        "events of those minutes": after["events"] - before["events"],
        "waiting at the end": waiting,
        "state file grew by MB": round((after["bytes"] - before["bytes"]) / 1e6, 1),
        "caught up in s": round(caught_up_s, 1),
        "catch-up, events/s": round(waiting / caught_up_s),
        "expected": len(expected),
        "delivered": delivered.total(),
        "lost": len(expected - delivered.keys()),
        "duplicated": sum(n - 1 for n in delivered.values()),
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    return bool(result["lost"] or result["duplicated"])


def sent(store: Path, sink: str) -> int:
    if not (store / "state.db").exists():
        return 0
    with Outbox(store / "state.db") as outbox:
        return outbox.sent(sink)


def sizes(store: Path) -> dict:
    with Outbox(store / "state.db") as outbox:
        events = outbox.rows("SELECT count(*) FROM records")[0][0]
    return {"events": events, "bytes": sum(path.stat().st_size for path in store.glob("state.db*"))}


if __name__ == "__main__":
    raise SystemExit(main())
