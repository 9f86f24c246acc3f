"""A copy of a database that others write to meanwhile: one file, of whichever database."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from sqlalchemy import Table

from ingest import StoreError
from stream.store.database import SCHEMAS, Row, State, Statements, server_of

_BUSY_WAIT_S = 30.0
_ROWS_A_PAGE = 1024
_PAGES_A_STEP = 4096  # between two steps writers go on


def snapshot(path: Path, copy: Path) -> None:
    """Copies a database as it is at one moment into one file of SQLite without a log: by its
    online backup, or row by row from a server.

    Raises:
        StoreError: it cannot be read, or the copy cannot be written.
    """
    if not server_of(path.parent):
        _copy_file(path, copy)
        return
    with TemporaryDirectory(dir=copy.parent) as folder:
        _copy_rows(path, Path(folder) / copy.name)
        _copy_file(Path(folder) / copy.name, copy)


def _copy_rows(path: Path, copy: Path) -> None:
    """Every row of every table, under the number that it has."""
    schema = SCHEMAS[path.stem]
    with (
        closing(State(path, schema)) as server,
        closing(State(copy, schema, sync="NORMAL")) as file,
        server.one_moment() as source,
        file.transaction() as target,
    ):
        for table in schema.sorted_tables:
            names = [column.name for column in table.columns]
            sql = f"INSERT INTO {table.name} VALUES ({', '.join(f':{name}' for name in names)})"
            for page in _pages(source, table):
                target.change_all(sql, (dict(zip(names, row, strict=True)) for row in page))


def _pages(source: Statements, table: Table) -> Iterator[list[Row]]:
    """The rows of a table in the order of its key, a page at a time where that is a number."""
    columns = ", ".join(column.name for column in table.columns)
    counter = table.autoincrement_column
    if counter is None:
        yield source.rows(f"SELECT {columns} FROM {table.name}")
        return
    place = list(table.columns).index(counter)
    after = 0
    sql = f"""SELECT {columns} FROM {table.name} WHERE {counter.name} > :after
        ORDER BY {counter.name} LIMIT {_ROWS_A_PAGE}"""
    while page := source.rows(sql, after=after):
        yield page
        after = page[-1][place]


def _copy_file(path: Path, copy: Path) -> None:
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
