"""Another account of the machine reads nothing: not while a file is made, not while it is
written, not afterwards.
"""

import os
import shutil
import stat
import subprocess
from contextlib import closing
from importlib import import_module

import pytest
from typer.testing import CliRunner

from stream.cli.commands.doctor import says_of_store
from stream.review.audit_trail import Trail
from stream.review.web.accounts import Accounts
from stream.sinks.jsonl import JsonlSink
from stream.store.outbox import Outbox
from stream.store.private_files import open_to_others, write_private_file
from tests.stream.making import make_events

NOBODY = 65534
cli = import_module("stream.cli.app")


def modes(folder):
    return {path.name: stat.S_IMODE(path.lstat().st_mode) for path in [folder, *folder.rglob("*")]}


@pytest.fixture
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_store_with_its_logs_is_its_owners_alone_from_the_first_byte(tmp_path, usual_umask):
    store = tmp_path / "store"
    with (
        closing(Outbox(store / "state.db")),
        closing(Trail(store)),
        closing(Accounts(store)) as accounts,
    ):
        accounts.set("alice", "admin", "correct horse battery")
        assert {"access.db", "access.db-wal", "state.db-wal", "reviews.db-wal"} <= set(modes(store))
        assert {name: mode for name, mode in modes(store).items() if mode & 0o077} == {}


def test_the_logs_of_an_account_file_of_an_earlier_version_are_closed(tmp_path, usual_umask):
    with closing(Accounts(tmp_path)) as before:
        for path in tmp_path.glob("access.db*"):
            path.chmod(0o644)
        before.set("alice", "admin", "correct horse battery")
        with closing(Accounts(tmp_path)):
            assert {
                n
                for n, mode in modes(tmp_path).items()
                if n.startswith("access.db") and mode & 0o077
            } == set()


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can act as another account"
)
def test_another_account_cannot_read_the_hashes(tmp_path, usual_umask):
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.owner() == "root" and folder.name.startswith(("pytest", "test_")):
            folder.chmod(0o755)
    with closing(Accounts(tmp_path)) as accounts:
        accounts.set("alice", "admin", "correct horse battery")
        command = [
            "setpriv",
            f"--reuid={NOBODY}",
            f"--regid={NOBODY}",
            "--clear-groups",
            "grep",
            "-a",
            "-c",
            "argon2id",
        ]
        found = subprocess.run(
            [*command, *map(str, tmp_path.glob("access.db*"))],
            capture_output=True,
            text=True,
            check=False,
        )
    assert (
        found.returncode == 2
        and "Permission denied" in found.stderr
        and not found.stdout.strip("0:\n")
    )


def test_a_file_of_events_is_its_owners_alone(tmp_path, usual_umask):
    with closing(JsonlSink(tmp_path / "out" / "events.jsonl")) as sink:
        assert modes(tmp_path / "out") == {"out": 0o700, "events.jsonl": 0o600}
        with closing(Outbox(tmp_path / "state.db")) as outbox:
            with outbox.transaction() as tx:
                tx.add(make_events(1))
            sink.send(outbox.unsent("test", 1))
    assert modes(tmp_path / "out") == {"out": 0o700, "events.jsonl": 0o600}


def test_an_export_closes_a_file_that_was_open(tmp_path, usual_umask):
    write_private_file(tmp_path / "exported" / "a.csv", b"1")
    (tmp_path / "exported" / "a.csv").chmod(0o644)
    write_private_file(tmp_path / "exported" / "a.csv", b"22")
    assert modes(tmp_path / "exported") == {"exported": 0o700, "a.csv": 0o600}


def test_every_command_writes_for_its_owner_alone(monkeypatch, usual_umask):
    seen = []
    monkeypatch.setattr(cli, "app", lambda standalone_mode: seen.append(os.umask(0o077)))
    with pytest.raises(SystemExit, match="0"):
        cli.run_command()
    assert seen == [0o077]


def test_the_doctor_names_what_others_can_read(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    (store / "state.db").touch()
    store.chmod(0o755)  # whatever umask a command of an earlier test has left
    (store / "state.db").chmod(0o644)
    (store / "closed").touch(mode=0o600)
    (store / "link").symlink_to(store / "closed")  # whose mode says nothing
    assert list(open_to_others(store)) == [store, store / "state.db"]
    said = CliRunner().invoke(cli.app, ["doctor", "--store", str(store), "--json"])
    assert f"chmod -R go= {store}" in said.stdout
    store.chmod(0o700)
    assert "nobody else" in says_of_store(store) and list(open_to_others(store)) == []
