"""What is taken out of a store for good: zeros are written over it (secure_delete)."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest import StoreError

_BUSY_WAIT_S = 30.0
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
        lease = db.execute("SELECT 1 FROM leases WHERE name = ?", (f"slide {slide_id}",)).fetchone()
        if lease:
            raise StoreError(f"{state}: slide {slide_id} is being run", "wait until it has ended")
        there = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        paths = [
            path
            for (path,) in (
                db.execute("SELECT path FROM backlog WHERE slide_id = ?", (slide_id,))
                if "backlog" in there
                else ()
            )
        ]
        rows = {
            table: db.execute(f"DELETE FROM {table} WHERE {column} = ?", (slide_id,)).rowcount
            for table, column in _OF_SLIDE.items()
            if table in there
        }
        if "identity_changes" in there:
            db.execute("INSERT INTO identity_changes DEFAULT VALUES")
    return RemovedSlide({name: count for name, count in rows.items() if count}, tuple(paths))


def remove_orders(state: Path, patient_id: str) -> int:
    """Removes the orders of a patient; returns how many.

    Raises:
        StoreError: the file cannot be written.
    """
    with _changing(state) as db:
        count = db.execute("DELETE FROM orders WHERE patient_id = ?", (patient_id,)).rowcount
        db.execute("INSERT INTO identity_changes DEFAULT VALUES")
    return count


def remove_stated(reviews: Path, slide_id: str) -> int:
    """Removes what people stated of whose slide it is; the entries of the audit trail stay, with
    its digest. Returns how many.

    Raises:
        StoreError: the file cannot be written.
    """
    with _changing(reviews) as db:
        return db.execute("DELETE FROM stated WHERE slide_id = ?", (slide_id,)).rowcount


def remove_marked_crops(reviews: Path, slide_id: str) -> int:
    """Removes the pixels of cells that people have marked; the entries of the audit trail stay,
    with their digests. Returns how many.

    Raises:
        StoreError: the file cannot be written.
    """
    with _changing(reviews) as db:
        there = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        if "marked_crops" not in there:
            return 0
        return db.execute("DELETE FROM marked_crops WHERE slide_id = ?", (slide_id,)).rowcount


def forget_restored_leases(state: Path) -> None:
    """What ran when a backup was made does not run in its copy.

    Raises:
        StoreError: the file cannot be written.
    """
    with _changing(state) as db:
        there = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        if "leases" in there:
            db.execute("DELETE FROM leases")
        if "backlog" in there:
            db.execute("UPDATE backlog SET state = 'waiting' WHERE state = 'running'")


@contextmanager
def _changing(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction, after which nothing of what was deleted is left in the file or its log."""
    try:
        opened = sqlite3.connect(path, _BUSY_WAIT_S, isolation_level=None)
        with closing(opened) as db:
            db.execute("PRAGMA secure_delete=ON")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise StoreError(
            f"{path}: {error}", "check the disk and the rights of the store"
        ) from error
