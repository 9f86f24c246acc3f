"""The stream's speed: the relay against a bare producer in one run, and from "cell decided" to
"consumer has it".

    python -m tests.tools.bench.stream --events 10000 --rounds 3

Beside the wall clock stands the ratio of CPU time, which a busy machine does not bend.
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from kafka import KafkaConsumer, KafkaProducer
from rich.console import Console
from rich.table import Table

from classify import Anomaly, Verdict
from ingest import Slide
from segment import Cell
from stream.config import Kafka, Topics
from stream.events.cell_events import cell_event
from stream.events.event import Event, Provenance
from stream.kafka.embedded_broker import Broker
from stream.kafka.sink import KafkaSink, producer_settings
from stream.sinks.relay import Relay, send_batch
from stream.store.outbox import Outbox
from stream.store.outbox_record import OutboxRecord

CLASSES = (
    "basophil",
    "eosinophil",
    "erythroblast",
    "ig",
    "lymphocyte",
    "monocyte",
    "neutrophil",
    "platelet",
)


def events(count: int) -> list[Event]:
    """Cell events as large as real ones."""
    slide = Slide(
        uuid.uuid4().hex[:20], Path("none"), 40_000, 30_000, 0.25, (), "generic", "unknown", "image"
    )
    rng, crop = np.random.default_rng(0), np.zeros((128, 128, 3), np.uint8)
    stamp, made = Provenance("bench", "0123456789ab", "0123456789ab", {}), []
    for number in range(count):
        p = rng.dirichlet(np.ones(len(CLASSES)))
        anomaly = Anomaly(
            float(rng.uniform()),
            float(rng.normal()),
            float(rng.normal()),
            "between neutrophil and ig",
        )
        x, y = (int(v) for v in rng.integers(0, 30_000, 2))
        box = (x - 60, y - 60, x + 60, y + 60)
        cell = Cell(
            f"{number:020x}", slide.slide_id, "wbc", x, y, box, float(rng.uniform(60, 200)), crop
        )
        verdict = Verdict(
            CLASSES[int(p.argmax())],
            dict(zip(CLASSES, map(float, p), strict=True)),
            anomaly,
            8,
            True,
        )
        made.append(cell_event(slide, cell, verdict, stamp))
    return made


def config_of(broker: Broker, **changes) -> Kafka:
    name = uuid.uuid4().hex
    return Kafka(
        bootstrap=broker.bootstrap,
        topics=Topics(**{kind: f"{kind}-{name}" for kind in Topics.model_fields}),
        **changes,
    )


def bare(config: Kafka, records: list[OutboxRecord]) -> tuple[float, float]:
    """(wall, CPU) seconds of a kafka-python producer with the relay's settings, without
    transactions.
    """
    settings = {
        name: value
        for name, value in producer_settings(config, "").items()
        if not name.startswith("transaction")
    }
    producer = KafkaProducer(**settings)
    producer.send(config.topics.cells, b"first").get(20)  # connected, and the topic is there
    start_s, cpu_s = time.perf_counter(), time.process_time()
    futures = [
        producer.send(config.topics.cells, key=p.key, headers=p.headers, value=p.value)
        for p in records
    ]
    producer.flush()
    assert all(future.succeeded() for future in futures)
    taken = time.perf_counter() - start_s, time.process_time() - cpu_s
    producer.close()
    return taken


def relayed(config: Kafka, outbox: Outbox, count: int) -> tuple[float, float]:
    """(wall, CPU) seconds of the relay over a full outbox: read, transactions, place, cursor."""
    sink = KafkaSink(config, uuid.uuid4().hex)
    sink.place()
    start_s, cpu_s, moved = time.perf_counter(), time.process_time(), 0
    while n := send_batch(outbox, sink, config.batch_events):
        moved += n
    assert moved == count
    taken = time.perf_counter() - start_s, time.process_time() - cpu_s
    sink.close()
    outbox.mark_sent(sink.name, 0)
    return taken


def ratios(broker: Broker, count: int, rounds: int, folder: Path) -> dict:
    made = events(count)
    records = [OutboxRecord.of(number, event) for number, event in enumerate(made, 1)]
    with Outbox(folder / "state.db") as outbox:
        start_s = time.perf_counter()
        for at in range(0, count, 16):
            with outbox.transaction() as tx:
                tx.add(made[at : at + 16])
        added_s = time.perf_counter() - start_s
        runs = [
            (bare(config_of(broker), records), relayed(config_of(broker), outbox, count))
            for _ in range(rounds)
        ]
    wall = [(b[0], r[0]) for b, r in runs]
    return {
        "bytes an event": round(sum(len(p.value) for p in records) / count),
        "committed, events/s": round(count / added_s),
        "bare producer, events/s": round(count / statistics.median(b for b, _ in wall)),
        "relay, events/s": round(count / statistics.median(r for _, r in wall)),
        "ratio": round(statistics.median(b / r for b, r in wall), 2),
        "ratio of CPU time": round(statistics.median(b[1] / r[1] for b, r in runs), 2),
    }


def consume(config: Kafka, count: int, ready, results) -> None:
    """In a process of its own: seconds from ce_time to here, a record each."""
    consumer = KafkaConsumer(
        config.topics.cells,
        bootstrap_servers=config.bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=5,
        fetch_min_bytes=1,
    )
    waits = []
    ready.set()
    for record in consumer:
        now = datetime.now(UTC)
        decided = datetime.fromisoformat(dict(record.headers)["ce_time"].decode())
        waits.append((now - decided).total_seconds())
        if len(waits) == count:
            break
    results.put(waits)
    consumer.close()


def latency(broker: Broker, count: int, batch: int, pause_s: float, folder: Path) -> dict:
    """Commits `batch` cells, then pauses, again and again; p50, p95, p99 in ms."""
    config, made = config_of(broker, linger_ms=5), events(count)
    context = multiprocessing.get_context("spawn")
    ready, results = context.Event(), context.Queue()
    with Outbox(folder / f"latency-{batch}.db") as outbox:
        sink = KafkaSink(config, outbox.store_id)
        sink.place()
        reader = context.Process(target=consume, args=(config, count, ready, results))
        reader.start()
        ready.wait(120)
        time.sleep(1)
        with Relay(outbox, sink) as relay:
            start_s = time.perf_counter()
            for at in range(0, count, batch):
                now = datetime.now(UTC)
                with outbox.transaction() as tx:
                    tx.add(replace(event, time=now) for event in made[at : at + batch])
                time.sleep(pause_s)
            relay.drain(120)
            waits = results.get(timeout=120)
            rate = count / (time.perf_counter() - start_s)
        reader.join()
    p50, p95, p99 = (round(1000 * float(np.percentile(waits, q)), 1) for q in (50, 95, 99))
    return {"events/s": round(rate), "p50 ms": p50, "p95 ms": p95, "p99 ms": p99}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with Broker() as broker, tempfile.TemporaryDirectory() as folder:
        found = {"relay": ratios(broker, options.events, options.rounds, Path(folder))}
        found["idle"] = latency(broker, 100, 1, 0.05, Path(folder))
        found["under load: 16 cells at a time, 12 times a second"] = latency(
            broker, 3200, 16, 1 / 12, Path(folder)
        )
        found["more than this machine can take"] = latency(
            broker, options.events // 2, 17, 0.0, Path(folder)
        )
    for title, rows in found.items():
        table = Table("what", "figure", title=title)
        for name, value in rows.items():
            table.add_row(name, str(value))
        Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
