"""`cytostream watch` with real slides and files, and a fake engine."""

import json
import threading

import pytest

from ingest import open_workers
from stream.cli.session import open_station
from stream.config import BacklogSettings, Config, Reading, WatchSettings
from stream.run.worker import work
from tests.make import smear
from tests.watching import tiny_watch

CONFIG = Config(
    reading=Reading(tile_px=512),
    watch=WatchSettings(look_s=0.05, still_looks=1),
    backlog=BacklogSettings(retry_s=0, tries=2),
)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "smear.tiff"
    smear(path, side_px=600, whites=3)
    return path.read_bytes()


@pytest.fixture
def watch(tmp_path):
    """Watches `scans` until everything in it is done; returns the events, and the order in which
    slides were taken.
    """
    scans = tmp_path / "scans"
    scans.mkdir()

    def watch():
        order, store = [], tmp_path / "store"
        with (
            open_station(store, CONFIG, [f"jsonl:{tmp_path / 'events.jsonl'}"]) as station,
            open_workers(0) as workers,
        ):
            lab, report, intake = tiny_watch(station, scans, workers, once=True)
            stop = threading.Event()
            intake.look()
            intake.look()

            def ended(job, outcome):
                order.append((job.path.name, outcome.status))
                report.ended(job, outcome)

            with intake.looking(stop):
                work(lab, station.backlog, stop, forever=True, ended=ended, waits=report.waits)
            return [record.event for record in station.outbox.events()], order

    watch.scans = scans
    return watch


def test_what_arrives_is_seen_run_and_done_stat_first_and_once(watch, slide):
    (watch.scans / "a.tiff").write_bytes(slide)
    (watch.scans / "b.tiff").write_bytes(slide + b"1")
    (watch.scans / "c_STAT.tiff").write_bytes(slide + b"2")
    (watch.scans / "twice.tiff").write_bytes(slide)
    events, order = watch()
    assert order == [
        ("c_STAT.tiff", "done"),
        ("a.tiff", "done"),
        ("b.tiff", "done"),
        ("twice.tiff", "done before"),
    ]
    told = {}
    for event in events:
        if event.kind == "slides":
            told.setdefault(event.subject, []).append(event.data["status"])
    assert list(told.values()) == [["seen", "running", "done"]] * 3


def test_a_broken_one_goes_to_quarantine_with_the_reason(watch, slide):
    (watch.scans / "Smith.tiff").write_bytes(slide[: len(slide) // 3])
    (watch.scans / "Smith.tiff.done").touch()
    (watch.scans / "good.tiff").write_bytes(slide)
    events, order = watch()
    assert dict(order)["good.tiff"] == "done" and dict(order)["Smith.tiff"] == "failed"
    home = watch.scans / "quarantine"
    assert {path.name for path in home.iterdir()} == {
        "Smith.tiff",
        "Smith.tiff.done",
        "Smith.tiff.reason.txt",
    }
    assert (home / "Smith.tiff.reason.txt").read_text().count("->") == 1
    assert "Smith" not in json.dumps([event.data for event in events])


def test_fields_of_view_of_one_slide_share_their_set(watch, slide):
    folder = watch.scans / "s1.fields"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.tiff").write_bytes(slide + bytes([number]))
    events, order = watch()
    assert [status for _, status in order] == ["done", "done"]
    assert (
        len(
            {
                event.data["set_id"]
                for event in events
                if event.kind == "slides" and event.data["status"] == "done"
            }
        )
        == 1
    )
