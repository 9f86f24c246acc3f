"""Whether a process lives, and whether it can do its work."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from ingest import CytostreamError
from stream.config import Config
from stream.store import FigureQueries, can_write

Check = Callable[[], str]


class Health:
    """Checks by name: each gives why it fails, in words that name nobody, or an empty text."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {"started": lambda: "not started yet"}
        self._lock = threading.Lock()

    def add(self, name: str, check: Check) -> None:
        with self._lock:
            self._checks[name] = check

    def started(self) -> None:
        """The process has opened all it needs."""
        self.add("started", lambda: "")

    def failing(self) -> Mapping[str, str]:
        """The checks that fail now, each with why."""
        with self._lock:
            checks = dict(self._checks)
        return {name: why for name, check in checks.items() if (why := check())}


def check_store_files(store: Path, settings: Config, figures: FigureQueries) -> str:
    """Whether a store can be read and written, and its disk has room."""
    try:
        found = figures.figures()
    except (CytostreamError, OSError):
        return "the store cannot be read"
    if not can_write(store / "state.db"):
        return "the store cannot be written"
    if found.disk_free_bytes < settings.store.free_gb * 1e9:
        return "the disk has less free than store.free_gb"
    return ""
