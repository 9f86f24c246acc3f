"""What the state of a store does, whichever database has it. A subclass gives the folder."""

import json
import subprocess
import threading
from collections import Counter
from contextlib import ExitStack, closing
from hashlib import sha256

import pytest

from ingest import Failure, StoreError
from stream.config import BacklogSettings
from stream.identity import Claim, Identity, Order
from stream.store import (
    AccountRow,
    AccountTable,
    Backlog,
    FigureQueries,
    Job,
    LeaseLostError,
    Outbox,
    SlideQueries,
    TrailRecords,
    TrailRow,
)
from stream.store.database import State
from stream.store.leases import died_here
from stream.store.slide_queries import CELLS_PAGE
from stream.store.upkeep import remove_orders, remove_slide, snapshot
from tests.stream.making import make_events

RULES = BacklogSettings(retry_s=0.0, tries=2, deaths=2)
CELL = {"kind": "wbc", "y_px0": 7, "box_px0": [1, 2, 3, 4], "area_um2": 120.5}
SAID = {"label": "blast", "scores": {"blast": 1.0}, "anomaly": {"score": 0.5, "reason": "none"}}
ENTRY = TrailRow(1, "s1", "line", "digest", "seal", "stated")


def made_body(number: int) -> str:
    """What the journal holds of a cell."""
    return json.dumps({"cell": {**CELL, "x_px0": number}, "verdict": SAID, "crop": "digest"})


class StoreContract:
    @pytest.fixture
    def path(self, folder):
        return folder / "state.db"

    @pytest.fixture
    def outbox(self, path):
        with Outbox(path) as outbox:
            yield outbox

    @pytest.fixture
    def other(self, path):
        """The same store as another process has it open."""
        with Outbox(path) as other:
            yield other

    @pytest.fixture
    def queries(self, outbox, path):
        with closing(SlideQueries(path)) as queries:
            yield queries

    @pytest.fixture
    def files(self, tmp_path):
        paths = [tmp_path / f"{name}.svs" for name in "abc"]
        for path in paths:
            path.write_text(path.name)
        return paths

    def test_events_come_back_equal_in_order_and_once(self, outbox, other):
        events = make_events(300)
        for some in (events[:200], events[100:]):
            with outbox.transaction() as tx:
                tx.add(some)
        assert [record.event for record in other.events("s1")] == events
        assert [record.event for record in other.unsent("a", 500)] == events
        assert [record.event for record in other.events(types=("no.such",))] == []
        seqs = [record.seq for record in other.unsent("a", 500)]
        assert seqs == sorted(set(seqs)) and other.record(seqs[7]).event == events[7]

    def test_results_and_events_commit_together_or_not_at_all(self, outbox):
        with pytest.raises(KeyError), outbox.transaction() as tx:
            tx.add(make_events(1))
            tx.tile_done("s1", "0,0")
            tx.add_cells("s1", [("c1", "{}", None, None)])
            raise KeyError
        assert outbox.count_unsent("a") == 0
        assert (outbox.tiles_done("s1"), outbox.cell_ids("s1")) == (set(), set())

    def test_each_sink_has_its_own_place_and_its_own_refusals(self, outbox):
        with outbox.transaction() as tx:
            tx.add(make_events(3))
        first, second, _ = outbox.unsent("a", 9)
        outbox.mark_sent("a", second.seq)
        outbox.mark_sent("a", first.seq)
        outbox.put_aside("a", second.seq, "too large")
        *_, letter = outbox.unsent("a", 9)
        assert letter.kind == "dead" and letter.event.payload().reason == "too large"
        assert (outbox.count_unsent("a"), outbox.count_unsent("b")) == (2, 4)
        assert [(row.seq, row.reason) for row in outbox.refused()] == [(second.seq, "too large")]
        assert outbox.refused("b") == [] and outbox.sent("a") == first.seq

    def test_cells_keep_their_order_and_lose_their_crops(self, outbox, queries):
        crops = bytes(range(256))
        with outbox.transaction() as tx:
            tx.add_cells(
                "s1", [(f"c{number}", made_body(number), crops, b"f") for number in range(600)]
            )
            tx.add_cells("s2", [("c1", "{}", b"png", None)])
            tx.add_cells("s1", [("c1", "changed", b"png", None)])
        cells = list(outbox.cells("s1"))
        assert [cell.body for cell in cells] == [made_body(number) for number in range(600)]
        assert cells[0].crop == crops == queries.cell_crop(cells[0].row)
        with outbox.transaction() as tx:
            tx.drop_crops("s1", cells[9].row)
        assert [cell.crop is None for cell in outbox.cells("s1")] == [True] * 10 + [False] * 590
        page = list(queries.cells_page("s1", cells[597].row))
        assert [(row, cell_id) for row, cell_id, _ in page] == [
            (cell.row, cell.cell_id) for cell in cells[598:]
        ]
        assert [body.cell.x_px0 for *_, body in page] == [598, 599]
        assert set(queries.new_cell_rows(0)) == {"s1", "s2"} and queries.last_cell_row() > 600
        said = [[cell.row, cell.cell_id, cell.body] for cell in cells]
        by_hand = sha256("".join(map(json.dumps, said[:10])).encode()).hexdigest()
        assert queries.verdict_digest("s1", cells[9].row) == by_hand
        by_hand = sha256("".join(map(json.dumps, said)).encode()).hexdigest()
        assert queries.verdict_digest("s1", cells[-1].row) == by_hand

    def test_a_page_of_cells_is_read_without_the_rest_of_its_slide(self, outbox, queries):
        """10,000 cells of a slide would be sorted for each of its pages."""
        with outbox.transaction() as tx:
            tx.add_cells("s1", [(f"c{n}", made_body(n), None, None) for n in range(3)])
        if queries._state.backend.dialect.name == "sqlite":
            plan = queries._state.rows(
                f"EXPLAIN QUERY PLAN {CELLS_PAGE}", slide_id="s1", after_row=0
            )
        else:
            with outbox.exclusive() as db:
                db.rows("SET LOCAL enable_seqscan = off")
                plan = db.rows(f"EXPLAIN {CELLS_PAGE}", slide_id="s1", after_row=0)
        assert "cells_of_slide" in str(plan) and not {"ORDER BY", "Sort"} & set(str(plan).split())

    def test_a_cell_that_no_run_has_written_is_not_read(self, outbox, queries):
        for body in ("", "{}", made_body(1).replace('"score"', '"scor"'), "[1]"):
            with outbox.transaction() as tx:
                tx.add_cells(f"s{body}", [("c1", body, None, None)])
            with pytest.raises(StoreError, match="no run writes"):
                list(queries.cells_page(f"s{body}", 0))

    def test_the_cells_of_a_page_are_decoded_one_by_one(self, outbox, queries):
        """Thousands that live at a time are walked by the collector of garbage."""
        with outbox.transaction() as tx:
            tx.add_cells("s1", [("c1", made_body(1), None, None), ("c2", "{}", None, None)])
        page = queries.cells_page("s1", 0)
        assert next(page)[1] == "c1"
        with pytest.raises(StoreError, match="no run writes"):
            next(page)

    def test_status_facts_and_failures(self, outbox, queries):
        with outbox.transaction() as tx:
            for number in range(3):
                slide = {"path": f"/scans/{number}", "scanner": "one"}
                facts = {"slide": slide, "odd": number, "progress": {"cells": 10}, "at": number}
                tx.set_status(f"s{number}", "running", **facts)
            tx.set_status("s0", "done", **{**facts, "odd": 7})
            tx.keep_failure("file-1", "/scans/x", Failure("code", "s0", "what", "hint"))
            tx.keep_failure("file-1", "/scans/y", Failure("code", "s0", "what", "hint"))
        assert (outbox.status("s0"), outbox.status("s9")) == ("done", None)
        assert outbox.facts_of_path("/scans/1")["odd"] == 1 and outbox.facts_of_path("/x") == {}
        assert outbox.odd_shares("one", 5, "s9") == [(7, 10)]
        assert [failure.path for failure in outbox.failures()] == ["/scans/y"]
        assert queries.slide_states()["s0"][0] == "done" and outbox.slide_ids() == [
            "s0",
            "s1",
            "s2",
        ]

    def test_another_commit_is_seen(self, outbox, queries):
        before = queries.data_version()
        assert queries.data_version() == before
        with outbox.transaction() as tx:
            tx.tile_done("s1", "0,0")
        assert queries.data_version() != before

    def test_events_of_two_writers_are_seen_in_the_order_of_their_numbers(self, outbox, other):
        """Else a relay that has passed a number misses what is committed below it later."""
        seen, begun = [], threading.Event()

        def write():
            begun.set()
            with other.transaction() as tx:
                tx.add(make_events(1, "s2"))

        with outbox.transaction() as tx:
            tx.add(make_events(1))
            thread = threading.Thread(target=write)
            thread.start()
            begun.wait(10)
            thread.join(0.1)
            seen += outbox.unsent("a", 9)
            tx.add(make_events(2, "s3"))
        thread.join(10)
        assert seen == []
        found = [(record.seq, record.event.subject) for record in outbox.unsent("a", 9)]
        assert found == sorted(found) and [subject for _, subject in found] == [
            "s1",
            "s3",
            "s3",
            "s2",
        ]

    def test_a_name_has_one_holder(self, outbox, other):
        assert outbox.leases.take("a") and outbox.leases.take("a") and outbox.leases.holds("a")
        assert not other.leases.take("a") and other.leases.take("b")
        outbox.leases.give("a")
        assert other.leases.take("a") and not outbox.leases.holds("a")
        other.leases.close()
        assert outbox.leases.take("a") and outbox.leases.take("b")

    def test_who_was_taken_over_cannot_write(self, outbox, other):
        outbox.leases.take("slide s1")
        with other.exclusive() as db:
            db.change("UPDATE leases SET owner = :owner", owner=other.leases.owner)
        with pytest.raises(LeaseLostError, match="another process"), outbox.transaction() as tx:
            tx.tile_done("s1", "0,0")
            tx.hold("slide s1")
        assert outbox.tiles_done("s1") == set()

    def test_a_slide_of_a_process_that_died_is_taken_on(self, outbox, other, files):
        backlog = Backlog(outbox, RULES)
        backlog.add([Job(files[0])])
        assert Backlog(other, RULES).next() and not backlog.next()
        ended = subprocess.Popen(["true"])
        ended.wait()
        *host, _, born, name = other.leases.owner.split(" ")
        with outbox.exclusive() as db:
            dead = " ".join([*host, str(ended.pid), born, name])
            db.change("UPDATE leases SET owner = :owner", owner=dead)
        assert died_here(dead) and backlog.next().path == files[0]

    def test_two_processes_share_a_backlog(self, outbox, other, files):
        one, two = Backlog(outbox, RULES), Backlog(other, RULES)
        assert one.add(map(Job, files[:2])) == 2
        assert two.add([*map(Job, files[1:]), Job(files[2], priority=10)]) == 1
        taken = [one.next(), two.next(), one.next(), two.next()]
        assert [job and job.path.stem for job in taken] == ["c", "a", "b", None]
        one.finish(taken[0], "s1", 1.0)
        assert two.fail(taken[1], "away") is False and one.fail(one.next(), "away") is True
        assert [job.state for job in two.jobs()] == ["failed", "running", "done"]
        one.give_back(taken[2])
        assert two.rename(files[1], files[1].with_name("d.svs"))
        assert [path.stem for path in two.waiting_paths()] == ["d"] and two.is_open()
        assert two.place(files[2])["slide_id"] == "s1"

    def test_hosts_of_one_speed_do_as_many_slides_each(self, path, tmp_path):
        """None takes a slide ahead, and none waits for a slide that another host has."""
        with ExitStack() as opened:
            stores = [opened.enter_context(Outbox(path)) for _ in range(4)]
            hosts = [Backlog(store, RULES) for store in stores]
            hosts[0].add(Job(tmp_path / f"{number:02}.svs") for number in range(20))
            running = [host.next() for host in hosts]
            done = []
            while any(running):
                for number, host in enumerate(hosts):
                    if job := running[number]:
                        host.finish(job, job.path.stem, 1.0)
                        done.append((number, job.path.stem))
                        running[number] = host.next()
            assert not hosts[0].is_open()
        assert [name for _, name in done] == [f"{number:02}" for number in range(20)]
        assert Counter(number for number, _ in done) == dict.fromkeys(range(4), 5)

    def test_what_is_done_stays_done_until_the_file_changes(self, outbox, files):
        backlog = Backlog(outbox, RULES)
        backlog.add(map(Job, files[:1]), asked="model 1")
        backlog.finish(backlog.next(), "s1", 1.0)
        backlog.add(map(Job, files[:1]))
        backlog.add(map(Job, files[:1]), asked="model 1")
        assert backlog.next() is None
        backlog.add(map(Job, files[:1]), asked="model 2")
        backlog.finish(backlog.next(), "s1", 1.0)
        files[0].write_text("another slide")
        backlog.add(map(Job, files[:1]))
        assert backlog.next().path == files[0]

    def test_identities_and_orders(self, outbox, path):
        ada = Identity(accession="A-1", patient_id="p1", patient_name="Ada", order="o1")
        with outbox.transaction() as tx:
            tx.set_claims(
                "s1", "barcode", "/scans/1", [Claim("barcode", Identity(accession="A-1"))]
            )
            assert tx.put_order(Order(ada)) and not tx.put_order(Order(ada))
            tx.keep_refused_order("c1", "no order", b"MSH|\x00")
        (claim,) = outbox.claims("s1")
        assert (claim.identity.accession, outbox.orders("p1")[0].identity) == ("A-1", ada)
        assert [order.identity for order in outbox.orders_with([claim])] == [ada]
        assert outbox.refused_orders()[0].body == b"MSH|\x00"
        changed = outbox.last_identity_change()
        assert remove_orders(path, "p1") == 1 and outbox.last_identity_change() > changed

    def test_accounts_and_sessions(self, folder):
        with closing(AccountTable(folder / "access.db")) as accounts:
            for role in ("viewer", "admin"):
                with accounts.changing() as change:
                    change.put(AccountRow("ada", role, "hash"))
            accounts.begin_session("digest", "ada", now=10.0, ends=20.0)
            assert accounts.session_account("digest", 11.0) == AccountRow("ada", "admin", "hash")
            assert accounts.session_name("digest", 21.0) is None
            with pytest.raises(KeyError), accounts.changing() as change:
                change.remove("ada", 12.0)
                raise KeyError
            with accounts.changing() as change:
                assert change.other_roles("bob") == ["admin"]
                change.remove("ada", 12.0)
                assert change.is_removed("ada")
            assert not accounts.has_any() and accounts.has_removed()

    def test_the_audit_trail_grows_and_never_changes(self, folder):
        path = folder / "reviews.db"
        with closing(TrailRecords(path)) as trail:
            with trail.appending() as entries:
                assert entries.head()[0] == 0
                entries.append(ENTRY, make_events(1)[0])
            assert list(trail.rows()) == [TrailRow(1, "s1", "line", "digest", "seal")]
            assert (trail.head(), trail.stated(1), trail.seal_count()) == (
                (1, "digest"),
                "stated",
                1,
            )
            assert trail.reviewed_slides(0) == {"s1": 1} and list(trail.lines("s2")) == []
            assert trail.outbox.count_unsent("a") == 1
        with closing(State(path)) as state:
            for sql in ("UPDATE trail SET line = ''", "DELETE FROM trail"):
                with pytest.raises(StoreError, match="only grows"), state.transaction() as db:
                    db.change(sql)

    def test_figures(self, outbox, path, files):
        Backlog(outbox, RULES).add(map(Job, files))
        with outbox.transaction() as tx:
            tx.add(make_events(3))
            tx.set_status("s1", "running")
        outbox.mark_sent("a", outbox.unsent("a", 9)[0].seq)
        with closing(FigureQueries(path)) as queries:
            figures = queries.figures()
            assert (figures.slides, figures.backlog) == ({"running": 1}, {"waiting": 3})
            assert figures.state_bytes == outbox.size_bytes() > 0
            assert queries.sinks(["b"])["a"].waiting == 2 and queries.sinks(["b"])["b"].waiting == 3

    def test_a_slide_is_removed_and_the_rest_stays(self, outbox, path):
        for slide_id in ("s1", "s2"):
            with outbox.transaction() as tx:
                tx.add(make_events(2, slide_id))
                tx.add_cells(slide_id, [("c1", "{}", b"png", None)])
                tx.set_status(slide_id, "done")
        assert remove_slide(path, "s1").rows == {"cells": 1, "slides": 1, "records": 2}
        assert outbox.slide_ids() == ["s2"] and outbox.cell_ids("s1") == set()
        assert len(list(outbox.events())) == 2

    def test_a_copy_is_a_store_of_one_file(self, outbox, path, tmp_path):
        events = make_events(5)
        with outbox.transaction() as tx:
            tx.add(events)
            tx.add_cells("s1", [("c1", "{}", b"\x00png", None)])
            tx.set_status("s1", "done", tiles=4)
        copy = tmp_path / "copy" / "state.db"
        copy.parent.mkdir()
        snapshot(path, copy)
        with Outbox(copy) as kept:
            assert kept.store_id == outbox.store_id and kept.facts("s1") == {"tiles": 4}
            assert [record.seq for record in kept.events()] == [
                record.seq for record in outbox.events()
            ]
            assert [record.event for record in kept.events()] == events
            assert next(kept.cells("s1")).crop == b"\x00png"
            with kept.transaction() as tx:
                tx.add(make_events(1, "s2"))
            assert len(list(kept.events("s2"))) == 1

    def test_an_earlier_store_gains_what_it_lacks(self, outbox, path):
        with outbox.exclusive() as db:
            db.change("ALTER TABLE cells DROP COLUMN features")
            db.change("DROP TABLE claims")
            db.change("DROP INDEX records_of_slide")
        with Outbox(path) as again, again.transaction() as tx:
            tx.add_cells("s1", [("c1", "{}", b"png", b"features")])
            tx.set_claims("s1", "barcode", "", [])
        assert next(outbox.cells("s1")).features == b"features"

    def test_what_is_closed_says_so(self, outbox, path):
        with closing(State(path)) as state:
            assert state.integer("SELECT 1") == 1
        with pytest.raises(StoreError, match="closed"):
            state.rows("SELECT 1")
        with pytest.raises(StoreError, match="closed"), state.transaction():
            pass

    def test_a_fault_of_a_query_is_an_error_of_the_store(self, outbox):
        with pytest.raises(StoreError, match="no_such"):
            outbox.rows("SELECT 1 FROM no_such")
        with pytest.raises(StoreError, match="no_such"), outbox.exclusive() as db:
            db.change("DELETE FROM no_such")
        assert outbox.count_unsent("a") == 0
