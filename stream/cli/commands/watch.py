"""`cytostream watch`: a scanner's folder, slide by slide as they arrive, until it is
stopped.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from ingest import CytostreamError, SlideError, SlideFiles
from stream.cli.console import print_error, say, screen
from stream.cli.json_logs import set_up_logs
from stream.cli.observing import observing
from stream.cli.options import (
    RESULTS,
    ConfigOption,
    MppOption,
    ReadingOptions,
    RunOptions,
    StoreOption,
)
from stream.cli.session import Session, drain, open_lab, open_station
from stream.config import Config, load_config
from stream.events import slide_event
from stream.http import check_address
from stream.intake import FolderIntake, Served, intake_token, open_intake
from stream.run import GracefulStop, RunContext, SlideOutcome, opened_slide, work
from stream.store import Job


def watch(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="Where the scanner writes.")
    ],
    reading: ReadingOptions,
    choice: RunOptions,
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
    mpp: MppOption = None,
    door: Annotated[
        str | None, typer.Option(help="HOST:PORT to listen on for POST /slides, with a token.")
    ] = None,
    door_token: Annotated[
        Path | None,
        typer.Option(
            help="File with the token that callers must show; else one is made in the store."
        ),
    ] = None,
    once: Annotated[bool, typer.Option(help="Stop when everything in the folder is done.")] = False,
) -> None:
    """Run every slide that arrives in a folder, once it is whole; stat slides first, broken ones
    into quarantine.

    [bold]Examples[/]

    cytostream watch /scans --store results

    cytostream watch /scans --door 127.0.0.1:8080
    """
    settings = load_config(config, reading=asdict(reading), store={"state": choice.state})
    set_up_logs(settings.monitoring)
    watch_folder(WatchedFolder(folder, store, mpp, door, door_token, once), settings, choice)


@dataclass(frozen=True, slots=True)
class WatchedFolder:
    """What the command line states of the folder: where results go, the scale of slides that state
    none, the address and token file of the HTTP interface, and whether to end when all is done.
    """

    folder: Path
    store: Path
    mpp: float | None = None
    door: str | None = None
    door_token: Path | None = None
    once: bool = False


def watch_folder(watched: WatchedFolder, settings: Config, choice: RunOptions) -> None:
    """Runs every slide of a folder as it arrives, until it is stopped.

    Raises:
        CytostreamError: the store, the model or the address cannot be used.
    """
    if watched.door:
        check_address(watched.door)
    store = watched.store
    with (
        GracefulStop(settings.backlog.drain_s) as ending,
        open_station(store, settings, choice.sinks) as station,
        observing(store, settings, {"results": station.relays}) as observer,
        ExitStack() as stack,
    ):
        try:
            with open_lab(station, choice) as lab:
                report = WatchReport(lab, observer.ended)
                intake = intake_of(watched, station, report)
                if watched.door:
                    token = intake_token(watched.door_token, store, say_token)
                    served = Served((intake.folder,), intake.closed_folders())
                    hosts = settings.watch.hosts
                    stack.enter_context(
                        open_intake(watched.door, station.backlog, served, token, hosts)
                    )
                with intake.looking(ending.stop):
                    observer.ready()
                    work(
                        observer.of(lab),
                        station.backlog,
                        ending.stop,
                        forever=True,
                        ended=report.ended,
                        waits=report.waits,
                    )
        except KeyboardInterrupt:
            screen.print(f"stopped; the same command goes on in {store}")
        drain(station.relays, settings.kafka.give_up_s)


def say_token(path: Path, token: str) -> None:
    """Shows a token that has just been made, this once."""
    say(f"token for callers of the HTTP interface: {token}")
    say(f"it is kept in {path}, readable by this user alone")


class WatchReport:
    """What the commands says of the slides of a folder, on the terminal and in events."""

    def __init__(self, lab: RunContext, on_end: Callable[[SlideOutcome], None] = lambda _: None):
        self.lab = lab
        self.on_end = on_end
        self.intake: FolderIntake | None = None
        self.waiting: dict[Path, str] = {}

    def say_seen(self, found: SlideFiles) -> None:
        """The status event; a failure of one that cannot be opened follows when its turn comes."""
        try:
            slide = opened_slide(self.lab, found.path, self.intake.mpp if self.intake else None)
        except CytostreamError:
            return
        if not self.lab.outbox.status(slide.slide_id):
            with self.lab.outbox.transaction() as tx:
                tx.add([slide_event(slide, "seen", self.lab.stamp)])

    def waits(self, job: Job, error: SlideError) -> None:
        """Says once why a slide waits."""
        if self.waiting.get(job.path) != error.what:
            self.waiting[job.path] = error.what
            print_error(error.what, error.hint, "waits")

    def ended(self, job: Job, report: SlideOutcome) -> None:
        self.waiting.pop(job.path, None)
        self.on_end(report)
        name = job.path.name
        if report.failure:
            place = self.put_aside(job, report) if report.damaged else None
            hint = (
                f"now in {place}; move it back to have it tried again"
                if place
                else report.failure.hint
            )
            print_error(report.failure.what, hint, "failed")
        elif report.status == "done before":
            say(f"{name}: the same slide as one that is done")
        else:
            say(f"done: {name}, {report.progress.cells} cells, {report.progress.alerts} alerts")

    def put_aside(self, job: Job, report: SlideOutcome) -> Path | None:
        if self.intake is None or report.failure is None:
            return None
        return self.intake.put_aside(job.path, report.failure.what, report.failure.hint)


def intake_of(watched: WatchedFolder, station: Session, report: WatchReport) -> FolderIntake:
    """The intake of a watched folder, which reports through `report`."""
    report.intake = FolderIntake(
        folder=watched.folder,
        store=station.store,
        backlog=station.backlog,
        rules=station.config.watch,
        on_message=say,
        on_arrival=report.say_seen,
        mpp=watched.mpp,
        once=watched.once,
    )
    return report.intake
