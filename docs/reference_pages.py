"""Pages of the reference, made from the program: commands, events, HTTP, the shipped models.

What a page says is read from the command line's own parser, the events' JSON Schemas, the routes
and the models' cards, so that it cannot differ from what the program does.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI

from classify import SHIPPED
from classify.model_card import SHORT_NAMES, model_folder, read_card
from stream.cli.app import load_command
from stream.cli.command_table import COMMANDS
from stream.events import EVENT_TYPES, JsonObject, event_schemas
from stream.review.web.app import ROUTERS

if TYPE_CHECKING:
    from typer._click.core import Command

FOLDER = Path(__file__).parent / "reference"
HELP = "help"


def write_reference(folder: Path = FOLDER) -> list[Path]:
    """Writes the pages of the reference, and returns them."""
    folder.mkdir(exist_ok=True)
    pages = {
        "commands": ("Commands", command_lines()),
        "events": ("Events", event_lines()),
        "http": ("HTTP interface of the review page", route_lines(ROUTERS)),
        "models": ("Model cards", card_lines()),
    }
    paths = []
    for name, (title, lines) in pages.items():
        path = folder / f"{name}.md"
        path.write_text("\n".join([f"# {title}", "", *lines, ""]))
        paths.append(path)
    return paths


def command_lines() -> Iterator[str]:
    """A section a command, by the panels of `cytostream --help`."""
    for panel in dict.fromkeys(entry.panel for entry in COMMANDS.values()):
        yield f"## {panel}"
        yield ""
        for name, entry in COMMANDS.items():
            if entry.panel == panel:
                yield from of_command(name, load_command(name))


def of_command(name: str, command: "Command") -> Iterator[str]:
    """What a command does, its arguments and its options; those of a group one by one."""
    yield f"### cytostream {name}"
    yield ""
    text, *examples = re.split(r"cytostream(?= [a-z-]+ )", command.help or "")
    yield cell(re.sub(r"Examples?:?\s*$", "", text.strip()))
    yield ""
    if examples:
        yield "```"
        yield from (f"cytostream {example_of(example)}" for example in examples)
        yield "```"
        yield ""
    below = getattr(command, "commands", {})
    for part, one in below.items():
        yield from of_command(f"{name} {part}", one)
    params = [] if below else [param for param in command.params if param.name != HELP]
    if params:
        yield "| option | what | default |"
        yield "|---|---|---|"
    for param in params:
        opts = [opt for opt in param.opts if opt.startswith("-")]
        shown = ", ".join(f"`{opt}`" for opt in opts) or f"`{(param.name or '').upper()}`"
        default = "" if param.default in (None, False, ()) else f"`{plain(param.default)}`"
        yield f"| {shown} | {cell(getattr(param, 'help', ''))} | {default} |"
    yield ""


def example_of(text: str) -> str:
    """An example in one line, without the word that begins the next one."""
    return " ".join(re.sub(r"Examples?:?\s*$", "", text.strip()).split())


def plain(default: object) -> str:
    """A default as it is typed."""
    return "white" if default == SHIPPED else str(default)


def event_lines() -> Iterator[str]:
    """A section an event type: its topic, and the fields of its data."""
    yield "Events are CloudEvents 1.0; `cytostream schemas --out DIR` writes their JSON Schemas."
    yield ""
    for name, schema in event_schemas().items():
        kind = EVENT_TYPES[name]
        yield f"## {name}"
        yield ""
        yield f"{cell(schema.get('description'))} Topic: `cytostream.{kind.topic}`."
        yield ""
        yield "| field | type | what |"
        yield "|---|---|---|"
        needed = schema.get("required", ())
        for field, about in schema["properties"].items():
            must = "" if field in needed else ", optional"
            yield f"| `{field}` | {type_of(about)}{must} | {cell(about.get('description'))} |"
        yield ""


def type_of(about: Mapping[str, object]) -> str:
    """The type of a field in one word or two."""
    several = about.get("anyOf")
    if isinstance(several, list):
        return " or ".join(dict.fromkeys(type_of(one) for one in several))
    reference = about.get("$ref")
    if isinstance(reference, str):
        return reference.rpartition("/")[2]
    values = about.get("enum")
    if isinstance(values, list):
        return ", ".join(f"`{value}`" for value in values)
    return str(about.get("type", "any"))


def route_lines(found: Iterable[APIRouter]) -> Iterator[str]:
    """A row a route; the whole description is at `/api/openapi.json` of a running page."""
    app = FastAPI()
    for router in found:
        app.include_router(router)
    paths: dict[str, JsonObject] = app.openapi()["paths"]
    yield "A running page gives the whole description at `/api/openapi.json`."
    yield ""
    yield "| route | what |"
    yield "|---|---|"
    for path, methods in sorted(paths.items()):
        for method, about in methods.items():
            text = about.get("description") or about.get("summary")
            yield f"| `{method.upper()} {path}` | {cell(text)} |"


def card_lines() -> Iterator[str]:
    """What each shipped model is, what it was trained on, and its classes."""
    for name in SHORT_NAMES:
        card = read_card(model_folder(Path(name)))
        yield f"## {card.name} (`--model {name}`)"
        yield ""
        for about, text in card.data.items():
            yield f"- {about}: {cell(str(text))}"
        window_um = card.window_px * card.crop_um / card.crop_px
        yield f"- looks at {window_um:.0f} um, as {card.image_px} px"
        yield f"- at most {len(card.sigmas)} draws a cell"
        yield ""
        yield "| class | parent | title | LOINC | SNOMED CT |"
        yield "|---|---|---|---|---|"
        for label in card.classes:
            one = card.taxonomy.get(label)
            codes = (one.parent, one.title, one.loinc, one.snomed) if one else ("", "", "", "")
            yield f"| `{label}` | {' | '.join(codes)} |"
        yield ""


def cell(text: object) -> str:
    """A text in one cell of a table."""
    return " ".join(str(text or "").replace("|", "\\|").split())
