"""What is taken out of a store for good: zeros are written over it (secure_delete)."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import MetaData

from ingest import StoreError
from stream.store.database import REVIEWS_SCHEMA, STATE_SCHEMA, State, Statements

_OF_SLIDE = {  # by the column that names the slide
    "cells": "slide_id",
    "tiles": "slide_id",
    "failures": "slide_id",
    "claims": "slide_id",
    "slides": "slide_id",
    "backlog": "slide_id",
    "records": "subject",
}


@dataclass(frozen=True, slots=True)
class RemovedSlide:
    """What was removed of a slide: rows by table, and where its files lay, which stay."""

    rows: dict[str, int]
    paths: tuple[str, ...]


def remove_slide(state: Path, slide_id: str) -> RemovedSlide:
    """Removes all rows of a slide from a state file; events that no sink has yet are not sent any
    more.

    Raises:
        StoreError: a process has the slide in hand, or the file cannot be written.
    """
    with _changing(state) as db:
        if db.row("SELECT 1 FROM leases WHERE name = :name", name=f"slide {slide_id}"):
            raise StoreError(f"{state}: slide {slide_id} is being run", "wait until it has ended")
        sql = "SELECT path FROM backlog WHERE slide_id = :slide_id"
        paths = [path for (path,) in db.rows(sql, slide_id=slide_id)]
        rows = {
            table: db.change(f"DELETE FROM {table} WHERE {column} = :id", id=slide_id)
            for table, column in _OF_SLIDE.items()
        }
        db.change("INSERT INTO identity_changes DEFAULT VALUES")
    return RemovedSlide({name: count for name, count in rows.items() if count}, tuple(paths))


def remove_orders(state: Path, patient_id: str) -> int:
    """Removes the orders of a patient; returns how many.

    Raises:
        StoreError: the file cannot be written.
    """
    with _changing(state) as db:
        sql = "DELETE FROM orders WHERE patient_id = :patient_id"
        count = db.change(sql, patient_id=patient_id)
        db.change("INSERT INTO identity_changes DEFAULT VALUES")
    return count


def remove_stated(reviews: Path, slide_id: str) -> int:
    """Removes what people stated of whose slide it is; the entries of the audit trail stay, with
    its digest. Returns how many.

    Raises:
        StoreError: the file cannot be written.
    """
    with _changing(reviews, REVIEWS_SCHEMA) as db:
        return db.change("DELETE FROM stated WHERE slide_id = :slide_id", slide_id=slide_id)


def remove_marked_crops(reviews: Path, slide_id: str) -> int:
    """Removes the pixels of cells that people have marked; the entries of the audit trail stay,
    with their digests. Returns how many.

    Raises:
        StoreError: the file cannot be written.
    """
    with _changing(reviews, REVIEWS_SCHEMA) as db:
        sql = "DELETE FROM marked_crops WHERE slide_id = :slide_id"
        return db.change(sql, slide_id=slide_id)


def forget_restored_leases(state: Path) -> None:
    """What ran when a backup was made does not run in its copy.

    Raises:
        StoreError: the file cannot be written.
    """
    with _changing(state) as db:
        db.change("DELETE FROM leases")
        db.change("UPDATE backlog SET state = 'waiting' WHERE state = 'running'")


@contextmanager
def _changing(path: Path, schema: MetaData = STATE_SCHEMA) -> Iterator[Statements]:
    """One transaction, after which nothing of what was deleted is left in the database."""
    with closing(State(path, schema)) as state:
        state.erase_deleted()
        with state.transaction() as db:
            yield db
        state.finish_erasing()
