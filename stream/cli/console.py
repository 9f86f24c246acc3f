"""What a person at the terminal sees: progress while slides run, a report at the end. All on
stderr; stdout is for programs.
"""

from collections.abc import Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from rich import progress
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .printable import printable

if TYPE_CHECKING:
    from stream.run import SlideOutcome

_T = TypeVar("_T")
LINE_S = 10.0  # between two lines of progress where nobody looks at a terminal


class Screen(Console):
    """stderr. Texts are printed as they are: what a name or a comment holds is no markup and no
    order to the terminal.
    """

    def __init__(self) -> None:
        super().__init__(stderr=True, markup=False, emoji=False, highlight=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """As `Console.print`; a text stays one line, however long it is."""
        options.setdefault("soft_wrap", all(isinstance(one, str | Text) for one in objects))
        super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)


screen = Screen()


def print_error(what: str, hint: str = "", word: str = "error", style: str = "red") -> None:
    """One line of what went wrong and one of what to do next."""
    next_step = f"\n  -> {printable(hint)}" if hint else ""
    screen.print(Text.assemble((f"{word}:", style), f" {printable(what)}{next_step}"))


def say(line: str) -> None:
    """One line that a person may want to know."""
    screen.print(line)


def red_cells_line(figures: dict[str, Any]) -> str:
    """How many red cells, and the kinds that are graded, as `spherocyte 2+ (12 %)`."""
    graded = [
        f"{name} {kind['grade']}+ ({kind['percent']:.1f} %)"
        for name, kind in (figures.get("kinds") or {}).items()
        if kind["grade"]
    ]
    return "  ".join([str(figures["cells"]), *graded]) if figures else ""


def track(items: Iterable[_T], what: str, total: int) -> Iterator[_T]:
    """The items, with a bar of how many have passed; where nobody looks at a terminal, with a
    line every ten seconds.
    """
    if screen.is_terminal:
        yield from progress.track(items, what, total, console=screen)
        return
    told_s = monotonic()
    for number, item in enumerate(items, 1):
        yield item
        if monotonic() - told_s >= LINE_S:
            told_s = monotonic()
            screen.print(f"{what}: {number} of {total}")


def report_table(reports: Iterable["SlideOutcome"]) -> Table:
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
        why = report.failure.what if report.failure else ""
        name = report.slide.path.name if report.slide else why
        labels = "  ".join(f"{label} {n}" for label, n in report.counts.most_common())
        p = report.progress
        table.add_row(
            name,
            report.status,
            str(report.counts.total()),
            labels,
            red_cells_line(report.red_cells or {}),
            str(p.alerts + report.slide_alerts),
            str(p.failures),
        )
    return table
