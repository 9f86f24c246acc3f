"""What an outbox keeps, for how long, and when it stops because the disk is full."""

import sqlite3
from dataclasses import replace

import pytest

from ingest import StoreError
from stream.alerts.cell_rules import alerts_of
from stream.config import Alerts
from stream.events.cell_events import alert_event
from stream.events.codec import to_line
from stream.store.outbox import DiskLimits, Outbox
from tests.stream.making import STAMP, make_cell, make_events, make_slide, make_verdict


def an_alert():
    cell, verdict = make_cell(), make_verdict(1.0)
    return alert_event(make_slide(), cell, verdict, alerts_of(cell, verdict, Alerts())[0], STAMP)


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
