"""Commands of training: its data, the training itself, and the model that it becomes."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import exp
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from classify import SHIPPED, Card, DataError, Model, model_folder
from stream.cli.console import screen
from stream.config import ConfigError
from stream.events import JsonObject

if TYPE_CHECKING:
    from classify.training import TrainConfig

PACKED = ".zip"  # of `pack-data`
COLUMNS = (
    TextColumn("step"),
    MofNCompleteColumn(),
    BarColumn(),
    TextColumn("{task.fields[row]}"),
    TimeRemainingColumn(),
)


def train(
    config: Annotated[
        Path, typer.Argument(help="TOML file, as those in configs/, or data of `pack-data`.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of checkpoints and log; overrules the file.")
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help="Model folder or training run to begin with: fine-tuning.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda and the like.")] = "cpu",
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="Wall time to train for, in place of the file's steps."),
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Images a step.")] = None,
    compact: Annotated[
        bool, typer.Option("--compact", help="Checkpoints of half the size.")
    ] = False,
) -> None:
    """Train a denoiser on image folders; the same command goes on after a stop.

    Example: cytostream train configs/training/pbc-64px.toml

    Example: cytostream train configs/training/fine-tune.toml --init classify/model

    Several processes: torchrun --nproc-per-node 2 -m stream.cli train
    configs/training/pbc-64px.toml
    """
    given = {"out": out, "init": init, "minutes": minutes, "batch": batch, "compact": compact}
    recipe = read_recipe(config, {name: value for name, value in given.items() if value})
    train_recipe(recipe, device)
    screen.print(f"trained: {recipe.out}; next: cytostream export {recipe.out} --out MODEL")


def train_recipe(recipe: "TrainConfig", device: str) -> None:
    """Trains a recipe to its end, and writes the report of the training.

    Raises:
        DataError: the cells cannot be trained on, or packages of training are missing.
    """
    with training_side():
        from classify.evaluation import report_training
        from classify.training import Ranks, join, train_model
    several = "WORLD_SIZE" in environ
    ranks = join(int(environ["RANK"]), int(environ["WORLD_SIZE"]), device) if several else Ranks()
    with Progress(*COLUMNS, console=screen) as bars:
        task = bars.add_task("train", total=None if recipe.minutes else recipe.steps, row="")
        shown: JsonObject = {}

        def show(row: JsonObject) -> None:
            if not shown:
                bars.console.print(left_out(recipe.out))
            shown.update(row)
            bars.update(task, completed=row["step"], row=training_line(shown))

        train_model(recipe, show, device, ranks)
    if ranks.rank == 0:
        with screen.status("writing the training report"):
            screen.print(f"report: {report_training(recipe.out)}")


def read_recipe(
    config: Path, instead: Mapping[str, Path | float | bool] | None = None
) -> "TrainConfig":
    """The recipe of a TOML file or of packed data, with some of its values replaced.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    values = recipe_values(config)
    with training_side():
        from classify.training import TrainConfig
    try:
        return TrainConfig(**{**values, **(instead or {})})
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{config}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ConfigError(what, "see configs/ for files that work") from error


def recipe_values(config: Path) -> JsonObject:
    """The values of a recipe, or of packed data, which are laid out beside their file.

    Raises:
        ConfigError: it is neither.
    """
    if config.suffix == PACKED:
        from classify.training import unpack_data

        return unpack_data(config, config.with_suffix(""))
    try:
        return tomllib.loads(config.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{config}: {error}", "see configs/ for files that work") from error


@contextmanager
def training_side() -> Iterator[None]:
    """Imports of what serving does not need.

    Raises:
        DataError: they are not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise DataError(f"training needs {error.name}", "pip install -e '.[train]'") from error


def left_out(run: Path) -> str:
    """How many images a training leaves out."""
    skipped = json.loads((run / "skipped.json").read_text())
    return (
        f"{len(skipped)} images left out, as {run / 'skipped.json'} says"
        if skipped
        else "all images are readable"
    )


def training_line(row: JsonObject) -> str:
    accuracy = f"  val {row['val_balanced_accuracy']:.3f}" if "val_balanced_accuracy" in row else ""
    return (
        f"loss {row['denoising']:.3f}  ce {row['cross_entropy']:.3f}  "
        f"{row['images_per_s']:.0f} images/s{accuracy}"
    )


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    name: Annotated[str, typer.Option(help="Name on the card.")] = "cytostream-pbc",
) -> None:
    """Export a training run: ONNX graph, draws, calibration, card.

    Example: cytostream export runs/pbc-64px --out models/mine
    """
    model = export_run(run, out, name)
    screen.print(
        f"{out}: {len(model.sigma)} draws, elimination below {model.card.elimination:.2g}, "
        f"{model.card.precisions[0]}"
    )


def export_run(run: Path, out: Path, name: str) -> Model:
    """The model of a training run, written to a folder.

    Raises:
        CytostreamError: the run is not trained, or packages of training are missing.
    """
    with training_side():
        from classify.training import release_model
    with screen.status("exporting: graph, choice of draws, calibration (some minutes)"):
        return release_model(run, out, name)


def sizes(
    config: Annotated[Path, typer.Argument(help="TOML recipe, as of `cytostream train`.")],
    model: Annotated[Path, typer.Option(help="Model folder whose card gets the sizes.")] = SHIPPED,
) -> None:
    """Measure how large the cells of each class are, as the finder sees a recipe's own cells, and
    put that on a model's card: on a slide, kind and area then count beside the looks.

    Example: cytostream sizes configs/training/white-cells.toml --model models/mine
    """
    for name, size in measure_sizes(read_recipe(config), model).sizes.items():
        screen.print(
            f"{name:22} {exp(size.log_mean):6.1f} um2, times or by {exp(size.log_spread):.2f}; "
            f"{size.white:.0%} found as white cells; {size.cells} cells"
        )


def measure_sizes(recipe: "TrainConfig", model: Path) -> Card:
    """The card of a model with the sizes of the recipe's cells, which is written.

    Raises:
        CytostreamError: the cells or the model cannot be used.
    """
    with training_side():
        from classify.training import write_sizes
    with screen.status("measuring cells (a minute)"):
        return write_sizes(recipe, model_folder(model))


def field_crops(
    slide: Annotated[Path, typer.Argument(help="Slide of whole fields laid edge to edge.")],
    out: Annotated[Path, typer.Option(help="Folder for the crops, one folder a class.")],
    boxes: Annotated[
        Path | None, typer.Option(help="JSON of its boxes; SLIDE.boxes.json by default.")
    ] = None,
) -> None:
    """Cut training crops out of fields whose cells carry boxes.

    They are 36 um squares. Cells that a field's edge cuts are left out, and of the red cells all
    but a share.

    Example: cytostream field-crops ../shared/data/slides/cbc-fields.tiff --out runs/cbc-crops
    """
    made = cut_crops(slide, boxes or slide.with_suffix(".boxes.json"), out)
    screen.print(f"{out}: " + ", ".join(f"{count} {name}" for name, count in made.items()))


def cut_crops(slide: Path, boxes: Path, out: Path) -> dict[str, int]:
    """Writes the crops, and says how many of each class.

    Raises:
        CytostreamError: the slide or its boxes cannot be read.
    """
    with training_side():
        from classify.training import write_field_crops
    return write_field_crops(slide, boxes, out)


def pack_data(
    config: Annotated[Path, typer.Argument(help="Recipe (TOML) with sources.")],
    out: Annotated[Path, typer.Option(help="File to write; `train` reads it.")],
) -> None:
    """Put a recipe and its images into one file.

    It is for another machine, and of at most 60 MiB.

    Example: cytostream pack-data configs/training/white-cells.toml --out runs/white-cells.zip
    """
    count = pack_images(config, out)
    screen.print(f"{out}: {count} images, {out.stat().st_size / 2**20:.1f} MiB")


def pack_images(config: Path, out: Path) -> int:
    """Packs a recipe with its images, and says how many.

    Raises:
        CytostreamError: the recipe or its images cannot be read, or are too large.
    """
    with training_side():
        from classify.training import pack_recipe
    return pack_recipe(config, out)
