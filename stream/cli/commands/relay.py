"""Commands that send the events of a store: those that wait, or those of slides once more."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ingest import CytostreamError
from stream.cli.console import screen
from stream.cli.options import RESULTS, ConfigOption, SinkOption, StoreOption
from stream.cli.session import drain, open_station
from stream.config import Config, load_config
from stream.events import replayed
from stream.run import GracefulStop
from stream.store import Backlog


def relay(
    store: StoreOption = RESULTS,
    sink: SinkOption = None,
    config: ConfigOption = None,
    forever: Annotated[bool, typer.Option(help="Go on, for what other processes add.")] = False,
) -> None:
    """Send what waits in a store, and what the broker has lost of it since.

    Example: cytostream relay --store results
    """
    if send_waiting(store, load_config(config), sink, forever):
        raise typer.Exit(1)


def send_waiting(
    store: Path, settings: Config, sinks: Sequence[str] | None, forever: bool = False
) -> int:
    """Sends the events that wait in a store, and says how many still do. `forever`: until it is
    stopped.

    Raises:
        CytostreamError: the store cannot be opened, or a sink cannot be reached.
    """
    with GracefulStop(0) as ending, open_station(store, settings, sinks) as station:
        if forever:
            ending.stop.wait()
        for one in station.relays:
            if not one.ready.wait(settings.kafka.give_up_s) and one.trouble:
                raise one.trouble
        return drain(station.relays, settings.kafka.give_up_s)


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
    if send_again(store, load_config(config), sink, slides or [], refused):
        raise typer.Exit(1)


def send_again(
    store: Path,
    settings: Config,
    sinks: Sequence[str] | None,
    slides: Sequence[Path],
    refused: bool = False,
) -> int:
    """Sends the events of slides once more, or those that the broker has refused, and says how many
    are not sent yet.

    Raises:
        CytostreamError: the store cannot be opened or does not know a slide, or there is nothing to
            send.
    """
    occasion = datetime.now(UTC).isoformat()
    with open_station(store, settings, sinks) as station:
        ids = [slide_id_of(station.backlog, slide) for slide in slides]
        events = [row.event for row in station.outbox.refused()] if refused else []
        events += [
            row.event
            for slide_id in ids
            for row in station.outbox.events(slide_id)
            if not row.event.replay_of
        ]
        if not events:
            raise CytostreamError(
                f"{store}: nothing to send again",
                "name slides of this store (events are kept for keep_days)",
            )
        with station.outbox.transaction() as tx:
            tx.add(replayed(event, occasion) for event in events)
        screen.print(f"{len(events)} events go out again, marked")
        return drain(station.relays, settings.kafka.give_up_s)


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
