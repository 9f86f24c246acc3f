"""Commands of the main path: run slides, send what waits, send again."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from classify import SHIPPED
from ingest import CytostreamError, slides_in
from segment import AREAS
from stream.cli.console import print_error, report_table
from stream.cli.session import Choice, changed, drain, open_lab, open_station
from stream.config import Config, load_config
from stream.events import replayed
from stream.run import Ending, Report, report_of, work
from stream.store import Backlog, Job

screen = Console(stderr=True)
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file; see configs/example.toml.")
]
StoreOption = Annotated[Path, typer.Option(help="Folder of results and of the outbox.")]
SinkOption = Annotated[
    list[str] | None,
    typer.Option(help="kafka, jsonl:PATH, or none; may be repeated. Default kafka."),
]
RESULTS = Path("cytostream-results")
INTERRUPTED = 130
LISTS = {".txt", ".lst", ".list"}


def run(
    slides: Annotated[
        list[Path], typer.Argument(help="Slides, fields of view, folders of them, or lists (.txt).")
    ],
    store: StoreOption = RESULTS,
    sink: SinkOption = None,
    config: ConfigOption = None,
    mpp: Annotated[
        float | None, typer.Option(help="um per level-0 px, where the file does not say.")
    ] = None,
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
    reading = {"workers": workers, "scheduler": scheduler, "insecure_scheduler": insecure_scheduler}
    settings = changed(load_config(config), {**reading, "tile_px": tile_px, "area": area})
    choice = Choice(model, engine, sink or ["kafka"], red_model)
    jobs = [Job(path.absolute(), mpp=mpp) for path in expanded(slides)]
    try:
        reports, unsent = run_jobs(jobs, store, settings, choice, json_report)
    except KeyboardInterrupt:
        screen.print(f"stopped; what was found is in {store}, and the same command goes on there")
        raise typer.Exit(INTERRUPTED) from None
    screen.print(report_table(reports))
    if json_report:
        for report in reports:
            typer.echo(json.dumps(report_line(report)))
    for report in reports:
        for problem in report.unfit:
            print_error(f"{report.slide.path.name}: {problem}", word="not fit for reading")
    for failed in (r.failure for r in reports if r.failure):
        print_error(failed.what, failed.hint, "failed")
    if unsent or any(r.failure for r in reports):
        raise typer.Exit(1)


def run_jobs(
    jobs: list[Job], store: Path, settings: Config, choice: Choice, quiet: bool
) -> tuple[list[Report], int]:
    """The reports of all jobs, whoever did them, and how many events are not sent."""
    only = frozenset(str(job.path) for job in jobs)
    with (
        Ending(settings.backlog.drain_s) as ending,
        open_station(store, settings, choice.sinks) as station,
    ):
        station.backlog.add(jobs)
        with open_lab(station, choice, only, quiet) as lab:
            mine = {
                str(job.path): report
                for job, report in work(lab, station.backlog, ending.stop, only)
            }
        unsent = drain(station.relays, settings.kafka.give_up_s)
        if ending.stop.is_set() and station.backlog.is_open(only):
            raise KeyboardInterrupt
        return [
            mine.get(str(job.path)) or report_of(station.outbox, job)
            for job in station.backlog.jobs(only)
        ], unsent


def expanded(slides: Iterable[Path]) -> Iterator[Path]:
    """The slides of folders and lists, each once.

    Raises:
        CytostreamError: a folder without a slide, or a list that cannot be read.
    """
    seen: set[Path] = set()
    for path in slides:
        many = (
            folder_of(path) if path.is_dir() else list_of(path) if path.suffix in LISTS else [path]
        )
        yield from (p for p in many if not (p.absolute() in seen or seen.add(p.absolute())))


def folder_of(path: Path) -> list[Path]:
    if found := [found.path for found in slides_in(path)]:
        return found
    raise CytostreamError(f"{path}: no slide in this folder", "see the README for the formats")


def list_of(path: Path) -> list[Path]:
    """The paths of a list, those from where the list lies."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise CytostreamError(
            f"{path}: cannot be read: {error}", "give a text file with a path a line"
        ) from error
    return [path.parent / line for line in lines if line and not line.startswith("#")]


def report_line(report: Report) -> dict:
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
    with Ending(0) as ending, open_station(store, settings, sink or ["kafka"]) as station:
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
    settings, occasion = load_config(config), datetime.now(UTC).isoformat()
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
