"""The options that more than one command has, each stated once."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from classify import ENGINES, SHIPPED
from ingest import MPP_RANGE
from segment import AREAS

RESULTS = Path("cytostream-results")
KAFKA = ("kafka",)
RED_MODEL = Path("red")
_LEAST, _MOST = MPP_RANGE
GPUS = "CUDA_VISIBLE_DEVICES"

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file; see configs/example.toml.")
]
StoreOption = Annotated[
    Path, typer.Option("--store", help="Folder of results, as of `cytostream run --store`.")
]
StateOption = Annotated[
    str | None,
    typer.Option(
        "--state",
        help="Server for the state of a new store: postgresql://USER@HOST/DATABASE; PGPASSWORD.",
    ),
]
SinkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sink",
        help="Where events go: kafka, jsonl:PATH, or none; may be repeated. Default kafka.",
    ),
]
MppOption = Annotated[
    float | None,
    typer.Option(
        "--mpp", min=_LEAST, max=_MOST, help="um per level-0 px, where the file does not say."
    ),
]
MppOverrideOption = Annotated[
    float | None,
    typer.Option(
        "--mpp-override", min=_LEAST, max=_MOST, help="um per level-0 px, whatever the file says."
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", help="Worker processes; 0 is this process, without limits of time."),
]
SchedulerOption = Annotated[
    str | None, typer.Option("--scheduler", help="An existing Dask cluster: tls://host:8786.")
]
InsecureSchedulerOption = Annotated[
    bool | None,
    typer.Option(
        "--insecure-scheduler",
        help="Permit tcp://, where anyone who reaches it runs code here.",
    ),
]
TilePxOption = Annotated[
    int | None, typer.Option("--tile-px", help="Side of a tile, in px as read: 256 to 8192.")
]
AreaOption = Annotated[
    str | None,
    typer.Option(
        "--area", help=f"{' or '.join(AREAS)}: a technologist's path through the monolayer."
    ),
]
ModelOption = Annotated[
    Path, typer.Option("--model", help="Model folder, or a shipped one's name: white, red.")
]
ModelArgument = Annotated[Path, typer.Argument(help="Model folder; the shipped one by default.")]
RedModelOption = Annotated[
    Path | None,
    typer.Option("--red-model", help="The same of red cells."),
]
EngineOption = Annotated[str, typer.Option("--engine", help=f"{', '.join(ENGINES)}.")]


def show_one_gpu(number: int | None) -> int | None:
    """Lets CUDA, which is not loaded yet, see the GPU of this number alone, of those it would."""
    if number is not None:
        shown = [name for name in os.environ.get(GPUS, "").split(",") if name]
        if shown and number >= len(shown):
            raise typer.BadParameter(f"{GPUS} shows {len(shown)}")
        os.environ[GPUS] = shown[number] if shown else str(number)
    return number


DeviceOption = Annotated[
    int | None,
    typer.Option(
        "--device",
        min=0,
        callback=show_one_gpu,
        help="Number of the GPU; for several, a process each on one --store.",
    ),
]
AgainOption = Annotated[
    bool,
    typer.Option(
        "--again",
        help="Run slides anew that were begun under another model, configuration or scale.",
    ),
]
ShadowOption = Annotated[
    str | None,
    typer.Option(
        "--shadow",
        help="A second model that judges the same cells, kept beside the results that count.",
    ),
]
RunModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        help="Model folder, or name; else the one in use in the store (`cytostream models`).",
    ),
]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="JSON lines to stdout.")]
JsonFileOption = Annotated[
    Path | None, typer.Option("--json", help="Write JSON lines here; - is stdout.")
]


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """What the command line states in place of the configuration's section `reading`."""

    mpp_override: MppOverrideOption = None
    workers: WorkersOption = None
    scheduler: SchedulerOption = None
    insecure_scheduler: InsecureSchedulerOption = None


@dataclass(frozen=True, slots=True)
class TileOptions(ReadingOptions):
    """The same, with tiles and area."""

    tile_px: TilePxOption = None
    area: AreaOption = None


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where events go (to Kafka where nothing is said), the server of the state, the models'
    folders or names (those in use in the store where nothing is said), the engine and its GPU,
    whether slides are run anew as a new version where they were begun under something else, and a
    second model.
    """

    sinks: SinkOption = None
    state: StateOption = None
    model: RunModelOption = None
    red_model: RedModelOption = None
    engine: EngineOption = "auto"
    device: DeviceOption = None
    again: AgainOption = False
    shadow: ShadowOption = None


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model's folder and the engine that runs it."""

    model: ModelOption = SHIPPED
    engine: EngineOption = "auto"
