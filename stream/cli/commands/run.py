"""Commands of the main path: run slides, send what waits, send again."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from classify import SHIPPED
from ingest import CytostreamError, SlideError, look_at_folder
from segment import AREAS
from stream.cli.console import print_error, report_table, screen
from stream.cli.scale_options import MppOption, MppOverrideOption
from stream.cli.session import RunOptions, changed, drain, open_lab, open_station
from stream.config import Config, load_config
from stream.events import replayed
from stream.run import GracefulStop, SlideOutcome, outcome_report, work
from stream.store import Backlog, Job

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file; see configs/example.toml.")
]
StoreOption = Annotated[Path, typer.Option(help="Folder of results and of the outbox.")]
SinkOption = Annotated[
    list[str] | None,
    typer.Option(help="kafka, jsonl:PATH, or none; may be repeated. Default kafka."),
]
RESULTS = Path("cytostream-results")
_INTERRUPTED = 130
NOT_UTF8 = "its name is not UTF-8", "rename it"
LISTS = {".txt", ".lst", ".list"}


def run(
    slides: Annotated[
        list[Path], typer.Argument(help="Slides, fields of view, folders of them, or lists (.txt).")
    ],
    store: StoreOption = RESULTS,
    sink: SinkOption = None,
    config: ConfigOption = None,
    mpp: MppOption = None,
    mpp_override: MppOverrideOption = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Worker processes; 0 is this process.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="An existing Dask cluster: tls://host:8786.")
    ] = None,
    insecure_scheduler: Annotated[
        bool | None,
        typer.Option(
            "--insecure-scheduler",
            help="Permit tcp://, where anyone who reaches it runs code here.",
        ),
    ] = None,
    tile_px: Annotated[
        int | None, typer.Option(min=256, max=8192, help="Side of a tile, in px as read.")
    ] = None,
    area: Annotated[
        str | None,
        typer.Option(help="all, or battlement: a technologist's path through the monolayer."),
    ] = None,
    model: Annotated[
        Path, typer.Option(help="Model folder; the shipped one by default.")
    ] = SHIPPED,
    red_model: Annotated[
        Path, typer.Option(help="Model folder for red cells; the shipped one by default.")
    ] = Path("red"),
    engine: Annotated[str, typer.Option(help="auto, openvino, tensorrt or tensorrt-rtx.")] = "auto",
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Run slides anew that were begun under another model, configuration or scale.",
        ),
    ] = False,
    json_report: Annotated[
        bool, typer.Option("--json", help="Write one JSON line a slide to stdout at the end.")
    ] = False,
) -> None:
    """Find and classify every cell of slides, and stream labels and alerts. The same command goes
    on after a stop.

    Two processes, or two hosts on one share, may run it on the same store: each slide is done once.

    [bold]Examples[/]

    cytostream run smear.svs --sink kafka

    cytostream run /scans/monday --store /share/results

    cytostream run field.png --mpp 0.1 --sink jsonl:events.jsonl --store results
    """
    if area not in (None, *AREAS):
        raise CytostreamError(f"no area {area!r}", f"one of {', '.join(AREAS)}")
    reading = {
        "mpp_override": mpp_override,
        "workers": workers,
        "scheduler": scheduler,
        "insecure_scheduler": insecure_scheduler,
    }
    settings = changed(load_config(config), {**reading, "tile_px": tile_px, "area": area})
    choice = RunOptions(model, engine, sink or ["kafka"], red_model, again)
    found = expanded(slides)
    jobs = [Job(path.absolute(), mpp=mpp) for path in found.slides]
    try:
        reports, unsent = run_jobs(jobs, store, settings, choice, json_report)
    except KeyboardInterrupt:
        screen.print(f"stopped; what was found is in {store}, and the same command goes on there")
        raise typer.Exit(_INTERRUPTED) from None
    screen.print(report_table(reports))
    if json_report:
        for report in reports:
            typer.echo(json.dumps(report_line(report)))
    for report in reports:
        for problem in report.unfit:
            print_error(f"{report.slide.path.name}: {problem}", word="not fit for reading")
    for failed in (r.failure for r in reports if r.failure):
        print_error(failed.what, failed.hint, "failed")
    for path, (why, hint) in found.left_out.items():
        print_error(f"{shown_path(path)}: {why}", hint, "left out")
    if unsent or found.left_out or any(r.failure for r in reports):
        raise typer.Exit(1)


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
            station.backlog.add(jobs, asked=f"{lab.stamp.model_hash} {lab.stamp.config_hash}")
            ended = work(lab, station.backlog, ending.stop, only, waits=waits)
            mine = {str(job.path): report for job, report in ended}
        unsent = drain(station.relays, settings.kafka.give_up_s)
        if ending.stop.is_set() and station.backlog.is_open(only):
            raise KeyboardInterrupt
        return [
            mine.get(str(job.path)) or outcome_report(station.outbox, job)
            for job in station.backlog.jobs(only)
        ], unsent


def waits(job: Job, error: SlideError) -> None:
    """Says why a slide is tried again later."""
    print_error(error.what, error.hint, "waits")


@dataclass(slots=True)
class FoundSlides:
    """The slides of folders and lists, each path once, and what had to be left out: why, and what
    to do.
    """

    slides: list[Path] = field(default_factory=list)
    left_out: dict[Path, tuple[str, str]] = field(default_factory=dict)


def expanded(paths: Iterable[Path]) -> FoundSlides:
    """The slides of folders and lists.

    Raises:
        CytostreamError: a folder without a slide, or a list that cannot be read.
    """
    found = FoundSlides()
    for path in paths:
        if is_folder(path):
            add_folder(found, path)
        elif path.suffix in LISTS:
            add_slides(found, list_of(path))
        else:
            add_slides(found, [path])
    return found


def is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # opening it says why


def add_slides(found: FoundSlides, paths: Iterable[Path]) -> None:
    known = {path.absolute() for path in found.slides}
    for path in dict.fromkeys(paths):
        try:
            str(path).encode()
        except UnicodeEncodeError:
            found.left_out[path] = NOT_UTF8
        else:
            found.slides += [path] if path.absolute() not in known else []


def add_folder(found: FoundSlides, folder: Path) -> None:
    look = look_at_folder(folder, follow_links=True)
    left_out = {path: NOT_UTF8 for path in look.refused}
    left_out |= {
        path: (why, "give this user the right to read it, or mount it again")
        for path, why in look.unseen.items()
    }
    if not look.slides and not left_out:
        raise CytostreamError(
            f"{folder}: no slide in this folder", "see the README for the formats"
        )
    add_slides(found, [slide.path for slide in look.slides])
    found.left_out |= left_out


def shown_path(path: Path) -> str:
    """A path whose name need not be text, as text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def list_of(path: Path) -> list[Path]:
    """The paths of a list, those from where the list lies."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise CytostreamError(
            f"{path}: cannot be read: {error}", "give a text file with a path a line"
        ) from error
    return [path.parent / line for line in lines if line and not line.startswith("#")]


def report_line(report: SlideOutcome) -> dict:
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
        **red_cells,
        **unfit,
        **failure,
    }


def relay(
    store: StoreOption = RESULTS,
    sink: SinkOption = None,
    config: ConfigOption = None,
    forever: Annotated[bool, typer.Option(help="Go on, for what other processes add.")] = False,
) -> None:
    """Send what waits in a store, and what the broker has lost of it since.

    Example: cytostream relay --store results
    """
    settings = load_config(config)
    with GracefulStop(0) as ending, open_station(store, settings, sink or ["kafka"]) as station:
        if forever:
            ending.stop.wait()
        for one in station.relays:
            if not one.ready.wait(settings.kafka.give_up_s) and one.trouble:
                raise one.trouble
        if drain(station.relays, settings.kafka.give_up_s):
            raise typer.Exit(1)


def replay(
    slides: Annotated[list[Path] | None, typer.Argument(help="Slides, or their ids.")] = None,
    store: StoreOption = RESULTS,
    sink: SinkOption = None,
    config: ConfigOption = None,
    refused: Annotated[
        bool, typer.Option(help="What the broker has refused, instead of slides.")
    ] = False,
) -> None:
    """Send the events of slides again, each with a new id and marked `replayof` with the id of the
    first.

    Example: cytostream replay smear.svs --store results
    """
    settings = load_config(config)
    occasion = datetime.now(UTC).isoformat()
    with open_station(store, settings, sink or ["kafka"]) as station:
        ids = [slide_id_of(station.backlog, slide) for slide in slides or []]
        events = [row.event for row in station.outbox.refused()] if refused else []
        events += [
            p.event
            for slide_id in ids
            for p in station.outbox.events(slide_id)
            if not p.event.replay_of
        ]
        if not events:
            raise CytostreamError(
                f"{store}: nothing to send again",
                "name slides of this store (events are kept for keep_days)",
            )
        with station.outbox.transaction() as tx:
            tx.add(replayed(event, occasion) for event in events)
        screen.print(f"{len(events)} events go out again, marked")
        if drain(station.relays, settings.kafka.give_up_s):
            raise typer.Exit(1)


def slide_id_of(backlog: Backlog, slide: Path) -> str:
    """The id of a slide of the store, by its path or by the id itself.

    Raises:
        CytostreamError: the store does not know it.
    """
    if str(slide) in backlog.outbox.slide_ids():
        return str(slide)
    known = {str(job.path): job.slide_id for job in backlog.jobs()}
    if found := known.get(str(slide.absolute())):
        return found
    raise CytostreamError(
        f"{slide}: not done in this store", "give --store, or the slide's id from its events"
    )
