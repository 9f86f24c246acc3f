"""`cytostream watch`: a scanner's folder, slide by slide as they arrive, until it is told to
stop.
"""

import shutil
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from classify import SHIPPED
from ingest import Arrived, CytostreamError, Found, Habits, Watcher, fits, markers, open_slide
from stream.cli.console import print_error
from stream.cli.session import Choice, Station, changed, drain, open_lab, open_station
from stream.config import Config, Watch, load_config
from stream.events import slide_event
from stream.kafka import follow_reviews
from stream.run import Ending, Lab, Report, work
from stream.store import STAT, Job

from .run import RESULTS, ConfigOption, SinkOption, StoreOption

screen = Console(stderr=True)


def watch(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="Where the scanner writes.")
    ],
    store: StoreOption = RESULTS,
    sink: SinkOption = None,
    config: ConfigOption = None,
    mpp: Annotated[
        float | None, typer.Option(help="um per level-0 px, where the files do not say.")
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
    model: Annotated[
        Path, typer.Option(help="Model folder; the shipped one by default.")
    ] = SHIPPED,
    engine: Annotated[str, typer.Option(help="auto, openvino, tensorrt or tensorrt-rtx.")] = "auto",
    door: Annotated[
        str | None, typer.Option(help="HOST:PORT to listen on for POST /slides.")
    ] = None,
    door_token: Annotated[
        Path | None, typer.Option(help="File with the token that callers of the door must show.")
    ] = None,
    once: Annotated[bool, typer.Option(help="Stop when everything in the folder is done.")] = False,
) -> None:
    """Run every slide that arrives in a folder, once it is whole; stat slides first, broken ones
    into quarantine.

    [bold]Examples[/]

    cytostream watch /scans --store results

    cytostream watch /scans --door 127.0.0.1:8080
    """
    reading = {"workers": workers, "scheduler": scheduler, "insecure_scheduler": insecure_scheduler}
    settings = changed(load_config(config), reading)
    choice = Choice(model, engine, sink or ["kafka"])
    with (
        Ending(settings.backlog.drain_s) as ending,
        open_station(store, settings, choice.sinks) as station,
        ExitStack() as stack,
    ):
        try:
            with open_lab(station, choice) as lab:
                post = Post(folder.absolute(), lab, station, mpp, once)
                if "kafka" in choice.sinks:
                    stack.enter_context(follow_reviews(station.outbox, settings.kafka))
                if door:
                    from stream.intake import open_door

                    stack.enter_context(
                        open_door(door, station.backlog, [folder.absolute()], door_token)
                    )
                with post.looking(ending.stop):
                    work(lab, station.backlog, ending.stop, forever=True, ended=post.ended)
        except KeyboardInterrupt:
            screen.print(f"stopped; the same command goes on in {store}")
        drain(station.relays, settings.kafka.give_up_s)
        post.check()


class Post:
    """Takes in what arrives, and puts away what is broken. It looks in a thread of its own,
    while slides run.
    """

    def __init__(self, folder: Path, lab: Lab, station: Station, mpp: float | None, once: bool):
        self.folder, self.lab, self.station, self.mpp, self.once = folder, lab, station, mpp, once
        self.rules: Watch = station.config.watch
        self.watcher = Watcher(folder, habits_of(station.config))
        self.arrived: dict[Path, Found] = {}
        self.trouble: CytostreamError | None = None

    def looking(self, stop: threading.Event) -> "Looking":
        return Looking(self, stop)

    def look(self) -> None:
        """One look: what has arrived is told of as seen, and queued."""
        for arrival in self.watcher.look():
            self.take(arrival)

    def take(self, arrival: Arrived) -> None:
        found = arrival.found
        self.arrived[found.path] = found
        if arrival.was:
            self.station.backlog.rename(arrival.was, found.path)
            return
        self.say_seen(found)
        self.station.backlog.add(
            [Job(found.path, self.priority(found.path), self.mpp, found.set_id)]
        )
        screen.print(f"arrived: {found.path.name}", highlight=False)

    def say_seen(self, found: Found) -> None:
        """The status event; one that cannot be opened is told of when its turn comes."""
        try:
            slide = open_slide(found.path, self.mpp)
        except CytostreamError:
            return
        if not self.lab.outbox.status(slide.slide_id):
            with self.lab.outbox.transaction() as tx:
                tx.add([slide_event(slide, "seen", self.lab.stamp)])

    def priority(self, path: Path) -> int:
        return STAT if fits(str(path.relative_to(self.folder)), self.rules.stat) else 0

    def ended(self, job: Job, report: Report) -> None:
        name = job.path.name
        if report.failure:
            where = put_away(
                self.arrived.get(job.path) or Found(job.path, (job.path,)),
                self.folder,
                self.rules,
                report,
            )
            print_error(
                report.failure.what, f"now in {where}" if where else report.failure.hint, "failed"
            )
        elif report.status == "done before":
            screen.print(f"{name}: the same slide as one that is done", highlight=False)
        else:
            screen.print(
                f"done: {name}, {report.progress.cells} cells, {report.progress.alerts} alerts",
                highlight=False,
            )

    def is_empty(self) -> bool:
        return self.once and not self.watcher.growing() and not self.station.backlog.is_open()

    def check(self) -> None:
        """Raises what stopped the looking."""
        if self.trouble:
            raise self.trouble


class Looking:
    """The thread that looks; it ends the work where it cannot go on, or where all is done and
    nothing more is wanted.
    """

    def __init__(self, post: Post, stop: threading.Event):
        self.post, self.stop = post, stop
        self.thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def _run(self) -> None:
        try:
            while not self.stop.is_set():
                self.post.look()
                if self.post.is_empty():
                    self.stop.set()
                self.stop.wait(self.post.rules.look_s)
        except CytostreamError as error:
            self.post.trouble = error
            self.stop.set()

    def __enter__(self) -> "Looking":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def put_away(found: Found, folder: Path, rules: Watch, report: Report) -> Path | None:
    """Moves a slide that cannot be read into quarantine, with the reason beside it; None
    where it stays where it is.
    """
    if not rules.quarantine:
        return None
    home = folder / rules.quarantine
    try:
        home.mkdir(exist_ok=True)
        with_marks = [path for path in markers(found, rules.marker)[:2] if path.exists()]
        data = (
            [found.path.with_suffix("")]
            if found.path.suffix.lower() == ".mrxs" and len(found.parts) > 1
            else []
        )
        for path in [found.path, *with_marks, *data]:
            shutil.move(path, home / path.name)
        (home / f"{found.path.name}.reason.txt").write_text(
            f"{report.failure.what}\n-> {report.failure.hint}\n"
        )
    except OSError as error:
        print_error(
            f"{found.path}: cannot be moved to {home}: {error.strerror or error}",
            "give this user the right to",
        )
        return None
    return home / found.path.name


def habits_of(config: Config) -> Habits:
    rules = config.watch
    leave = (rules.quarantine,) if rules.quarantine else ()
    return Habits(
        rules.still_looks, rules.marker, rules.need_marker, rules.ignore, rules.fields, leave
    )
