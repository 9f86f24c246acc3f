"""Commands about what goes out: follow the topics, show the schemas and the configuration."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.cli.console import print_error, screen
from stream.cli.options import RESULTS, ConfigOption, JsonLinesOption, StoreOption
from stream.cli.session import require_store
from stream.config import ConfigError, Kafka, load_config
from stream.events import TOPICS, Event, to_line, write_schemas
from stream.store import KeptFailure, Outbox

if TYPE_CHECKING:
    pass


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
    settings = load_config(config)
    for event in follow_topics(settings.kafka, topics or tuple(TOPICS), from_beginning):
        if json_out:
            typer.echo(to_line(event))
        else:
            screen.print(sentence(event))


def follow_topics(settings: Kafka, topics: Sequence[str], from_beginning: bool) -> Iterable[Event]:
    """The events of topics as they arrive, without end.

    Raises:
        ConfigError: there is no such topic.
    """
    from stream.kafka import follow

    if unknown := set(topics) - set(TOPICS):
        raise ConfigError(f"no topic {', '.join(unknown)}", f"of {', '.join(TOPICS)}")
    return follow(settings, topics, from_beginning)


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
    for path in write_documents(out, load_config(config).kafka if asyncapi else None):
        typer.echo(path)


def write_documents(out: Path, asyncapi_of: Kafka | None) -> Iterator[Path]:
    """Writes the schema of every event type, and the AsyncAPI document of a broker's settings."""
    yield from write_schemas(out)
    if asyncapi_of:
        from stream.kafka import write_asyncapi

        write_asyncapi(out / "asyncapi.json", asyncapi_of)
        yield out / "asyncapi.json"


def failures(store: StoreOption = RESULTS) -> None:
    """List what could not be read, with the names of files: they stay on this machine.

    Example: cytostream failures --store results
    """
    for one in failures_of(store):
        print_error(f"{one.path}: {one.what}", one.hint, one.code or "failure")


def failures_of(store: Path) -> list[KeptFailure]:
    """What could not be read in the slides of a store.

    Raises:
        CytostreamError: there is no store.
    """
    require_store(store)
    with Outbox(store / "state.db", unwritable="read") as outbox:
        return outbox.failures()


def config(
    path: Annotated[
        Path | None, typer.Argument(help="File to check; the defaults without one.")
    ] = None,
) -> None:
    """Check a configuration file, and show what it resolves to."""
    typer.echo(load_config(path).model_dump_json(indent=1, exclude={"kafka": {"security"}}))
