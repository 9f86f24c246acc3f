"""`cytostream run`: slides, folders and lists of them, each slide once."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from ingest import SlideError
from stream.cli.console import print_error, report_table, screen
from stream.cli.options import (
    RESULTS,
    ConfigOption,
    JsonLinesOption,
    MppOption,
    RunOptions,
    StoreOption,
    TileOptions,
)
from stream.cli.session import drain, open_lab, open_station
from stream.cli.slide_lists import expanded, shown_path
from stream.config import Config, load_config
from stream.events import SLIDE_ALERT, JsonObject
from stream.run import GracefulStop, SlideOutcome, asked_work, outcome_report, work
from stream.store import Job, Outbox

_INTERRUPTED = 130


def run(
    slides: Annotated[
        list[Path], typer.Argument(help="Slides, fields of view, folders of them, or lists (.txt).")
    ],
    reading: TileOptions,
    choice: RunOptions,
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
    mpp: MppOption = None,
    json_report: JsonLinesOption = False,
) -> None:
    """Find and classify every cell of slides, and stream labels and alerts. The same command goes
    on after a stop.

    Two processes, or two hosts on one share, may run it on the same store: each slide is done once.

    [bold]Examples[/]

    cytostream run smear.svs --sink kafka

    cytostream run /scans/monday --store /share/results

    cytostream run field.png --mpp 0.1 --sink jsonl:events.jsonl --store results
    """
    settings = load_config(config, reading=asdict(reading), store={"state": choice.state})
    if not run_slides(slides, store, settings, choice, mpp, json_report):
        raise typer.Exit(1)


def run_slides(
    slides: Sequence[Path],
    store: Path,
    settings: Config,
    choice: RunOptions,
    mpp: float | None = None,
    json_report: bool = False,
) -> bool:
    """Runs slides, folders and lists, and shows the report. False where a slide failed or was left
    out, or where events still wait.

    Raises:
        CytostreamError: nothing could be run.
        typer.Exit: it was stopped.
    """
    found = expanded(slides)
    jobs = [Job(path.absolute(), mpp=mpp) for path in found.slides]
    try:
        reports, unsent = run_jobs(jobs, store, settings, choice, json_report)
    except KeyboardInterrupt:
        screen.print(f"stopped; what was found is in {store}, and the same command goes on there")
        raise typer.Exit(_INTERRUPTED) from None
    show_reports(reports, json_report)
    for path, (why, hint) in found.left_out.items():
        print_error(f"{shown_path(path)}: {why}", hint, "left out")
    return not (unsent or found.left_out or any(report.failure for report in reports))


def show_reports(reports: Sequence[SlideOutcome], json_report: bool) -> None:
    """The table of slides, then what is wrong with some of them."""
    screen.print(report_table(reports))
    if json_report:
        for report in reports:
            typer.echo(json.dumps(report_line(report)))
    for report in reports:
        for problem in report.unfit:
            name = report.slide.path.name if report.slide else ""
            print_error(f"{name}: {problem}", word="not fit for reading")
    for report in reports:
        if report.failure:
            print_error(report.failure.what, report.failure.hint, "failed")


def run_jobs(
    jobs: list[Job], store: Path, settings: Config, choice: RunOptions, quiet: bool
) -> tuple[list[SlideOutcome], int]:
    """The reports of all jobs, whoever did them, and how many events are not sent."""
    only = frozenset(str(job.path) for job in jobs)
    with (
        GracefulStop(settings.backlog.drain_s) as ending,
        open_station(store, settings, choice.sinks) as station,
    ):
        with open_lab(station, choice, only, quiet) as lab:
            station.backlog.add(jobs, asked=asked_work(lab))
            ended = work(lab, station.backlog, ending.stop, only, waits=waits)
            mine = {str(job.path): report for job, report in ended}
        unsent = drain(station.relays, settings.kafka.give_up_s)
        if ending.stop.is_set() and station.backlog.is_open(only):
            raise KeyboardInterrupt
        ended_now = [
            mine.get(str(job.path)) or outcome_report(station.outbox, job)
            for job in station.backlog.jobs(only)
        ]
        return [with_slide_alerts(station.outbox, report) for report in ended_now], unsent


def with_slide_alerts(outbox: Outbox, report: SlideOutcome) -> SlideOutcome:
    """The report with the alerts that are about its slide as a whole, a rule once."""
    if report.slide is None:
        return report
    records = outbox.events(report.slide.slide_id, types=(SLIDE_ALERT,))
    return replace(report, slide_alerts=len({record.event.data["rule"] for record in records}))


def waits(job: Job, error: SlideError) -> None:
    """States why a slide is tried again later."""
    print_error(error.what, error.hint, "waits")


def report_line(report: SlideOutcome) -> JsonObject:
    slide = (
        {"slide_id": report.slide.slide_id, "path": str(report.slide.path)} if report.slide else {}
    )
    failure = {"failure": report.failure.what} if report.failure else {}
    unfit = {"unfit": report.unfit} if report.unfit else {}
    red_cells = {"red_cells": report.red_cells} if report.red_cells else {}
    return {
        **slide,
        "status": report.status,
        "counts": dict(report.counts),
        **report.progress.model_dump(),
        "slide_alerts": report.slide_alerts,
        **red_cells,
        **unfit,
        **failure,
    }
