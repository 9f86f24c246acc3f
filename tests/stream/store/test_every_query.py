"""Every question that is asked of a small store, and its whole answer: two slides, one of them with
a version before it, files that are none, a backlog, two sinks.
"""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ingest import Failure, StoreError
from segment import Cell
from stream.config import BacklogSettings
from stream.events import failure_event
from stream.events.alert import Alert, SlideAlert
from stream.events.cell_events import alert_event, cell_event
from stream.events.slide_events import slide_alert_event, slide_event
from stream.store import Backlog, Job, SlideQueries, entry_of
from stream.store import outbox as outbox_module
from stream.store import store_figures as figures_module
from stream.store.outbox import DiskLimits, Outbox
from stream.store.store_figures import FigureQueries, StoreFigures
from tests.approved import approved, laid_out
from tests.stream.making import STAMP, make_cell, make_events, make_slide, make_verdict

SLIDES = ("s1", "s2", "s1-2")


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(s=1_000_000.0)
    for module in (outbox_module, figures_module):
        monkeypatch.setattr(module, "time", lambda: now.s)
    monkeypatch.setattr(outbox_module, "monotonic", lambda: now.s)
    return now


def cell(number: int, slide_id: str) -> Cell:
    return replace(make_cell(number, slide_id), cell_id=f"{number:020x}")


@pytest.fixture
def filled(outbox, clock, tmp_path):
    """The store, with events that were added a minute after one another."""
    for number, slide_id in enumerate(SLIDES):
        slide = replace(make_slide(slide_id), scanner="scanner-1")
        cells = [cell(10 * number + n, slide_id) for n in range(3 - number)]
        verdict = make_verdict(0.9)
        alert = Alert("anomaly", "warning", 0.9, 0.5, "unlike", b"")
        with outbox.transaction() as tx:
            tx.add([slide_event(slide, "running", STAMP)])
            tx.add([cell_event(slide, one, verdict, STAMP) for one in cells])
            tx.add([alert_event(slide, cells[0], verdict, alert, STAMP)])
            tx.add_cells(slide_id, [entry_of(one, verdict) for one in cells])
            tx.tile_done(slide_id, "0,0,5,5")
            tx.tile_done(slide_id, f"5,0,9,{number}")
            for rule in ("drift", "excess")[: 2 - number]:
                told = SlideAlert(rule, "urgent", 9.0, 5.0, "more", 900, "scanner-1")
                tx.add([slide_alert_event(slide_id, told, STAMP)])
            failure = Failure("", "open", f"{number}.svs: no slide", "scan it", code="open.x")
            told = failure_event(failure, STAMP, tmp_path / f"{number}.svs")
            tx.add([told])
            if number != 1:
                tx.keep_failure(told.id, f"/{number}.svs", failure)
            facts = {"odd": number, "counts": {"neutrophil": 3 - number}}
            facts |= {"at": f"day {number}", "progress": {"cells": 3 - number}}
            facts |= {"slide": {"scanner": "scanner-1", "path": f"/{slide_id}.svs"}}
            tx.set_status(slide_id, ("done", "failures", "running")[number], **facts)
        clock.s += 60
    outbox.mark_sent("jsonl:a", 5)
    outbox.put_aside("jsonl:a", 7, "too large")
    outbox.put_aside("jsonl:b", 1, "no such topic")
    return outbox


def backlog_of(outbox, tmp_path):
    backlog = Backlog(outbox, BacklogSettings())
    names = {"waits": 0, "urgent": 10, "done": 0, "torn": 5, "also": 9, "again": 10}
    backlog.add([Job(tmp_path / f"{name}.svs", priority) for name, priority in names.items()])
    for name, ended in (("done", "s1"), ("also", "s2"), ("again", "s1")):
        job = backlog.next({str(tmp_path / f"{name}.svs")})
        backlog.finish(job, ended, 2.0)
    backlog.give_up(backlog.next({str(tmp_path / "torn.svs")}), "no slide")
    return backlog


def shown(value):
    if hasattr(value, "__next__"):
        value = list(value)
    return laid_out(json.loads(json.dumps(value, default=lambda one: str(one)[:300])))


def test_every_answer_of_a_store(filled, tmp_path, clock):
    lines = []
    with_cells = {
        "tiles_done": lambda one: sorted(filled.tiles_done(one)),
        "cell_ids": lambda one: sorted(filled.cell_ids(one)),
        "cells": lambda one: [(c.row, c.cell_id) for c in filled.cells(one)],
        "cells after 2": lambda one: [(c.row, c.cell_id) for c in filled.cells(one, 2)],
        "status": filled.status,
        "facts": filled.facts,
        "alerts_given": filled.alerts_given,
        "events": lambda one: [r.seq for r in filled.events(one)],
        "alerts": lambda one: [r.seq for r in filled.events(one, 4, ("cytostream.alert.v1",))],
    }
    queries = SlideQueries(filled.path)
    of_slides = {
        "alert count": queries.slide_alert_count,
        "read tiles": queries.tiles_done,
        "bodies": lambda one: sorted(queries.cell_bodies(one)),
        "page": lambda one: [row[:2] for row in queries.cells_page(one, 1)],
        "stored events": lambda one: [
            (e.seq, e.type) for e in queries.events(one, 2, "cytostream.cell.v1", "x")
        ],
        "digest": lambda one: [queries.verdict_digest(one, row) for row in (0, 2, 9)],
        "no backlog": lambda one: [queries.slide_paths(one), queries.is_stat(one)],
    }
    for name, ask in {**with_cells, **of_slides}.items():
        for slide_id in (*SLIDES, "none"):
            lines.append(f"{name} {slide_id}: {shown(ask(slide_id))}")
    of_all = {
        "slides": lambda: sorted(filled.slide_ids()),
        "by path": lambda: [filled.facts_of_path(f"/{one}.svs") for one in (*SLIDES, "x")],
        "failures": filled.failures,
        "odd shares": lambda: [
            filled.odd_shares("scanner-1", count, but) for count in (1, 9) for but in ("s1", "x")
        ],
        "other scanner": lambda: filled.odd_shares("scanner-2", 9, "x"),
        "file failures": queries.file_failures,
        "last row": queries.last_cell_row,
        "new rows": lambda: [sorted(queries.new_cell_rows(row).items()) for row in (0, 3, 5, 6)],
        "states": lambda: sorted(queries.slide_states().items()),
        "body": lambda: queries.cell_body(2)["cell"]["cell_id"],
        "crops": lambda: [len(queries.cell_crop(2) or b""), queries.cell_crop(99)],
        "unsent": lambda: [
            [r.seq for r in filled.unsent(sink, 3)] for sink in ("jsonl:a", "jsonl:b", "new")
        ],
        "unsent count": lambda: [filled.count_unsent(s) for s in ("jsonl:a", "jsonl:b", "new")],
        "sent": lambda: [filled.sent(sink) for sink in ("jsonl:a", "jsonl:b")],
        "refused": lambda: [
            [(one.event.id, one.reason) for one in filled.refused(sink)]
            for sink in (None, "jsonl:a", "new")
        ],
        "a record": lambda: [filled.record(3).seq, filled.record(3).kind, filled.record(3).key],
    }
    for name, ask in of_all.items():
        lines.append(f"{name}: {shown(ask())}")
    backlog_of(filled, tmp_path)
    lines += [
        f"paths {one}: {[path.name for path in queries.slide_paths(one)]} {queries.is_stat(one)}"
        for one in SLIDES
    ]
    lines += [
        f"waits {one.number} {one.path.name} {one.state} {one.tries} {one.reason}"
        for one in queries.waiting_files()
    ]
    clock.s += 1000
    figures = FigureQueries(filled.path)
    found = figures.figures()
    assert found.disk_free_bytes > 0 and found.state_bytes > 10_000
    lines.append(f"figures {replace(found, disk_free_bytes=0, state_bytes=0)}")
    lines += [f"{name}: {one}" for name, one in figures.sinks(["jsonl:b", "new"]).items()]
    figures.close()
    queries.close()
    approved(__file__, "answers", "\n".join(lines), folder=tmp_path)


def test_events_that_all_sinks_have_are_dropped_after_some_days(filled, clock):
    day_s = 86_400
    filled.mark_sent("jsonl:b", 6)
    with filled.exclusive() as db:
        db.change("UPDATE records SET added = :at WHERE seq <= 4", at=clock.s - 9 * day_s)
    seen = [one.seq for one in filled.events()]
    assert filled.prune(9.1, ["jsonl:a", "jsonl:b"]) == 0
    found = filled.prune(8.9, ["jsonl:a", "jsonl:b"])
    left = [one.seq for one in filled.events()]
    assert found == 3 and set(seen) - set(left) == {2, 3, 4}  # labels alone, of a done slide


def test_a_full_disk_refuses_new_results(tmp_path, monkeypatch, clock):
    asked = []
    limits = DiskLimits(free_bytes=100, waiting_bytes=10)
    free, ticks = SimpleNamespace(free=100), SimpleNamespace(s=1000.0)
    with Outbox(tmp_path / "state.db", room=limits) as one:
        monkeypatch.setattr(
            outbox_module.shutil, "disk_usage", lambda path: asked.append(path) or free
        )
        monkeypatch.setattr(outbox_module, "monotonic", lambda: ticks.s)

        def commit(events=()):
            with one.transaction() as tx:
                tx.add(events)

        commit()
        free.free = 99
        ticks.s += 1.9
        commit()  # it looks every 2 s
        ticks.s += 0.1
        with pytest.raises(StoreError) as full:
            commit()
        assert asked == [tmp_path] * 2 and str(full.value) == (
            f"{tmp_path}: 0.00 GB free on the disk (free some space (store.free_gb), then the same "
            "command goes on)"
        )
        free.free = 100
        ticks.s += 1.9
        commit(make_events(1))
        assert one.waiting_bytes() == len(one.record(1).value)
        ticks.s += 0.1
        with pytest.raises(StoreError) as waiting:
            commit()
        assert str(waiting.value) == (
            f"{one.path}: 0.00 GB of events wait for a sink (start the broker, or raise "
            "store.waiting_gb; then the same command goes on)"
        )
        one.mark_sent("jsonl:a", 1)
        ticks.s += 2
        commit()


def test_a_file_without_tables_has_no_figures(tmp_path):
    """As a program of another version leaves one that it has only made."""
    with closing(sqlite3.connect(tmp_path / "state.db")) as made, made:
        made.execute("CREATE TABLE other (value TEXT)")
    figures = FigureQueries(tmp_path / "state.db")
    found = replace(figures.figures(), disk_free_bytes=0, state_bytes=0)
    assert found == StoreFigures() and figures.sinks(["jsonl:a"]) == {}
    figures.close()
    with pytest.raises(StoreError) as gone:
        FigureQueries(tmp_path / "none.db")
    assert str(gone.value) == f"{tmp_path}/none.db: no such file (check --store)"


def test_an_empty_store_answers_too(outbox):
    with closing(SlideQueries(outbox.path)) as queries:
        assert (queries.last_cell_row(), queries.slide_states()) == (0, {})
        assert (queries.waiting_files(), queries.cell_bodies("s1")) == ([], {})
