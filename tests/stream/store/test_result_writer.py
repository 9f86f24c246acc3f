"""Results are stored beside the run, a chunk at a time; the journal lets go of what is on disk."""

import threading

import pytest

from ingest import StoreError
from stream.store.slide_store import CHUNK_ROWS
from tests.stores import Filled


@pytest.fixture
def filled(tmp_path):
    made = Filled(tmp_path / "store")
    made.add(CHUNK_ROWS + 6, store=False)
    made.writer.waiting = CHUNK_ROWS + 6
    yield made
    made.writer.close()
    made.outbox.close()


def crops_kept(made):
    return sum(row.crop is not None for row in made.outbox.cells(made.slide.slide_id))


def test_the_run_goes_on_while_a_chunk_is_stored(filled, monkeypatch):
    goes_on = threading.Event()
    write = filled.writer.store.write
    monkeypatch.setattr(
        filled.writer.store, "write", lambda *rows: goes_on.wait(20) and write(*rows)
    )
    filled.writer.write()
    filled.writer.write()  # neither waits nor begins another
    assert crops_kept(filled) == CHUNK_ROWS + 6 and filled.writer.row == 0
    goes_on.set()
    filled.writer.take_in(wait=True)
    assert crops_kept(filled) == 6 and filled.writer.store.rows == CHUNK_ROWS
    filled.writer.write(final=True)
    assert crops_kept(filled) == 0 and filled.writer.store.rows == CHUNK_ROWS + 6


def test_a_full_disk_shows_and_the_rows_wait_in_the_journal(filled, monkeypatch):
    def no_room(*_):
        raise StoreError("no space left", "free some space")

    with monkeypatch.context() as full:
        full.setattr(filled.writer.store, "write", no_room)
        with pytest.raises(StoreError, match="no space left"):  # at once, or when it is waited for
            filled.writer.write()
            filled.writer.write(final=True)
    assert crops_kept(filled) == CHUNK_ROWS + 6
    filled.writer.write(final=True)
    assert crops_kept(filled) == 0 and filled.writer.store.rows == CHUNK_ROWS + 6


def test_the_rest_is_stored_beside_what_goes_on(filled, monkeypatch):
    filled.writer.write(final=False)
    filled.writer.take_in(wait=True)
    goes_on = threading.Event()
    write = filled.writer.store.write
    monkeypatch.setattr(
        filled.writer.store, "write", lambda *rows: goes_on.wait(20) and write(*rows)
    )
    filled.writer.write()  # not a whole chunk: it waits for more
    assert filled.writer.under_way is None
    filled.writer.write(rest=True)
    assert len(filled.writer.under_way.rows) == 6 and crops_kept(filled) == 6
    goes_on.set()
    filled.writer.write(final=True)
    assert crops_kept(filled) == 0 and filled.writer.store.rows == CHUNK_ROWS + 6
