"""The state file of a store: one SQLite database, safe against kill -9 and power loss
(synchronous=FULL).

On a local disk it writes ahead (WAL). That needs memory shared between the processes, which a
network share has not: there it journals the old way, so that two hosts may use it, as far as the
share's locks work (NFSv4, SMB 3).

A store on a disk that cannot be written is read as it lies, where the caller permits that.
"""

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from urllib.parse import quote

import psutil

from ingest import StoreError

from .private_files import make_private_file, make_private_folder

_PRAGMAS = "PRAGMA journal_mode={journal}; PRAGMA synchronous={sync}; PRAGMA temp_store=MEMORY;"
_SHARES = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "fuse.sshfs",
    "9p",
    "virtiofs",
    "ceph",
    "lustre",
    "fuse.glusterfs",
}
_BUSY_WAIT_S = 30.0
COPY_HINT = "copy the store to a disk that can be written"
_HINTS = {
    "SQLITE_FULL": "free some space and run the same command: it goes on",
    "SQLITE_BUSY": "is another run using this store?",
    "SQLITE_READONLY": COPY_HINT,
    "SQLITE_ERROR": f"{COPY_HINT}: it is of another version",
}


# What to do with a file that cannot be written: an error; read it; or a copy in memory, whose
# changes are lost at the end.
Unwritable = Literal["refuse", "read", "copy"]


class State:
    """One connection. Threads may share it: a lock serves them one at a time.

    `is_kept` is False where the file cannot be written, and nothing that is changed would stay.
    """

    def __init__(
        self,
        path: Path,
        tables: str = "",
        sync: str = "FULL",
        unwritable: Unwritable = "refuse",
    ):
        """Opens or makes the file, with `tables` (SQL). With `sync` NORMAL a power cut may take
        back the last commits.

        Raises:
            StoreError: it cannot be opened, or is no database.
        """
        self.path = path
        self.is_kept = unwritable == "refuse" or can_write(path)
        self._lock = threading.RLock()
        self._closing = ExitStack()
        if not self.is_kept:
            with self._errors():
                self._db = self._opened_to_read(unwritable == "copy")
                if unwritable == "copy":
                    self._db.executescript(tables)
            return
        _make_place(path)
        with self._errors():
            self._db = _connected(str(path))
            journal = "DELETE" if is_on_share(path) else "WAL"
            self._db.executescript(
                _PRAGMAS.format(journal=journal, sync="FULL" if journal == "DELETE" else sync)
                + tables
            )

    def _opened_to_read(self, copied: bool) -> sqlite3.Connection:
        """The database of a file that cannot be written, or of none; with what its log has beyond
        it.
        """
        log = self.path.with_name(f"{self.path.name}-wal")
        if not self.path.exists():
            return _connected(":memory:")
        if log.exists() and log.stat().st_size:
            folder = Path(self._closing.enter_context(TemporaryDirectory(prefix="cytostream-")))
            for file in (self.path, log):
                shutil.copyfile(file, folder / file.name)
            source = _connected(str(folder / self.path.name))
        else:
            source = _connected(f"file:{quote(str(self.path))}?mode=ro&immutable=1")
        if not copied:
            source.execute("PRAGMA query_only=1")
            return source
        memory = _connected(":memory:")
        source.backup(memory)
        source.close()
        return memory

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is written inside commits together, or not at all.

        Raises:
            StoreError: the disk is full, or the file cannot be written; what was committed before
            stays.
        """
        with self._lock, self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself rolls back on a full disk
                    self._db.execute("ROLLBACK")
                raise

    def run(self, script: str) -> None:
        """Statements, each for itself: to make tables."""
        with self._lock, self._errors():
            self._db.executescript(script)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query gives."""
        with self._lock, self._errors():
            return self._db.execute(sql, values).fetchall()

    def integer(self, sql: str, *values: object) -> int:
        """The one number that a query gives."""
        return int(self.rows(sql, *values)[0][0])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            hint = _HINTS.get(
                getattr(error, "sqlite_errorname", ""),
                "check the disk and the rights of the store folder",
            )
            raise StoreError(f"{self.path}: {error}", hint) from error

    def close(self) -> None:
        with self._lock:
            self._db.close()
        self._closing.close()


def can_write(path: Path) -> bool:
    """Whether a file and its folder can be written; one that is not there yet, where it can be
    made.
    """
    if not path.parent.exists():
        return True
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))


def _connected(place: str) -> sqlite3.Connection:
    return sqlite3.connect(
        place,
        timeout=_BUSY_WAIT_S,
        check_same_thread=False,
        isolation_level=None,
        uri=place.startswith("file:"),
    )


def is_on_share(path: Path) -> bool:
    """Whether a path lies on a network share."""
    mounts = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    return next(
        (mounts[folder] in _SHARES for folder in path.resolve().parents if folder in mounts), False
    )


def _make_place(path: Path) -> None:
    """The file, before SQLite makes it: its WAL and shared memory take the mode that it has."""
    try:
        make_private_folder(path.parent)
        make_private_file(path)
    except OSError as error:
        raise StoreError(
            f"{path.parent}: {error.strerror}", "choose another store folder"
        ) from error
