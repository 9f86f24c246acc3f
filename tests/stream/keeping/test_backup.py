"""A store kept while it is written to, killed in the middle, and given back the same."""

import json
import os
import threading

import pytest
from starlette.testclient import TestClient

from ingest import StoreError, open_workers
from stream.config import Config
from stream.keeping import back_up, check_backup, restore
from stream.keeping.manifest import manifests
from stream.review import SlideLibrary, TrailEntry, check_store
from stream.review.web.accounts import Accounts
from stream.review.web.app import Setting, make_app
from stream.store import Outbox, SlideStore, store_path
from tests.stores import STAMP, Filled, filled


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    made = filled(folder, cells=70, odd=1)
    with SlideLibrary(folder, Config(), tmp_path / "custody") as library:
        library.trail.write(made.slide.slide_id, "anna", [TrailEntry("comment", COMMENT)], STAMP)
    made.close()
    return folder


COMMENT = {"comment": "seen", "act": "a"}


def contents(store):
    paths = [p for p in store.rglob("*") if p.is_file() and not p.name.endswith((".db", ".lock"))]
    return {p.relative_to(store): p.read_bytes() for p in paths if ".db-" not in p.name}


def report(store):
    with SlideLibrary(store, Config()) as library, open_workers(0) as workers:
        accounts = Accounts(store)
        app = make_app(library, accounts, workers, Config(), Setting())
        http = TestClient(app, base_url="http://127.0.0.1")
        http.get(f"/open?secret={app.state.doors.local_secret}")
        (row,) = http.get("/api/slides").json()["slides"]
        said = http.get(f"/api/slides/{row['slide_id']}/report.csv").text
        app.state.parts.close()
        accounts.close()
    return said


def test_a_restored_store_gives_the_same_report_and_audit(store, tmp_path):
    kept = back_up(store, tmp_path / "backup")
    assert kept.files > 10 and check_backup(tmp_path / "backup").files == kept.files
    restore(tmp_path / "backup", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(store)
    with SlideLibrary(tmp_path / "again", Config(), tmp_path / "custody") as library:
        assert check_store(library).entries == 1
    assert report(tmp_path / "again") == report(store)


def test_a_second_backup_copies_only_what_is_new(store, tmp_path):
    first = back_up(store, tmp_path / "backup")
    (store / "note.txt").write_text("new")
    second = back_up(store, tmp_path / "backup")
    databases = sum(p.stat().st_size for p in store.glob("*.db"))
    assert second.files == first.files + 1 and second.new_bytes < databases + 4096
    assert restore(tmp_path / "backup", tmp_path / "old", first.manifest.name[:17]).files
    assert len(manifests(tmp_path / "backup")) == 2


def killed_at(number, work):
    """Runs `work` in a child that ends, as by SIGKILL, at the file of this number."""
    child = os.fork()
    if child == 0:
        count = [0]

        def on_file(name):
            count[0] += 1
            if count[0] == number:
                os._exit(137)

        work(on_file)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("number", [1, 2, 8])
def test_a_backup_that_is_killed_goes_on(store, tmp_path, number):
    backup = tmp_path / "backup"
    assert killed_at(number, lambda on_file: back_up(store, backup, on_file)) == 137
    assert manifests(backup) == []
    with pytest.raises(StoreError, match="no backup"):
        restore(backup, tmp_path / "again")
    back_up(store, backup)
    assert not list(backup.glob("snapshot-*")) and not list(backup.rglob("*.new"))
    restore(backup, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(store)


@pytest.mark.parametrize("number", [1, 5, 12])
def test_a_restore_that_is_killed_is_no_store_and_goes_on(store, tmp_path, number):
    back_up(store, tmp_path / "backup")
    again = tmp_path / "again"
    assert (
        killed_at(number, lambda on_file: restore(tmp_path / "backup", again, "", on_file)) == 137
    )
    assert not (again / "state.db").exists()
    restore(tmp_path / "backup", again)
    assert report(again) == report(store) and not list(again.glob("*.new"))


def test_a_backup_of_a_store_that_grows_is_consistent(tmp_path):
    made = Filled(tmp_path / "store")
    made.add(64)
    stop = threading.Event()

    def grow():
        while not stop.is_set() and made.cells < 640:
            made.add(16)

    growing = threading.Thread(target=grow)
    growing.start()
    try:
        back_up(tmp_path / "store", tmp_path / "backup")
    finally:
        stop.set()
        growing.join()
    restore(tmp_path / "backup", tmp_path / "again")
    slide_id = made.slide.slide_id
    rows = SlideStore.open(store_path(tmp_path / "again", slide_id)).read("cell_id")
    with Outbox(tmp_path / "again" / "state.db") as outbox:
        cells = list(outbox.cells(slide_id))
    stored = [cell.cell_id for cell in cells if cell.crop is None]
    assert len(cells) >= 64 and [bytes(row).hex() for row in rows[: len(stored)]] == stored
    made.close()


def test_what_ran_in_the_original_does_not_run_in_the_copy(store, tmp_path):
    with Outbox(store / "state.db") as outbox:
        assert outbox.leases.take("slide s1")
        back_up(store, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "again")
    with Outbox(tmp_path / "again" / "state.db") as outbox:
        assert outbox.leases.holder("slide s1") is None


def test_damage_is_found_and_named(store, tmp_path):
    back_up(store, tmp_path / "backup")
    largest = max((tmp_path / "backup" / "objects").rglob("*"), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreError, match="damaged"):
        check_backup(tmp_path / "backup")
    with pytest.raises(StoreError, match="damaged"):
        restore(tmp_path / "backup", tmp_path / "again")


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", ""])
def test_a_manifest_leads_nowhere_else(store, tmp_path, path):
    kept = back_up(store, tmp_path / "backup")
    said = json.loads(kept.manifest.read_text())
    said["files"][-1]["path"] = path
    kept.manifest.write_text(json.dumps(said))
    with pytest.raises(StoreError, match="no manifest"):
        restore(tmp_path / "backup", tmp_path / "again")


def test_links_are_left_out_and_nothing_is_written_over(store, tmp_path):
    (tmp_path / "secret").write_text("outside")
    (store / "link").symlink_to(tmp_path / "secret")
    back_up(store, tmp_path / "backup")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    with pytest.raises(StoreError, match="not empty"):
        restore(tmp_path / "backup", tmp_path / "full")
    restore(tmp_path / "backup", tmp_path / "again")
    assert not (tmp_path / "again" / "link").exists()
    with pytest.raises(StoreError, match="within the store"):
        back_up(store, store / "backup")
