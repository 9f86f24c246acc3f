"""Numbers of a store for whoever looks at it from outside: no name, no id, no code of anyone."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import time

from ingest import StoreError
from stream.events import ALERT, SLIDE_ALERT

from .database import Row, State, server_of


@dataclass(frozen=True, slots=True)
class SinkFigures:
    """Events that wait for a sink, the age of the oldest of them, events that it refused."""

    waiting: int
    oldest_s: float
    refused: int


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """Slides by status, files of the backlog by state, orders by state and messages that were none,
    alerts about cells and about slides; free bytes of the disk, bytes of the state file.
    """

    slides: dict[str, int] = field(default_factory=dict)
    backlog: dict[str, int] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    refused_orders: int = 0
    cell_alerts: int = 0
    slide_alerts: int = 0
    disk_free_bytes: int = 0
    state_bytes: int = 0


class FigureQueries:
    """Reads the figures of a state file over a connection of its own."""

    def __init__(self, path: Path):
        """Opens the file.

        Raises:
            StoreError: there is none, or it cannot be opened.
        """
        if not (path.is_file() or server_of(path.parent)):
            raise StoreError(f"{path}: no such file", "check --store")
        self._path = path
        self._state = State(path, unwritable="read")

    def figures(self) -> StoreFigures:
        """The figures now.

        Raises:
            StoreError: the file cannot be read.
        """
        return StoreFigures(
            slides=self._count("slides", "status"),
            backlog=self._count("backlog", "state"),
            orders=self._count("orders", "state"),
            refused_orders=self._total("refused_orders"),
            cell_alerts=self._alerts(ALERT),
            slide_alerts=self._alerts(SLIDE_ALERT),
            disk_free_bytes=shutil.disk_usage(self._path.parent).free,
            state_bytes=self._state.size_bytes(),
        )

    def _count(self, table: str, column: str) -> dict[str, int]:
        return dict(self._rows(table, f"SELECT {column}, count(*) FROM {table} GROUP BY {column}"))

    def _total(self, table: str) -> int:
        """All that ever came, also where the oldest were dropped."""
        rows = self._rows(table, f"SELECT coalesce(max(number), 0) FROM {table}")
        return int(rows[0][0]) if rows else 0

    def _alerts(self, kind: str) -> int:
        """Counted on a partial index, whose condition must be written out."""
        rows = self._rows("records", f"SELECT count(*) FROM records WHERE type = '{kind}'")
        return int(rows[0][0]) if rows else 0

    def sinks(self, names: Iterable[str] = ()) -> dict[str, SinkFigures]:
        """The sinks that have taken events of this file, and those of these names.

        Raises:
            StoreError: the file cannot be read.
        """
        if not self._state.has_table("records"):
            return {}
        known = [str(name) for (name,) in self._rows("cursors", "SELECT sink FROM cursors")]
        return {name: self._sink(name) for name in dict.fromkeys([*known, *names])}

    def _sink(self, name: str) -> SinkFigures:
        sql = """SELECT count(*), min(added) FROM records
            WHERE seq > coalesce((SELECT seq FROM cursors WHERE sink = :sink), 0)
            AND seq NOT IN (SELECT seq FROM refused WHERE sink = :sink)"""
        waiting, added = self._state.rows(sql, sink=name)[0]
        sql = "SELECT count(*) FROM refused WHERE sink = :sink"
        refused = self._state.integer(sql, sink=name)
        return SinkFigures(waiting, max(0.0, time() - added) if added else 0.0, refused)

    def _rows(self, table: str, sql: str) -> list[Row]:
        """What a query gives; nothing where the store has no such table yet."""
        return self._state.rows(sql) if self._state.has_table(table) else []

    def close(self) -> None:
        """Closes the connection."""
        self._state.close()
