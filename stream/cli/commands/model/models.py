"""`cytostream models`: which models a store has, whether they run here, and which one new slides
are read with.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from classify import (
    SHORT_NAMES,
    ModelCheck,
    ModelLibrary,
    UsedModel,
    admit_model,
    kind_of,
    load_model,
    read_card,
    verify_model,
)
from ingest import CytostreamError
from stream.cli.console import print_error, say, screen
from stream.cli.options import RESULTS, ConfigOption, EngineOption, JsonLinesOption, StoreOption
from stream.cli.session import models_in, require_store
from stream.config import Config, load_config
from stream.events import Provenance

if TYPE_CHECKING:
    from stream.review.models import ChosenModel, ModelFacts

models_app = typer.Typer(
    help="The models of a store: shipped and imported ones, and which new slides are read with.",
    no_args_is_help=True,
)
KIND_HELP = "white or red: cells that the model is for."
ByOption = Annotated[str, typer.Option(help="Who chooses it; the account of this machine.")]


@models_app.command("list")
def show_models(
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
    json_out: JsonLinesOption = False,
) -> None:
    """List the models: shipped and imported, which one is in use, which one judges beside it.

    Example: cytostream models list --store results
    """
    lines = model_lines(models_in(store), load_config(config).shadow)
    if json_out:
        for line in lines:
            typer.echo(json.dumps(asdict(line)))
    else:
        screen.print(models_table(lines))


def model_lines(library: ModelLibrary, shadow: str) -> "list[ModelFacts]":
    """All models of a store."""
    from stream.review.models import list_models

    return list_models(library, shadow)


def models_table(lines: "list[ModelFacts]") -> Table:
    """A row a model."""
    table = Table("name", "cells", "id", "from", "")
    for line in lines:
        marks = [
            ("in use", line.is_in_use),
            ("in use before", line.was_before),
            ("shadow", line.is_shadow),
            (line.fault, line.fault),
        ]
        said = ", ".join(text for text, is_so in marks if is_so)
        table.add_row(line.name, line.kind, line.model_id, line.origin, said)
    return table


@models_app.command("verify")
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names or folders; all models without one.")
    ] = None,
    store: StoreOption = RESULTS,
    engine: EngineOption = "auto",
) -> None:
    """Check models: digests of the files against the card, the graph, and what the engine says of
    golden inputs. Exit status 1 where one is not as it should be.

    Example: cytostream models verify --store results
    """
    library = models_in(store)
    chosen = names or [*SHORT_NAMES, *library.names()]
    if not all([say_check(library, name, engine) for name in chosen]):
        raise typer.Exit(1)


def say_check(library: ModelLibrary, name: str, engine: str) -> bool:
    """Checks one model and says what was found; False where it is not as it should be."""
    try:
        found = verify_model(library.find(name), engine)
    except CytostreamError as error:
        print_error(f"{name}: {error.what}", error.hint)
        return False
    say(f"{name}: {check_line(found)}")
    return True


def check_line(found: ModelCheck) -> str:
    """What was found, in a line."""
    return (
        f"whole; {found.engine} in {found.precision} on {found.inputs} golden inputs: errors "
        f"differ by at most {found.difference:.1e} of their mean from {found.compared_with}"
    )


@models_app.command("import")
def import_model(
    source: Annotated[Path, typer.Argument(help="A model's folder, or a zip file of it.")],
    name: Annotated[str, typer.Option(help="Its name here; that of its card without one.")] = "",
    store: StoreOption = RESULTS,
) -> None:
    """Take a model in, once it has been checked and run on golden inputs. Nothing is read with it
    yet: try it beside the one in use first (`shadow` of the configuration, `cytostream shadow`).

    Example: cytostream models import new-model.zip --name spring --store results
    """
    folder = imported(source, name, store)
    card = read_card(folder)
    say(f"{folder.name}: {kind_of(card)} cells, {card.model_id}, {len(card.classes)} classes")


def imported(source: Path, name: str, store: Path) -> Path:
    """The folder of a model that is taken in.

    Raises:
        CytostreamError: there is no store, or it is no model that can be run.
    """
    require_store(store)
    with screen.status("checking the model"):
        return models_in(store).add(source, name, admit_model)


@models_app.command("use")
def choose_model(
    name: Annotated[str, typer.Argument(help="An imported model, or a shipped one.")],
    by: ByOption = "",
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
) -> None:
    """Read new slides with a model from here on, also in runs under way: from their next slide.
    Slides that are read keep the model they were read with. An entry of the audit trail.

    Example: cytostream models use spring --by "Dr. Berg" --store results
    """
    say_used(used(store, load_config(config), name, by))


@models_app.command("back")
def go_back(
    kind: Annotated[str, typer.Option(help=KIND_HELP)] = "white",
    by: ByOption = "",
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
) -> None:
    """Read new slides with the model again that was in use before. An entry of the audit trail.

    Example: cytostream models back --store results
    """
    if kind not in SHORT_NAMES:
        raise typer.BadParameter("white or red", param_hint="--kind")
    say_used(put_back(store, load_config(config), kind, by))


def say_used(model: UsedModel) -> None:
    """Says which model it is from here on."""
    say(f"new slides are read with {model.name} ({model.model_id}) from here on")


def used(store: Path, settings: Config, name: str, by: str) -> UsedModel:
    """Chooses a model; raises CytostreamError where it cannot be used."""
    with choosing(store, settings) as choice:
        load_model(choice.models.find(name))
        return choice.use(name, by or own_name())


def put_back(store: Path, settings: Config, kind: str, by: str) -> UsedModel:
    """Chooses the model before; raises CytostreamError where there was none."""
    with choosing(store, settings) as choice:
        return choice.back(kind, by or own_name())


def own_name() -> str:
    """The account of this machine."""
    from stream.review.web import local_name

    return local_name()


@contextmanager
def choosing(store: Path, settings: Config) -> "Iterator[ChosenModel]":
    from stream.review import SlideLibrary, custody_folder
    from stream.review.models import ChosenModel

    require_store(store)
    custody = custody_folder(settings.review.audit_folder)
    with SlideLibrary(store, settings, custody) as library:
        yield ChosenModel(library, Provenance(settings.source))
