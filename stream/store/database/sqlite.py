"""A database of one file: SQLite, safe against kill -9 and power loss (synchronous=FULL).

On a local disk it writes ahead (WAL). That needs memory shared between the processes, which a
network share has not: there it journals the old way, so that two hosts may use it, as far as the
share's locks work (NFSv4, SMB 3).

A store on a disk that cannot be written is read as it lies, where the caller permits that.
"""

import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import psutil
from sqlalchemy import Connection, create_engine
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ingest import StoreError
from stream.store.private_files import make_private_file, make_private_folder

from .backend import Unwritable

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
BUSY_WAIT_S = 30.0
COPY_HINT = "copy the store to a disk that can be written"
_HINTS = {
    "SQLITE_FULL": "free some space and run the same command: it goes on",
    "SQLITE_BUSY": "is another run using this store?",
    "SQLITE_READONLY": COPY_HINT,
    "SQLITE_ERROR": f"{COPY_HINT}: it is of another version",
}


class SqliteBackend:
    """The connections to a file. `is_kept` is False where it cannot be written."""

    dialect: Dialect = SQLiteDialect_pysqlite(paramstyle="named")
    waits_s = 0.0
    now_s = "0"
    silent_s = "NULL"
    take_row = ""
    share_row = ""
    skip_row = ""
    begin_reading = "BEGIN"
    change_mark = "PRAGMA data_version"
    begin_erasing: Sequence[str] = ("PRAGMA secure_delete=ON",)
    end_erasing: Sequence[str] = ("PRAGMA wal_checkpoint(TRUNCATE)",)
    has_table = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = :name"
    parts = """SELECT tables.name, columns.name
        FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
        WHERE tables.type = 'table'
        UNION ALL SELECT '', name FROM sqlite_master WHERE type IN ('index', 'trigger')"""
    size_bytes = """SELECT (pages.page_count - free.freelist_count) * size.page_size
        FROM pragma_page_count() AS pages, pragma_freelist_count() AS free,
        pragma_page_size() AS size"""

    def __init__(self, path: Path, sync: str, unwritable: Unwritable):
        self.place = str(path)
        self.is_kept = unwritable == "refuse" or can_write(path)
        self.makes_tables = self.is_kept or unwritable == "copy"
        self._path = path
        self._sync = sync
        self._closing = ExitStack()

    def connect(self) -> Connection:
        """A connection to the file, which is made where it is not there; to a copy in memory, or
        to read, where it cannot be written.

        Raises:
            StoreError: the folder cannot be made.
        """
        engine = create_engine(
            "sqlite://", creator=self._opened, poolclass=NullPool, paramstyle="named"
        )
        return engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def begin(self, ordered: bool) -> str:
        """One process writes at a time, whatever the transaction is for."""
        return "BEGIN IMMEDIATE"

    def open_session(self, link: Connection) -> None:
        """Nothing to prepare."""

    def was_committed(self, link: Connection) -> bool:
        """A file does not go away."""
        return False

    def is_lost(self, error: DBAPIError) -> bool:
        """A file does not go away."""
        return False

    def hint(self, error: DBAPIError) -> str:
        """What to do about an error."""
        name = getattr(error.orig, "sqlite_errorname", "")
        return _HINTS.get(name, "check the disk and the rights of the store folder")

    def close(self) -> None:
        """Removes what was copied."""
        self._closing.close()

    def _opened(self) -> sqlite3.Connection:
        if not self.is_kept:
            return self._opened_to_read(self.makes_tables)
        _make_place(self._path)
        db = connected(str(self._path))
        journal = "DELETE" if is_on_share(self._path) else "WAL"
        sync = "FULL" if journal == "DELETE" else self._sync
        db.executescript(
            f"PRAGMA journal_mode={journal}; PRAGMA synchronous={sync}; PRAGMA temp_store=MEMORY;"
        )
        return db

    def _opened_to_read(self, copied: bool) -> sqlite3.Connection:
        """The database of a file that cannot be written, or of none; with what its log has beyond
        it.
        """
        log = self._path.with_name(f"{self._path.name}-wal")
        if not self._path.exists():
            return connected(":memory:")
        if log.exists() and log.stat().st_size:
            folder = Path(self._closing.enter_context(TemporaryDirectory(prefix="cytostream-")))
            for file in (self._path, log):
                shutil.copyfile(file, folder / file.name)
            source = connected(str(folder / self._path.name))
        else:
            source = connected(f"file:{quote(str(self._path))}?mode=ro&immutable=1")
        if not copied:
            source.execute("PRAGMA query_only=1")
            return source
        memory = connected(":memory:")
        source.backup(memory)
        source.close()
        return memory


def can_write(path: Path) -> bool:
    """Whether a file and its folder can be written; one that is not there yet, where it can be
    made.
    """
    if not path.parent.exists():
        return True
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))


def connected(place: str) -> sqlite3.Connection:
    """A plain connection, for threads that take turns."""
    return sqlite3.connect(
        place,
        timeout=BUSY_WAIT_S,
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
