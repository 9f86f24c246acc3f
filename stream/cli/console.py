"""What a person at the terminal sees: progress while slides run, a report at the end. All on
stderr; stdout is for programs.
"""

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stream.run import Report


def print_error(what: str, hint: str = "", word: str = "error") -> None:
    """One line of what went wrong and one of what to do next."""
    next_step = f"\n  -> {escape(hint)}" if hint else ""
    Console(stderr=True, soft_wrap=True).print(
        f"[red]{word}:[/] {escape(what)}{next_step}", highlight=False
    )


def say(line: str) -> None:
    """One line that a person may want to know."""
    Console(stderr=True, soft_wrap=True).print(escape(line), highlight=False)


def red_cells_line(figures: dict) -> str:
    """How many red cells, and the kinds that are graded, as `spherocyte 2+ (12 %)`."""
    graded = [
        f"{name} {kind['grade']}+ ({kind['percent']:.1f} %)"
        for name, kind in (figures.get("kinds") or {}).items()
        if kind["grade"]
    ]
    return "  ".join([str(figures["cells"]), *graded]) if figures else ""


def report_table(reports: Iterable[Report]) -> Table:
    """One row a slide: how it ended, its cells by label, alerts, failures."""
    table = Table(
        "slide",
        "status",
        "cells",
        "differential",
        "red cells",
        "alerts",
        "failures",
        title="Slides",
    )
    for report in reports:
        name = report.slide.path.name if report.slide else report.failure.what
        labels = "  ".join(f"{label} {n}" for label, n in report.counts.most_common())
        p = report.progress
        table.add_row(
            name,
            report.status,
            str(report.counts.total()),
            labels,
            red_cells_line(report.red_cells or {}),
            str(p.alerts),
            str(p.failures),
        )
    return table
