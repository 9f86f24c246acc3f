"""`cytostream alerts`: what waits for a look, and what alarms may be expected to do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from classify import SHIPPED, load_model
from classify.teaching import exact_interval
from stream.alerts import ExpectedAlarms, MeasuredFile, expected_alarms, measured_alarms
from stream.cli.console import screen
from stream.cli.options import RESULTS, ConfigOption, JsonLinesOption, ModelOption, StoreOption
from stream.cli.session import rare_classes_in, require_store, taught_in
from stream.config import Config, load_config
from stream.events import to_line

from .topics import sentence

if TYPE_CHECKING:
    from stream.review import AlertStanding


def alerts(
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Acknowledged ones, too.")] = False,
    expected: Annotated[
        bool,
        typer.Option(
            "--expected",
            help="Instead: how many slides each test of rare classes finds, and its false alarms "
            "per 100 normal slides.",
        ),
    ] = False,
    white: Annotated[int, typer.Option(min=10, help="White cells a slide, for --expected.")] = 200,
    model: ModelOption = SHIPPED,
    json_out: JsonLinesOption = False,
) -> None:
    """List the alerts of a store that nobody has acknowledged on the review page.

    Example: cytostream alerts --store results

    Example: cytostream alerts --expected
    """
    settings = load_config(config)
    if expected:
        show_expected(store, settings, model, white, json_out)
        return
    for standing in store_alerts(store, settings, everything):
        if json_out:
            line = {"acknowledged_by": standing.reviewer, **json.loads(to_line(standing.event))}
            typer.echo(json.dumps(line))
        else:
            by = f" acknowledged by {standing.reviewer}" if standing.reviewer else ""
            screen.print(f"{sentence(standing.event)}{by}")


def store_alerts(store: Path, settings: Config, everything: bool) -> Iterator["AlertStanding"]:
    """The alerts of a store that nobody has acknowledged, or all of them.

    Raises:
        CytostreamError: there is no store.
    """
    from stream.review import custody_folder, list_alerts

    require_store(store)
    for standing in list_alerts(store, custody_folder(settings.review.audit_folder)):
        if everything or not standing.reviewer:
            yield standing


def show_expected(store: Path, settings: Config, model: Path, white: int, json_out: bool) -> None:
    """Each test as it would be of a run into this store, then what was measured."""
    loaded = load_model(model)
    rare = rare_classes_in(store, settings, loaded, taught_in(store, loaded))
    measured = measured_alarms()
    known = measured.found if measured and measured.model_id == loaded.model_id else {}
    level = settings.alerts.false_alarms_per_100 / 100 / max(1, len(rare))
    rows = [expected_alarms(one, level, white, known.get(one.name)) for one in rare]
    if json_out:
        for row in rows:
            typer.echo(json.dumps(expected_line(row)))
        return
    screen.print(expected_table(rows, white))
    screen.print(
        f"all of them together: at most {settings.alerts.false_alarms_per_100:g} false alarms per "
        "100 normal slides (alerts.false_alarms_per_100)"
    )
    if measured:
        screen.print(measured_table(measured, loaded.model_id))


def expected_line(row: ExpectedAlarms) -> dict[str, str | int | float | None | dict[int, float]]:
    return {
        "rule": row.rare.name,
        "severity": row.rare.severity,
        "white": row.white,
        "background": round(row.rare.background, 6),
        "signed_slides": row.rare.slides,
        "alarm_from": row.alarm_from,
        "false_per_100": round(row.false_per_100, 4),
        "found": {percent: round(share, 4) for percent, share in row.found.items()},
    }


def expected_table(rows: list[ExpectedAlarms], white: int) -> Table:
    table = Table(
        "class",
        "severity",
        "background",
        f"alarm from, of {white}",
        "false per 100",
        "found at 2 %",
        "5 %",
        "10 %",
        "20 %",
        title="Worked out from the rates",
        title_justify="left",
    )
    for row in rows:
        slides = f", {row.rare.slides} signed slides" if row.rare.slides else ""
        found = [f"{share:.2f}" for share in row.found.values()] or ["?"] * 4
        table.add_row(
            f"{row.rare.name}{' (taught)' if row.rare.taught else ''}",
            row.rare.severity,
            f"{100 * row.rare.background:.2f} %{slides}",
            str(row.alarm_from or "-"),
            f"{row.false_per_100:.2f}",
            *found,
        )
    return table


def measured_table(measured: MeasuredFile, model_id: str) -> Table:
    other = "" if measured.model_id == model_id else f", of another model ({measured.model_id})"
    table = Table(
        "as",
        "per cent of the class",
        "slides",
        "with an alarm",
        "95 % interval",
        title=f"Measured on {measured.slides}{other}",
        caption=f"`{measured.command}`",
        title_justify="left",
    )
    for row in measured.rows:
        low, high = exact_interval(row.alarms, row.slides)
        percent = f"{row.percent:g} %" if row.percent else "none: false alarms"
        share = f"{low:.2f} to {high:.2f}"
        table.add_row(row.setting, percent, str(row.slides), str(row.alarms), share)
    return table
