"""One connection to the state of a store, and what is read and written over it.

Queries are SQL that SQLite and PostgreSQL share, with named parameters (`:name`); what differs
between them is in `backend`. SQLAlchemy compiles each text once for the driver.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from sqlalchemy import Connection, MetaData, text
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError, ResourceClosedError, SQLAlchemyError

from ingest import StoreError

from .backend import Backend, Unwritable
from .place import server_of
from .schema import column_statement, index_statements, table_statements, wanted_parts
from .sqlite import SqliteBackend

BoundValue = str | bytes | int | float | None
Row = tuple[Any, ...]
Given = TypeVar("Given")
_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What a statement gave: its rows, and how many rows it changed."""

    rows: list[Row]
    changed: int


@dataclass(frozen=True, slots=True)
class Step:
    """A statement of a transaction: with one set of values, or many."""

    sql: str
    values: Mapping[str, BoundValue] | Sequence[Mapping[str, BoundValue]]

    def run(self, link: Connection, dialect: Dialect) -> StepOutcome:
        """Executes it."""
        result = link.exec_driver_sql(driver_text(self.sql, dialect), self.values)
        if not result.returns_rows or result.cursor is None:
            return StepOutcome([], result.rowcount)
        found = StepOutcome([*result.cursor.fetchall()], result.rowcount)
        result.close()
        return found


class Statements:
    """What is read and written in one transaction."""

    def __init__(self, run: Callable[[Step], StepOutcome], backend: Backend):
        self._run = run
        self.take_row = backend.take_row
        self.share_row = backend.share_row
        self.skip_row = backend.skip_row
        self.now_s = backend.now_s

    def rows(self, sql: str, /, **values: BoundValue) -> list[Row]:
        """What a query gives."""
        return self._run(Step(sql, values)).rows

    def row(self, sql: str, /, **values: BoundValue) -> Row | None:
        """The first row that a query gives; None where it gives none."""
        found = self.rows(sql, **values)
        return found[0] if found else None

    def change(self, sql: str, /, **values: BoundValue) -> int:
        """Executes a statement; returns how many rows it changed."""
        return self._run(Step(sql, values)).changed

    def change_all(self, sql: str, values: Iterable[Mapping[str, BoundValue]]) -> None:
        """Executes a statement with each of these values."""
        many = list(values)
        if many:
            self._run(Step(sql, many))


class State:
    """One connection. Threads may share it: a lock serves them one at a time.

    Where a server goes away, reads and transactions wait for it (`waits_s`) and are done again: a
    transaction as it was, statement by statement, each of which must give what it gave before.

    `is_kept` is False where the file cannot be written, and nothing that is changed would stay.
    """

    def __init__(
        self,
        path: Path,
        schema: MetaData | None = None,
        sync: str = "FULL",
        unwritable: Unwritable = "refuse",
    ):
        """Opens or makes the database of a path: that file, or the schema of its name on the
        server that the folder names; with the tables of `schema`. With `sync` NORMAL a power cut
        may take back the last commits.

        Raises:
            StoreError: it cannot be opened, or is no database.
        """
        self.path = path
        self.backend = backend_of(path, sync, unwritable)
        self.is_kept = self.backend.is_kept
        self._lock = threading.RLock()
        self._done: list[tuple[Step, StepOutcome]] = []
        self._ordered = True
        self._is_open = False
        self._is_closed = False
        with self._errors():
            self._link = self.backend.connect()
            if schema is not None and self.backend.makes_tables:
                self.backend.open_session(self._link)
                self._make_tables(schema)

    def _make_tables(self, schema: MetaData) -> None:
        """The tables, columns, indices and triggers that are not there."""
        dialect = self.backend.dialect
        if wanted_parts(schema, dialect) <= self._parts():
            return
        with self.transaction():
            for sql in table_statements(schema, dialect):
                self._link.exec_driver_sql(sql)
            there = self._parts()
            for table in schema.sorted_tables:
                for column in table.columns:
                    if (table.name, column.name) not in there:
                        self._link.exec_driver_sql(column_statement(table.name, column, dialect))
            for sql in index_statements(schema, dialect):
                self._link.exec_driver_sql(sql)

    def _parts(self) -> set[tuple[str, str]]:
        """The columns (table, column), and the names of indices and triggers ("", name)."""
        return {(table, name) for table, name in self.rows(self.backend.parts)}

    @contextmanager
    def transaction(self, ordered: bool = True) -> Iterator[Statements]:
        """All that is written inside commits together, or not at all. One that adds nothing that
        others read in order need not be `ordered`, and on a server waits for the rows alone that
        it locks.

        Raises:
            StoreError: the disk is full, or the database cannot be written; what was committed
            before stays.
        """
        with self._lock, self._errors():
            self._ordered = ordered
            self._done.clear()
            self._until_done(self._begin)
            self._is_open = True
            try:
                yield Statements(self._step, self.backend)
                self._commit()
            except BaseException:
                with suppress(SQLAlchemyError):  # SQLite itself rolls back on a full disk
                    self._link.exec_driver_sql("ROLLBACK")
                raise
            finally:
                self._is_open = False

    def _run(self, step: Step) -> StepOutcome:
        return step.run(self._link, self.backend.dialect)

    @contextmanager
    def one_moment(self) -> Iterator[Statements]:
        """All that is read inside is of one moment, while others write on.

        Raises:
            StoreError: it cannot be read, or the server went away meanwhile.
        """
        with self._lock, self._errors():
            self._link.exec_driver_sql(self.backend.begin_reading)
            try:
                yield Statements(self._run, self.backend)
            finally:
                with suppress(SQLAlchemyError):
                    self._link.exec_driver_sql("ROLLBACK")

    def _begin(self) -> None:
        self._link.exec_driver_sql(self.backend.begin(self._ordered))

    def _step(self, step: Step) -> StepOutcome:
        """A statement; where the server went away, after all that was before it once more."""
        try:
            outcome = self._run(step)
        except DBAPIError as error:
            if not self.backend.is_lost(error):
                raise
            outcome = self._until_done(lambda: self._repeated(step), is_lost=True)
        if self.backend.waits_s:
            self._done.append((step, outcome))
        return outcome

    def _repeated(self, *more: Step) -> StepOutcome:
        """The transaction from its beginning on."""
        self._begin()
        for step, before in self._done:
            if self._run(step) != before:
                raise StoreError(
                    f"{self.backend.place}: changed by another process while the server was away",
                    "run the same command: it goes on",
                )
        return [self._run(step) for step in more][-1] if more else StepOutcome([], 0)

    def _commit(self) -> None:
        try:
            self._link.exec_driver_sql("COMMIT")
        except DBAPIError as error:
            if not self.backend.is_lost(error):
                raise
            self._until_done(self._commit_again, is_lost=True)

    def _commit_again(self) -> None:
        if not self.backend.was_committed(self._link):
            self._repeated()
            self._link.exec_driver_sql("COMMIT")

    def _until_done(self, do: Callable[[], Given], is_lost: bool = False) -> Given:
        """Does it, over a new connection where the last one is lost, for as long as a server is
        waited for.
        """
        until = monotonic() + self.backend.waits_s
        broken = self._link.closed or self._link.invalidated  # nobody answered the last time
        is_lost |= broken and not self._is_closed
        while True:
            try:
                if is_lost:
                    self._connect_again()
                return do()
            except DBAPIError as error:
                if not self.backend.is_lost(error) or monotonic() > until:
                    raise
            is_lost = True
            sleep(_PAUSE_S)

    def _connect_again(self) -> None:
        with suppress(SQLAlchemyError):
            self._link.close()
        self._link = self.backend.connect()

    def rows(self, sql: str, /, **values: BoundValue) -> list[Row]:
        """What a query gives."""
        step = Step(sql, values)
        with self._lock, self._errors():
            if self._is_open:
                return self._step(step).rows
            return self._until_done(lambda: self._run(step)).rows

    def integer(self, sql: str, /, **values: BoundValue) -> int:
        """The one number that a query gives."""
        return int(self.rows(sql, **values)[0][0])

    def has_table(self, name: str) -> bool:
        """Whether there is a table; a store of an earlier version has not all of them."""
        return self.integer(self.backend.has_table, name=name) > 0

    def change_mark(self) -> int:
        """Another number after every commit of another connection."""
        return self.integer(self.backend.change_mark)

    def size_bytes(self) -> int:
        """Of the database, without what was dropped from a file."""
        return self.integer(self.backend.size_bytes)

    def erase_deleted(self) -> None:
        """What is deleted from now on is overwritten."""
        self._execute_each(self.backend.begin_erasing)

    def finish_erasing(self) -> None:
        """Nothing of what was deleted stays in a log, or on a server beside its rows."""
        self._execute_each(self.backend.end_erasing)

    def _execute_each(self, statements: Iterable[str]) -> None:
        for sql in statements:
            self.rows(sql)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            words = " ".join(str(error.orig).split())
            raise StoreError(f"{self.backend.place}: {words}", self.backend.hint(error)) from error
        except ResourceClosedError as error:
            raise StoreError(f"{self.backend.place}: closed", "open the store again") from error

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            with suppress(SQLAlchemyError):
                self._link.close()
            self.backend.close()


def backend_of(path: Path, sync: str, unwritable: Unwritable) -> Backend:
    """The database of a path."""
    if url := server_of(path.parent):
        from .postgresql import PostgresqlBackend  # not loaded for the stores that are files

        return PostgresqlBackend(url, f"cytostream_{path.stem}", sync, unwritable == "refuse")
    return SqliteBackend(path, sync, unwritable)


@cache
def driver_text(sql: str, dialect: Dialect) -> str:
    """A query in the words of a driver."""
    return str(text(sql).compile(dialect=dialect))


def listed(name: str, values: Iterable[BoundValue]) -> tuple[str, dict[str, BoundValue]]:
    """Parameters for `IN (...)`, and their values."""
    named = {f"{name}_{number}": value for number, value in enumerate(values)}
    return ", ".join(f":{key}" for key in named), named
