"""The command that measures a model against the discriminative baseline."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from classify import SHIPPED
from stream.cli.console import screen
from stream.cli.options import ModelArgument
from stream.events import JsonObject

from .training import training_side

if TYPE_CHECKING:
    from classify.evaluation import Findings

AXIS_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    TextColumn("{task.fields[row]}"),
    TimeElapsedColumn(),
)


def evaluate(
    suite: Annotated[
        Path,
        typer.Option(
            help="TOML file: data, axes, minutes; as configs/evaluation/suite-quick.toml."
        ),
    ],
    report: Annotated[
        Path,
        typer.Option(help="Folder for report.html, report.json and what is trained on the way."),
    ],
    model: ModelArgument = SHIPPED,
    only: Annotated[
        list[str] | None,
        typer.Option(help="An axis to run and report, several times if need be; else all."),
    ] = None,
) -> None:
    """Measure a model on every axis, beside a discriminative baseline of equal size and training
    time.

    What is retrained on the way takes the minutes that the suite states. A stopped evaluation goes
    on with the same command.

    Example: cytostream evaluate MODEL --suite configs/evaluation/suite-quick.toml --report
    runs/evaluation
    """
    command = shlex.join(["cytostream", *sys.argv[1:]])
    found = run_suite(model, suite, report, only or (), command)
    for title, findings in found.items():
        screen.print(f"{title}: {len(findings.figures)} figures")
    screen.print(f"written: {report / 'report.html'}, {report / 'report.json'}")


def run_suite(
    model: Path, suite: Path, report: Path, only: Sequence[str], command: str
) -> dict[str, "Findings"]:
    """Measures a model on the axes of a suite, or `only` some of them, and writes the report, which
    states the command.

    Raises:
        CytostreamError: the suite, its data or the model cannot be used, or packages are missing.
    """
    with training_side():
        from classify.evaluation import evaluate_model, read_suite
    settings = read_suite(suite)
    with Progress(*AXIS_COLUMNS, console=screen) as bars:
        tasks: dict[str, TaskID] = {}

        def show(name: str, row: JsonObject) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=row.get("budget"), row="")
            if row:
                shown = f"step {row['step']}  ce {row['cross_entropy']:.3f}"
                bars.update(tasks[name], completed=row["used"], row=shown)

        return evaluate_model(model, settings, report, only, show, command)
