"""What a person at the terminal sees: progress while slides run, a report at the end. All on stderr; stdout is for programs."""

from collections import Counter
from collections.abc import Iterable
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from ingest import Slide

from .payloads import Progress as SlideProgress
from .pipeline import Report


def print_error(what: str, hint: str = "", word: str = "error") -> None:
    """One line of what went wrong and one of what to do next."""
    next_step = f"\n  -> {escape(hint)}" if hint else ""
    Console(stderr=True, soft_wrap=True).print(f"[red]{word}:[/] {escape(what)}{next_step}", highlight=False)


def say(line: str) -> None:
    """One line that a person may want to know."""
    Console(stderr=True, soft_wrap=True).print(escape(line), highlight=False)


class Screen:
    """Progress bars, one a slide, with cells, cells/s, alerts and time left."""

    def __init__(self, console: Console, quiet: bool = False):
        self.console = console
        columns = [
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("tiles"),
            TextColumn("{task.fields[facts]}"), TimeRemainingColumn(),
        ]  # fmt: skip
        self.bars = Progress(*columns, console=console, disable=quiet)
        self.tasks: dict[str, object] = {}
        self.started: dict[str, tuple[float, int]] = {}

    def __enter__(self) -> "Screen":
        self.bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bars.stop()

    def show(self, slide: Slide, progress: SlideProgress, counts: Counter) -> None:
        if slide.slide_id not in self.tasks:
            self.tasks[slide.slide_id] = self.bars.add_task(slide.path.name, total=progress.tiles, facts="")
            self.started[slide.slide_id] = monotonic(), progress.cells
        start, before = self.started[slide.slide_id]
        rate = (progress.cells - before) / max(1e-3, monotonic() - start)
        facts = f"{progress.cells} cells  {rate:.0f}/s  {progress.alerts} alerts"
        self.bars.update(self.tasks[slide.slide_id], completed=progress.tiles_done, total=progress.tiles, facts=facts)


def report_table(reports: Iterable[Report]) -> Table:
    """One row a slide: how it ended, its cells by label, alerts, failures."""
    table = Table("slide", "status", "cells", "differential", "alerts", "failures", title="Slides")
    for report in reports:
        name = report.slide.path.name if report.slide else report.failure.what
        labels = "  ".join(f"{label} {n}" for label, n in report.counts.most_common())
        p = report.progress
        table.add_row(name, report.status, str(report.counts.total()), labels, str(p.alerts), str(p.failures))
    return table
