"""One process at a slide: who has a lease, who had it, and who was taken over."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from stream.config import BacklogSettings
from stream.store.backlog import Backlog, Job
from stream.store.database import State, is_on_share, sqlite
from stream.store.outbox import Outbox

SOMEBODY = "INSERT INTO leases (name, owner, beat) VALUES ('a', 'elsewhere/1 77 1.0 x', 5)"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


def test_who_takes_over_from_a_dead_process_has_the_slide(path):
    code = "import os, sys, pathlib; from stream.store.outbox import Outbox; "
    code += "Outbox(pathlib.Path(sys.argv[1])).leases.take('a') and os._exit(9)"
    subprocess.run([sys.executable, "-c", code, path], check=False)
    with Outbox(path) as mine:
        assert mine.leases.take("a") and mine.leases.holds("a")
        assert mine.leases.holder("a") == mine.leases.owner
        with mine.transaction() as tx:
            tx.hold("a")  # and may write


def test_who_takes_over_from_a_silent_host_has_the_slide(path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("stream.store.leases.monotonic", lambda: now[0])
    with Outbox(path, lease_s=10) as mine:
        with mine.exclusive() as db:
            db.change(SOMEBODY)
        assert not mine.leases.take("a") and not mine.leases.holds("a")
        now[0] += 11
        assert mine.leases.take("a") and mine.leases.holds("a")


def test_one_of_two_leases_is_given_and_never_that_of_another(path):
    with Outbox(path) as one, Outbox(path) as two:
        assert one.leases.take("a") and one.leases.take("b") and two.leases.take("c")
        one.leases.give("a")
        assert not one.leases.holds("a") and one.leases.holds("b") and two.leases.holds("c")
        one.leases.give("c")
        assert two.leases.holds("c") and not one.leases.holds("c")


RULES = BacklogSettings(tries=3, retry_s=10.0)


@pytest.fixture
def files(tmp_path):
    made = [tmp_path / f"{name}.svs" for name in "abc"]
    for file in made:
        file.write_text("slide")
    return made


@pytest.fixture
def now(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("stream.store.backlog.monotonic", lambda: clock[0])
    return clock


def test_a_run_of_some_slides_ends_with_them_and_not_before(outbox, files, now):
    backlog = Backlog(outbox, RULES)
    backlog.add(map(Job, files[:2]))
    mine, others = {str(files[0])}, {str(files[2])}
    assert backlog.is_open() and backlog.is_open(mine) and not backlog.is_open(others)
    job = backlog.next(mine)
    assert backlog.is_open(mine)  # it runs
    backlog.finish(job, "s1", 1.0)
    assert not backlog.is_open(mine) and backlog.is_open({str(files[1])}) and backlog.is_open()


def test_a_slide_that_was_given_back_is_not_tried_again_at_once(outbox, files, now):
    backlog = Backlog(outbox, RULES)
    backlog.add(map(Job, files[:1]))
    backlog.give_back(backlog.next(), after_s=5.0)
    assert backlog.next() is None
    now[0] += 4.9
    assert backlog.next() is None
    now[0] += 0.2
    assert backlog.next().path == files[0]


@pytest.mark.parametrize("tries", [0, 1])
def test_pauses_between_tries_double(outbox, files, now, tries):
    backlog = Backlog(outbox, RULES)
    backlog.add(map(Job, files[:1]))
    for number in range(tries + 1):
        job = backlog.next()
        backlog.fail(job, "away")
        assert backlog.next() is None
        pause_s = RULES.retry_s * 2**number
        now[0] += pause_s - 0.1
        assert backlog.next() is None
        now[0] += 0.2


def test_a_slide_that_was_read_in_part_is_queued_again_and_a_whole_one_is_not(outbox, files):
    backlog = Backlog(outbox, RULES)
    for whole, state, queued in ((False, "partial", True), (True, "done", False)):
        backlog.add(map(Job, files[:1]))
        backlog.finish(backlog.next(), "s1", 1.0, whole=whole)
        assert [job.state for job in backlog.jobs()] == [state]
        backlog.add(map(Job, files[:1]))
        assert backlog.is_open() == queued


SHARES = ["nfs4", "cifs", "fuse.sshfs", "9p"]


@pytest.mark.parametrize("kind", [*SHARES, "ext4", "tmpfs"])
def test_a_store_on_a_share_does_not_write_ahead(tmp_path, monkeypatch, kind):
    """Its writing ahead needs memory that two hosts do not share: the file would be damaged."""
    mounts = [
        SimpleNamespace(mountpoint="/", fstype="ext4"),
        SimpleNamespace(mountpoint=str(tmp_path), fstype=kind),
    ]
    monkeypatch.setattr(sqlite.psutil, "disk_partitions", lambda all: mounts)
    assert is_on_share(tmp_path / "store" / "state.db") == (kind in SHARES)
    state = State(tmp_path / "store" / "state.db")
    journal = "delete" if kind in SHARES else "wal"
    assert state.rows("PRAGMA journal_mode") == [(journal,)]
    state.close()


def test_a_local_folder_below_a_share_is_local(tmp_path, monkeypatch):
    mounts = [
        SimpleNamespace(mountpoint=str(tmp_path), fstype="nfs"),
        SimpleNamespace(mountpoint=str(tmp_path / "local"), fstype="xfs"),
    ]
    monkeypatch.setattr(sqlite.psutil, "disk_partitions", lambda all: mounts)
    assert not is_on_share(tmp_path / "local" / "state.db")
    assert is_on_share(tmp_path / "other" / "state.db")
