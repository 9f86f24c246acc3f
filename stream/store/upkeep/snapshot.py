"""A copy of a database that others write to meanwhile."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from ingest import StoreError

_BUSY_WAIT_S = 30.0
_PAGES_A_STEP = 4096  # between two steps writers go on


def snapshot(path: Path, copy: Path) -> None:
    """Copies a database as it is at one moment (SQLite's online backup), into one file without a
    log.

    Raises:
        StoreError: it cannot be read, or the copy cannot be written.
    """
    try:
        source = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", _BUSY_WAIT_S, uri=True)
        with closing(source), closing(sqlite3.connect(copy)) as target:
            source.backup(target, pages=_PAGES_A_STEP)
            target.execute("PRAGMA journal_mode=DELETE")
            fault = target.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}", "check the disks of store and backup") from error
    if fault != "ok":
        raise StoreError(f"{path}: damaged: {fault}", "restore the store from an earlier backup")
