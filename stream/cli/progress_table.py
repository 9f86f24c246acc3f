"""What a person sees of a backlog while it runs: the slides in hand, here and elsewhere, and how
long it will take.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ingest import Slide
from stream.events import Progress
from stream.store import RUNNING, WAITING, Backlog, Job, job_lease

from .console import LINE_S

_LOOK_S = 1.0


@dataclass(slots=True)
class ProgressRow:
    """A slide in this process's hands."""

    progress: Progress
    cells_before: int
    tiles_before: int
    since_s: float = field(default_factory=monotonic)

    def cells_a_second(self) -> float:
        return (self.progress.cells - self.cells_before) / max(1e-3, monotonic() - self.since_s)

    def left_s(self) -> float | None:
        done = self.progress.tiles_done - self.tiles_before
        return (
            (monotonic() - self.since_s) / done * (self.progress.tiles - self.progress.tiles_done)
            if done
            else None
        )


class ProgressTable:
    """A live table; a line every ten seconds where nobody looks at a terminal; nothing where
    `quiet`.
    """

    def __init__(
        self,
        console: Console,
        backlog: Backlog,
        only: Collection[str] | None = None,
        quiet: bool = False,
    ):
        self.backlog = backlog
        self.only = only
        self.console = console
        self.quiet = quiet
        self.told_s = monotonic()
        seen = console.is_terminal and not quiet
        self.live = (
            Live(self, console=console, refresh_per_second=2, transient=True) if seen else None
        )
        self.rows: dict[str, ProgressRow] = {}
        self.jobs: list[Job] = []
        self.looked_s = -_LOOK_S
        self.start_s = monotonic()
        self.ended_before: int | None = None

    def __enter__(self) -> "ProgressTable":
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live:
            self.live.stop()

    def show(self, slide: Slide, progress: Progress, _counts: Counter[str]) -> None:
        """Called by the pipeline."""
        key = str(slide.path)
        if key not in self.rows:
            self.rows = {key: ProgressRow(progress, progress.cells, progress.tiles_done)}
        self.rows[key].progress = progress
        if not self.quiet and not self.live and monotonic() - self.told_s >= LINE_S:
            self.told_s = monotonic()
            self.console.print(self._line(slide.path.name, self.rows[key]))

    def _line(self, name: str, row: ProgressRow) -> str:
        p = row.progress
        return (
            f"{name}: {p.tiles_done}/{p.tiles} tiles, {p.cells} cells, {p.alerts} alerts, "
            f"left {duration(row.left_s())}"
        )

    def __rich__(self) -> Group:
        self._look()
        table = Table(
            "slide",
            "",
            "tiles",
            "cells",
            "cells/s",
            "alerts",
            "left",
            box=None,
            padding=(0, 2, 0, 0),
        )
        for job in self.jobs:
            if job.state == RUNNING:
                self._add(table, job)
        return Group(table, self._overall())

    def _look(self) -> None:
        if monotonic() - self.looked_s >= _LOOK_S:
            self.jobs = self.backlog.jobs(self.only)
            self.looked_s = monotonic()
            self.ended_before = self._ended() if self.ended_before is None else self.ended_before

    def _ended(self) -> int:
        return sum(job.state not in (RUNNING, WAITING) for job in self.jobs)

    def _add(self, table: Table, job: Job) -> None:
        if row := self.rows.get(str(job.path.resolve())):
            p = row.progress
            rate = f"{row.cells_a_second():.0f}"
            left = duration(row.left_s())
        else:
            facts = self.backlog.outbox.facts_of_path(str(job.path.resolve()))
            here = self.backlog.outbox.leases.holds(job_lease(job))
            p = Progress(**facts.get("progress", {}))
            rate = ""
            left = "-" if here else "elsewhere"
        bar = ProgressBar(max(1, p.tiles), p.tiles_done, width=20)
        table.add_row(
            job.path.name, bar, f"{p.tiles_done}/{p.tiles}", str(p.cells), rate, str(p.alerts), left
        )

    def _overall(self) -> Text:
        ended = self._ended()
        total = len(self.jobs)
        new = ended - (self.ended_before or 0)
        left = (monotonic() - self.start_s) / new * (total - ended) if new else None
        return Text(f"slides {ended}/{total}, left {duration(left)}", style="bold")


def duration(seconds: float | None) -> str:
    """As h:mm:ss; a dash where it is not known."""
    if seconds is None:
        return "-"
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"
