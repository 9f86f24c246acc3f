"""Commands about what goes out: follow the topics, show the schemas and the configuration."""

from pathlib import Path
from typing import Annotated

import typer

from ingest import CytostreamError
from stream.cli.console import print_error, screen
from stream.cli.options import RESULTS, ConfigOption, JsonLinesOption, StoreOption
from stream.config import ConfigError, load_config
from stream.events import TOPICS, Event, to_line, write_schemas
from stream.kafka import write_asyncapi
from stream.store import Outbox


def tail(
    topics: Annotated[
        list[str] | None, typer.Argument(help="cells, alerts, slides, failures; all by default.")
    ] = None,
    config: ConfigOption = None,
    from_beginning: Annotated[bool, typer.Option(help="Also what is there already.")] = False,
    json_out: JsonLinesOption = False,
) -> None:
    """Follow the topics in the terminal, until Ctrl-C.

    Example: cytostream tail alerts --from-beginning
    """
    from stream.kafka import follow

    kinds = tuple(topics or TOPICS)
    if unknown := set(kinds) - set(TOPICS):
        raise ConfigError(f"no topic {', '.join(unknown)}", f"of {', '.join(TOPICS)}")
    for event in follow(load_config(config).kafka, kinds, from_beginning):
        if json_out:
            typer.echo(to_line(event))
        else:
            screen.print(sentence(event), highlight=False)


def sentence(event: Event) -> str:
    """An event in one line for a person."""
    again = " (sent again)" if event.replay_of else ""
    return f"{event.time:%H:%M:%S} {event.subject[:8]} {event.sentence()}{again}"


def schemas(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("schemas"),
    asyncapi: Annotated[
        bool,
        typer.Option("--asyncapi", help="Also the AsyncAPI document: topics, headers, payloads."),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Write the JSON Schema of every event type.

    Example: cytostream schemas --asyncapi --out schemas
    """
    for path in write_schemas(out):
        typer.echo(path)
    if asyncapi:
        write_asyncapi(out / "asyncapi.json", load_config(config).kafka)
        typer.echo(out / "asyncapi.json")


def failures(store: StoreOption = RESULTS) -> None:
    """List what could not be read, with the names of files: they stay on this machine.

    Example: cytostream failures --store results
    """
    if not (store / "state.db").exists():
        raise CytostreamError(
            f"{store}: no results here", "run `cytostream run SLIDE --store DIR` first"
        )
    with Outbox(store / "state.db", unwritable="read") as outbox:
        for one in outbox.failures():
            print_error(f"{one.path}: {one.what}", one.hint, one.code or "failure")


def config(
    path: Annotated[
        Path | None, typer.Argument(help="File to check; the defaults without one.")
    ] = None,
) -> None:
    """Check a configuration file, and show what it resolves to."""
    typer.echo(load_config(path).model_dump_json(indent=1, exclude={"kafka": {"security"}}))
