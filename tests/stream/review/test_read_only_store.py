"""A store on a disk that cannot be written is shown and exported, and takes no decision."""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ingest import StoreError
from stream.cli.app import app as command
from stream.config import Config
from stream.review.slides import SlideLibrary
from stream.review.web.accounts import AccountError, Accounts
from stream.store import Outbox
from stream.store.database import State
from tests.stores import STAMP, Filled


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch):
    """Makes folders unwritable, as far as the program can ask; what writes all the same is seen by
    the files' bytes."""
    folders = []

    def cannot(path: str | Path, mode: int) -> bool:
        writes = mode & os.W_OK and any(Path(path).is_relative_to(one) for one in folders)
        return not writes and ask(path, mode)

    ask = os.access
    monkeypatch.setattr("stream.store.database.sqlite.os.access", cannot)
    return folders.append


def files_of(store: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in store.rglob("*") if path.is_file()}


@pytest.fixture
def archived(tmp_path: Path, read_only) -> Filled:
    made = Filled(tmp_path / "store")
    made.add(12, 1)
    made.done()
    made.close()
    read_only(made.store)
    return made


def test_the_page_shows_it_and_refuses_decisions(open_lab, archived):
    before = files_of(archived.store)
    lab = open_lab(made=archived)
    page = lab.one.get("/")
    assert page.status_code == 200 and 'id="read-only"' in page.text
    assert len(lab.cells()) == 12
    for path, body in (
        ("decisions", {"action": "confirm", "cell_ids": lab.cells()[:1], "saw": 0}),
        ("comments", {"text": "seen", "saw": 0}),
    ):
        answer = lab.one.post(f"{lab.slide}/{path}", body)
        assert answer.status_code == 423 and "can only be read" in answer.json()["detail"]
    answer = lab.sign()
    assert answer.status_code == 423 and "copy the store" in answer.json()["hint"]
    assert lab.one.get(f"{lab.slide}/report.pdf").status_code == 200
    assert files_of(archived.store) == before


def test_every_form_is_exported(archived, tmp_path):
    before = files_of(archived.store)
    forms = ["csv", "parquet", "geojson", "h5ad", "fhir.json", "pdf", "zip", "crops"]
    words = ["export-results", "--store", str(archived.store), "--out", str(tmp_path / "out")]
    ended = CliRunner().invoke(command, [*words, *(w for form in forms for w in ("--form", form))])
    assert ended.exit_code == 0, ended.output
    assert len(list((tmp_path / "out").iterdir())) >= len(forms) - 1
    assert files_of(archived.store) == before


def test_what_a_crashed_run_left_in_its_log_is_read(tmp_path, read_only):
    made = Filled(tmp_path / "live")
    made.add(3, 0)
    shutil.copytree(made.store, tmp_path / "copy")
    made.close()
    assert (tmp_path / "copy" / "state.db-wal").stat().st_size > 0
    read_only(tmp_path / "copy")
    before = files_of(tmp_path / "copy")
    with SlideLibrary(tmp_path / "copy", Config()) as library:
        assert library.is_read_only and len(library.shelf(made.slide.slide_id).found.cells) == 3
    assert files_of(tmp_path / "copy") == before


def test_a_run_does_not_begin_in_it(archived):
    outbox = Outbox(archived.store / "state.db", unwritable="read")
    with pytest.raises(StoreError), outbox.transaction():
        pytest.fail("it was opened")
    outbox.close()
    library = SlideLibrary(archived.store, Config())
    with pytest.raises(StoreError, match="cannot be written"):
        library.trail.write(archived.slide.slide_id, "eve", [], STAMP)
    library.close()


def test_accounts_are_known_and_not_changed(tmp_path, read_only):
    accounts = Accounts(tmp_path)
    accounts.set("alice", "admin", "correct horse battery")
    accounts.close()
    read_only(tmp_path)
    accounts = Accounts(tmp_path)
    person = accounts.check("alice", "correct horse battery")
    assert accounts.who(accounts.begin(person, hours=1)) == person
    with pytest.raises((StoreError, AccountError), match="cannot be written"):
        accounts.set("bob", "viewer", "correct horse battery")
    accounts.close()
    again = Accounts(tmp_path)
    assert [one.name for one in again.people()] == ["alice"]
    again.close()


def test_a_store_of_another_version_says_so(tmp_path, read_only):
    sqlite3.connect(tmp_path / "state.db").close()
    (tmp_path / "state.db").touch()
    read_only(tmp_path)
    state = State(tmp_path / "state.db", unwritable="read")
    with pytest.raises(StoreError) as refused:
        state.rows("SELECT * FROM slides")
    assert "another version" in refused.value.hint
    state.close()
