import sqlite3
import threading
from contextlib import closing

import pytest

from ingest import StoreError
from stream.store.outbox import Outbox
from stream.store.slide_queries import NEW_CELLS
from tests.stream.making import make_events


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store" / "state.db"


def numbers(records):
    return [record.event.data["cell_id"] for record in records]


def test_events_come_back_equal_and_in_order(add, outbox):
    events = make_events(300)
    add(events)
    assert [record.event for record in outbox.events("s1")] == events
    assert [record.event for record in outbox.events()] == events
    assert [record.event for record in outbox.unsent("a", 500)] == events


def test_the_same_event_twice_is_one(add, outbox):
    add(make_events(2))
    add(make_events(3))
    assert numbers(outbox.unsent("a", 9)) == ["c1", "c2", "c3"]


def test_each_sink_has_its_own_place(add, outbox):
    add(make_events(3))
    second = outbox.unsent("a", 9)[1]
    outbox.mark_sent("a", second.seq)
    assert (outbox.count_unsent("a"), outbox.count_unsent("b")) == (1, 3)


def test_a_refused_event_is_put_aside(add, outbox):
    add(make_events(3))
    outbox.put_aside("a", 2, "too large")
    *sent, letter = outbox.unsent("a", 9)
    assert numbers(sent) == ["c1", "c3"]
    assert letter.kind == "dead" and letter.event.payload().reason == "too large"
    assert [(row.seq, row.event.data["cell_id"], row.reason) for row in outbox.refused("a")] == [
        (2, "c2", "too large")
    ]
    assert outbox.refused("b") == []


def test_results_and_events_commit_together_or_not_at_all(outbox):
    with pytest.raises(KeyError), outbox.transaction() as tx:
        tx.add(make_events(1))
        tx.tile_done("s1", "0,0")
        tx.add_cells("s1", [("c1", "{}", None, None)])
        raise KeyError
    assert (outbox.count_unsent("a"), outbox.tiles_done("s1"), outbox.cell_ids("s1")) == (
        0,
        set(),
        set(),
    )


def test_what_was_committed_is_there_after_reopening(outbox, path):
    with outbox.transaction() as tx:
        tx.add(make_events(1))
        tx.tile_done("s1", "0,0")
        tx.set_status("s1", "running", tiles=4)
    with Outbox(path) as again:
        assert again.count_unsent("a") == 1
        assert again.tiles_done("s1") == {"0,0"}
        assert (again.status("s1"), again.facts("s1")) == ("running", {"tiles": 4})
        assert again.store_id == outbox.store_id


def test_two_stores_have_two_ids(outbox, tmp_path):
    with Outbox(tmp_path / "other.db") as other:
        assert other.store_id != outbox.store_id


def test_cells_keep_their_order_and_lose_their_crops_on_demand(outbox):
    with outbox.transaction() as tx:
        tx.add_cells("s1", [(f"c{number}", f"[{number}]", b"png", b"f") for number in range(600)])
        tx.add_cells("s2", [("c1", "{}", b"png", None)])
        tx.add_cells("s1", [("c1", "changed", b"png", None)])
    cells = list(outbox.cells("s1"))
    assert [cell.body for cell in cells] == [f"[{number}]" for number in range(600)]
    with outbox.transaction() as tx:
        tx.drop_crops("s1", cells[9].row)
    assert [cell.crop is None for cell in outbox.cells("s1")] == [True] * 10 + [False] * 590
    assert [cell.features for cell in outbox.cells("s1")] == [None] * 10 + [b"f"] * 590
    assert next(outbox.cells("s2")).crop == b"png"
    assert next(outbox.cells("s1", after_row=cells[9].row)) == cells[10]
    assert len(outbox.cell_ids("s1")) == 600


def test_a_store_from_before_features_takes_them(path):
    Outbox(path).close()
    with closing(sqlite3.connect(path)) as old:
        old.execute("ALTER TABLE cells DROP COLUMN features")
    with Outbox(path) as outbox:
        with outbox.transaction() as tx:
            tx.add_cells("s1", [("c1", "{}", b"png", b"features")])
        assert next(outbox.cells("s1")).features == b"features"


def test_status_of_an_unknown_slide(outbox):
    assert (outbox.status("s1"), outbox.facts("s1"), outbox.slide_ids()) == (None, {}, [])


def test_a_full_disk_says_so_and_keeps_what_was_committed(add, outbox):
    add(make_events(3))
    pages = outbox._state.rows("PRAGMA page_count")[0][0]
    outbox._state.rows(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="full.*free some space"):
        add(make_events(500))
    assert outbox.count_unsent("a") == 3
    outbox._state.rows("PRAGMA max_page_count = 100000")
    add(make_events(500))
    assert outbox.count_unsent("a") == 500


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "state.db").write_text("not a database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Outbox(tmp_path / "state.db")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose another store"):
        Outbox(tmp_path / "file" / "state.db")


def test_a_relay_reads_while_the_writer_writes(add, outbox):
    seen = []

    def relay():
        while len(seen) < 50:
            for record in outbox.unsent("a", 7):
                seen.append(record.event.id)
                outbox.mark_sent("a", record.seq)

    thread = threading.Thread(target=relay)
    thread.start()
    events = make_events(50)
    for event in events:
        add([event])
    thread.join(20)
    assert seen == [event.id for event in events]


def test_a_commit_wakes_the_relay_and_a_rollback_does_not(add, outbox):
    woken = []
    outbox.on_commit(lambda: woken.append(1))
    add(make_events(1))
    with pytest.raises(KeyError), outbox.transaction():
        raise KeyError
    assert woken == [1]


def test_writes_are_flushed_to_disk(outbox):
    assert outbox._state.rows("PRAGMA synchronous") == [(2,)]
    assert outbox._relays.rows("PRAGMA synchronous") == [(1,)]  # the sink itself knows what it has
    assert outbox._state.rows("PRAGMA journal_mode") == [("wal",)]


def test_a_locked_store_says_so(path, monkeypatch):
    monkeypatch.setattr("stream.store.database.sqlite.BUSY_WAIT_S", 0.05)
    with Outbox(path) as outbox:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another run"), outbox.transaction() as tx:
            tx.add(make_events(1))
        other.close()


def test_new_cells_are_found_without_a_look_at_the_others(outbox):
    plan = outbox.rows(f"EXPLAIN QUERY PLAN {NEW_CELLS}", after_row=0)
    assert any("rowid>" in step for *_, step in plan), plan
