"""The backlog: who does which slide, how often, in which order."""

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

import stream.store.backlog as backlog_module
from ingest import CytostreamError, open_slide, open_workers
from stream.cli.slide_lists import expanded, shown_path
from stream.config import BacklogSettings as Rules
from stream.config import Config, Reading
from stream.events.event import Provenance
from stream.run import worker
from stream.run.context import RunContext
from stream.run.pipeline import run_slide
from stream.run.worker import outcome_report, work
from stream.store.backlog import STAT, Backlog, Job
from stream.store.outbox import Outbox
from tests.make import BrightnessEngine, smear, tiny_model

RULES = Rules(retry_s=0.0, tries=2)


@pytest.fixture
def backlog(outbox):
    return Backlog(outbox, RULES)


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{name}.svs" for name in "abc"]
    for path in paths:
        path.write_text(path.name)
    return paths


def names(jobs):
    return [job.path.stem for job in jobs]


def test_stat_slides_go_first_then_in_order(backlog, files):
    backlog.add([Job(files[0]), Job(files[1]), Job(files[2], STAT)])
    assert names(backlog.next() for _ in range(3)) == ["c", "a", "b"]
    assert backlog.next() is None


def test_two_processes_never_take_the_same(backlog, files, outbox):
    backlog.add(map(Job, files))
    with Outbox(outbox.path) as other:
        second = Backlog(other, RULES)
        assert sorted(names([backlog.next(), second.next(), backlog.next()])) == ["a", "b", "c"]
        assert second.next() is None and second.is_open()


def test_what_is_done_stays_done_until_the_file_changes(backlog, files):
    backlog.add(map(Job, files[:1]))
    backlog.finish(backlog.next(), "s1", 1.0)
    assert backlog.add(map(Job, files[:1])) == 0 and backlog.next() is None
    files[0].write_text("another slide")
    backlog.add(map(Job, files[:1]))
    assert names([backlog.next()]) == ["a"]


def test_a_try_more_and_then_it_has_failed(backlog, files):
    backlog.add(map(Job, files[:1]))
    assert not backlog.fail(backlog.next(), "share away")
    assert backlog.fail(backlog.next(), "share away")
    assert [(job.state, job.reason) for job in backlog.jobs()] == [("failed", "share away")]
    assert backlog.next() is None and not backlog.is_open()
    backlog.add(map(Job, files[:1]))
    assert backlog.next().tries == 0


def test_a_slide_of_a_dead_process_is_taken_on_and_given_up_in_the_end(outbox, files):
    rules = RULES.model_copy(update={"deaths": 2})
    Backlog(outbox, rules).add(map(Job, files[:1]))
    for _ in range(3):
        with Outbox(outbox.path) as dying:
            assert Backlog(
                dying, rules
            ).next()  # and its leases end with it, but the slide still runs
    backlog = Backlog(outbox, rules)
    assert backlog.next() is None
    assert [(job.state, job.reason) for job in backlog.jobs()] == [
        ("failed", "its process died 2 times")
    ]


def test_a_renamed_slide_keeps_its_place(backlog, files):
    backlog.add(map(Job, files[:2]))
    backlog.rename(files[0], files[2])
    assert names(backlog.jobs()) == ["c", "b"]


def test_only_those_asked_for(backlog, files):
    backlog.add(map(Job, files))
    only = {str(files[1])}
    assert names([backlog.next(only)]) == ["b"] and backlog.next(only) is None
    assert names(backlog.jobs(only)) == ["b"]


def test_folders_and_lists(tmp_path, files):
    (tmp_path / "more.txt").write_text("# monday\na.svs\n\nb.svs\n")
    assert names(map(Job, expanded([tmp_path]).slides)) == ["a", "b", "c"]
    assert names(map(Job, expanded([tmp_path / "more.txt", files[0]]).slides)) == ["a", "b"]
    with pytest.raises(CytostreamError, match="cannot be read"):
        expanded([tmp_path / "none.txt"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(CytostreamError, match="no slide in this folder"):
        expanded([tmp_path / "empty"])


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """One smear as three slides: bytes behind the end make another content."""
    folder = tmp_path_factory.mktemp("slides")
    smear(folder / "0.tiff", side_px=700, whites=4)
    for number in (1, 2):
        (folder / f"{number}.tiff").write_bytes((folder / "0.tiff").read_bytes() + bytes([number]))
    return sorted(folder.glob("*.tiff"))


def lab_of(outbox, workers):
    config = Config(reading=Reading(tile_px=512), backlog=RULES)
    return RunContext(
        config,
        tiny_model(),
        BrightnessEngine(),
        workers,
        outbox,
        outbox.path.parent,
        Provenance("test", "m", "c", {}),
    )


def test_two_workers_share_a_backlog_and_each_slide_is_done_once(outbox, slides):
    ended = []
    with Outbox(outbox.path) as other, open_workers(0) as workers:
        Backlog(outbox, RULES).add(map(Job, slides))

        def do(box):
            ended.extend(work(lab_of(box, workers), Backlog(box, RULES), threading.Event()))

        threads = [threading.Thread(target=do, args=(box,)) for box in (outbox, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(100)
    assert sorted(job.path.stem for job, _ in ended) == ["0", "1", "2"]
    assert {report.status for _, report in ended} == {"done"}
    done = [
        p.event for p in outbox.events() if p.kind == "slides" and p.event.data["status"] == "done"
    ]
    assert len(done) == len({event.subject for event in done}) == 3


def test_a_slide_that_another_process_is_at_waits(outbox, slides):
    stop = threading.Event()
    with Outbox(outbox.path) as other, open_workers(0) as workers:
        lease = f"slide {open_slide(slides[0]).slide_id}"
        other.leases.take(lease)
        backlog = Backlog(outbox, RULES)
        backlog.add([Job(slides[0])])
        timer = threading.Timer(0.3, other.leases.give, [lease])
        timer.start()
        ((_, report),) = work(lab_of(outbox, workers), backlog, stop)
    assert report.status == "done"
    assert outcome_report(outbox, backlog.jobs()[0]).status == "done before"


def test_no_such_file_is_no_second_try(outbox, tmp_path):
    backlog = Backlog(outbox, RULES)
    backlog.add([Job(tmp_path / "none.svs")])
    with open_workers(0) as workers:
        ((job, report),) = work(lab_of(outbox, workers), backlog, threading.Event())
    assert report.failure and backlog.jobs()[0].state == "failed"
    assert "no such file" in outcome_report(outbox, backlog.jobs()[0]).failure.what


def test_a_slide_that_vanishes_after_it_was_queued_is_tried_again_and_then_fails(
    outbox, slides, tmp_path
):
    path = tmp_path / "away.tiff"
    path.write_bytes(slides[0].read_bytes())
    backlog = Backlog(outbox, RULES)
    backlog.add([Job(path)])
    path.unlink()
    with open_workers(0) as workers:
        ((job, report),) = work(lab_of(outbox, workers), backlog, threading.Event())
    assert (
        "no such file" in report.failure.what
        and not report.damaged
        and backlog.jobs()[0].tries == 2
    )


def test_a_fault_of_one_slide_does_not_end_the_others(outbox, slides, monkeypatch):
    def fault(lab, path, *_):
        if path == slides[0]:
            raise ValueError("of one slide")
        return run_slide(lab, path)

    monkeypatch.setattr(worker, "run_slide", fault)
    backlog = Backlog(outbox, RULES)
    backlog.add(map(Job, slides))
    with open_workers(0) as workers:
        reports = dict(work(lab_of(outbox, workers), backlog, threading.Event()))
    assert [job.state for job in backlog.jobs()] == ["failed", "done", "done"]
    assert any(
        "of one slide" in report.failure.what for report in reports.values() if report.failure
    )


def test_a_slide_that_was_put_back_by_a_clock_ahead_is_taken_at_once(outbox, files):
    backlog = Backlog(outbox, RULES.model_copy(update={"retry_s": 7200.0}))
    backlog.add([Job(files[0])])
    backlog.fail(backlog.next(), "share away")
    with outbox.exclusive() as db:
        db.change(
            "UPDATE backlog SET not_before = 4e9"
        )  # as version 0.2 on a host whose clock was ahead
    other = Backlog(outbox, RULES)
    assert other.next() is None
    other.add([Job(files[0])])
    assert names([other.next()]) == ["a"]


def test_a_pause_is_waited_for_by_the_own_clock(outbox, files, monkeypatch):
    clock = iter([0.0, 5.0, 11.0])
    monkeypatch.setattr(backlog_module, "monotonic", lambda: next(clock))
    backlog = Backlog(outbox, RULES.model_copy(update={"retry_s": 10.0, "tries": 9}))
    backlog.add([Job(files[0])])
    backlog.fail(backlog.next(), "share away")
    assert backlog.next() is None and backlog.next() is None
    assert names([backlog.next()]) == ["a"]


def test_done_under_something_else_is_looked_at_again_only_where_that_is_asked(backlog, files):
    backlog.add([Job(files[0])], asked="model-1 config-1")
    backlog.finish(backlog.next(), "s1", 1.0)
    backlog.add([Job(files[0])])
    backlog.add([Job(files[0])], asked="model-1 config-1")
    assert backlog.next() is None
    backlog.add([Job(files[0])], asked="model-2 config-1")
    assert names([backlog.next()]) == ["a"]


def test_a_store_of_an_earlier_version_gains_the_columns_and_keeps_what_is_done(tmp_path, files):
    Outbox(tmp_path / "state.db").close()
    facts = files[0].stat()
    values = str(files[0]), f"{facts.st_size} {facts.st_mtime_ns}"
    with closing(sqlite3.connect(tmp_path / "state.db")) as old, old:
        for name in ("root", "asked", "pause_s", "turn", "announced"):
            old.execute(f"ALTER TABLE backlog DROP COLUMN {name}")
        old.execute(
            "INSERT INTO backlog (path, priority, state, slide_id, stamp)"
            " VALUES (?, 0, 'done', 's1', ?)",
            values,
        )
    with Outbox(tmp_path / "state.db") as outbox:
        backlog = Backlog(outbox, RULES)
        backlog.add([Job(files[0])])
        assert [job.state for job in backlog.jobs()] == ["done"]


def test_a_part_that_changes_makes_the_slide_another_one(backlog, tmp_path):
    key = tmp_path / "a.mrxs"
    key.write_text("key")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Slidedat.ini").write_text("[GENERAL]")
    backlog.add([Job(key)])
    backlog.finish(backlog.next(), "s1", 1.0)
    (tmp_path / "a" / "Data0000.dat").write_text("other pixels")
    backlog.add([Job(key)])
    assert names([backlog.next()]) == ["a"]


def test_slides_of_a_folder_whose_names_are_no_text_are_left_out_alone(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "good.png").write_text("x")
    (folder / os.fsdecode(b"M\xfcller.png")).write_text("x")
    found = expanded([folder, folder / os.fsdecode(b"\xff.png")])
    assert [path.name for path in found.slides] == ["good.png"] and len(found.left_out) == 2
    assert sorted(shown_path(Path(path.name)) for path in found.left_out) == [
        "M\\xfcller.png",
        "\\xff.png",
    ]


def test_a_set_of_fields_is_told_of(outbox, slides):
    backlog = Backlog(outbox, RULES)
    backlog.add([Job(slides[0], set_id="fields-of-one")])
    with open_workers(0) as workers:
        work(lab_of(outbox, workers), backlog, threading.Event())
    told = [p.event.data["set_id"] for p in outbox.events() if p.kind == "slides"]
    assert len(set(told)) == 1 and "fields-of-one" not in told
