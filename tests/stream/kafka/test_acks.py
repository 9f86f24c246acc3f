"""Acknowledged alerts come back over the topic of reviews; a replay goes out marked; old events go,
and room is kept.
"""

import json
import sqlite3
import time
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from ingest import StoreError
from stream.alerts.cell_rules import alerts_of
from stream.cli.app import app
from stream.config import Alerts
from stream.events.codec import to_line
from stream.events.event import alert_event, review_event
from stream.kafka.acks import Acks, follow_reviews
from stream.kafka.sink import KafkaSink
from stream.sinks.relay import send_batch
from stream.store.outbox import DiskLimits, Outbox
from tests.stream.making import STAMP, make_cell, make_events, make_slide, make_verdict


def an_alert():
    cell, verdict = make_cell(), make_verdict(1.0)
    return alert_event(make_slide(), cell, verdict, alerts_of(cell, verdict, Alerts())[0], STAMP)


@pytest.mark.broker
def test_an_acknowledgement_of_another_store_comes_back_over_kafka(
    outbox, add, kafka_for, session_broker, tmp_path
):
    kafka, alert = kafka_for(session_broker), an_alert()
    add([alert])
    with Outbox(tmp_path / "page" / "state.db") as page:
        with page.transaction() as tx:
            tx.add(
                [
                    review_event("s1", "confirm", "anna", STAMP, cell_id="c1"),
                    review_event("s1", "acknowledge", "anna", STAMP, alert_id=alert.id),
                ]
            )
        sink = KafkaSink(kafka, page.store_id)
        send_batch(page, sink, 5)
        sink.close()
    for _ in range(2):  # read again, nothing is counted again
        with follow_reviews(outbox, kafka) as acks:
            for _ in range(200):
                if any(standing.reviewer for standing in acks.alerts()):
                    break
                time.sleep(0.05)
    assert [(standing.event, standing.reviewer) for standing in Acks(outbox).alerts()] == [
        (alert, "anna")
    ]
    assert sum(outbox.rows("SELECT next FROM read_reviews"), ()) == (2,)


def test_open_alerts_are_listed(outbox, add):
    add([an_alert()])
    said = CliRunner().invoke(app, ["alerts", "--store", str(outbox.path.parent), "--json"])
    assert said.exit_code == 0 and json.loads(said.stdout)["acknowledged_by"] is None
    acks = Acks(outbox)
    acks.keep(review_event("s1", "acknowledge", "anna", STAMP, alert_id=an_alert().id), 0, 7)
    assert (
        CliRunner().invoke(app, ["alerts", "--store", str(outbox.path.parent), "--json"]).stdout
        == ""
    )


def test_a_replay_goes_out_once_more_and_marked(outbox, add, tmp_path):
    add(make_events(3))
    with outbox.transaction() as tx:
        tx.set_status("s1", "done")
    words = ["--store", str(outbox.path.parent), "--sink", f"jsonl:{tmp_path / 'e.jsonl'}"]
    for _ in range(2):
        assert CliRunner().invoke(app, ["replay", "s1", *words]).exit_code == 0
    lines = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    firsts = [line["id"] for line in lines[:3]]
    assert [line.get("replayof") for line in lines] == [None] * 3 + firsts * 2
    assert len({line["id"] for line in lines}) == 9


def test_sent_events_of_finished_slides_are_dropped_in_time(outbox, add):
    add([*make_events(3), *make_events(2, "s2")])
    with outbox.transaction() as tx:
        tx.set_status("s1", "done")
        tx.set_status("s2", "running")
    assert outbox.prune(0, ["a"]) == 0  # nothing is sent
    outbox.mark_sent("a", 5)
    assert outbox.prune(30, ["a"]) == 0 and outbox.prune(-1, ["a"]) == 3
    assert {record.event.subject for record in outbox.events()} == {"s2"}


def test_alerts_are_kept_for_the_review_page(outbox, add):
    alert = an_alert()
    add([*make_events(2), alert])
    with outbox.transaction() as tx:
        tx.set_status("s1", "done")
    outbox.mark_sent("a", 3)
    assert outbox.prune(-1, ["a"]) == 2 and [record.event.id for record in outbox.events()] == [
        alert.id
    ]


def test_a_store_stops_in_order_before_the_disk_is_full(tmp_path):
    full = pytest.raises(StoreError, match="GB free.*store.free_gb")
    with (
        Outbox(tmp_path / "a.db", DiskLimits(free_bytes=1e18)) as outbox,
        full,
        outbox.transaction() as tx,
    ):
        tx.add(make_events(1))
    with Outbox(tmp_path / "b.db", DiskLimits(waiting_bytes=10_000)) as outbox:
        with outbox.transaction() as tx:
            tx.add(make_events(100))
        outbox._checked_s = 0
        with (
            pytest.raises(StoreError, match="wait for a sink.*start the broker"),
            outbox.transaction(),
        ):
            pass
        outbox.mark_sent("a", 100)
        outbox._checked_s = 0
        with outbox.transaction() as tx:
            tx.add([replace(make_events(1)[0], id="more")])


def test_a_store_of_version_0_1_0_goes_on(tmp_path):
    events = make_events(3)
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute(
            "CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, subject "
            "TEXT, line TEXT)"
        )
        rows = [(event.id, event.subject, to_line(event)) for event in events]
        db.executemany("INSERT INTO events (id, subject, line) VALUES (?, ?, ?)", rows)
    db.close()
    with Outbox(tmp_path / "state.db") as outbox:
        assert [(record.seq, record.event) for record in outbox.events()] == list(
            enumerate(events, 1)
        )
