"""A watched folder with a tiny model and an engine of brightness, for tests and for chaos."""

from pathlib import Path

from ingest import Workers
from stream.cli.commands.watch import WatchedFolder, WatchReport, intake_of
from stream.cli.session import Session
from stream.events.event import Provenance
from stream.intake import FolderIntake
from stream.run.context import RunContext
from tests.make import BrightnessEngine, tiny_model


def tiny_watch(
    station: Session, scans: Path, workers: Workers, once: bool = False
) -> tuple[RunContext, WatchReport, FolderIntake]:
    """The context of runs into an open store, its report, and the intake of a folder."""
    stamp = Provenance("test", "tiny", "tiny", {})
    lab = RunContext(
        station.config,
        tiny_model(),
        BrightnessEngine(),
        workers,
        station.outbox,
        station.store,
        stamp,
    )
    report = WatchReport(lab)
    return lab, report, intake_of(WatchedFolder(scans, station.store, once=once), station, report)
