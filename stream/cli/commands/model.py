"""Commands about the model: classify a folder, show the card, train, export, generate."""

import json
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from math import exp
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from pydantic import ValidationError
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from classify import (
    SHIPPED,
    CropFolder,
    DataError,
    Engine,
    Model,
    Verdict,
    judge,
    load_model,
    model_folder,
    open_engine,
    read_card,
    read_crop,
    to_input,
)
from classify.explain import attributes_of, describe, has_attributes, ranked_names
from classify.teaching import TaughtJudge, taught_at
from stream.cli.console import say, screen, track
from stream.cli.json_lines import json_lines
from stream.cli.options import (
    DeviceOption,
    EngineOption,
    JsonFileOption,
    ModelArgument,
    ModelOption,
)
from stream.config import ConfigError
from stream.events import JsonObject

if TYPE_CHECKING:
    from classify.training import TrainConfig

PACKED = ".zip"  # of `pack-data`


def classify(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder of cell images, with or without class folders: the model's crops (36 um "
            "squares of white cells), or with --mpp of any size about their cell."
        ),
    ],
    json_out: JsonFileOption = None,
    features: Annotated[
        Path | None,
        typer.Option(
            help="Write the encoder's features here (.npy: a row an image, in the order of --json)."
        ),
    ] = None,
    taught: Annotated[
        list[Path] | None,
        typer.Option(help="A taught class of `cytostream teach`, or a folder; may be repeated."),
    ] = None,
    model: ModelOption = SHIPPED,
    mpp: Annotated[
        float | None,
        typer.Option(min=0.02, max=5.0, help="um a pixel of the images; their middle is cut out."),
    ] = None,
    engine: EngineOption = "auto",
    device: DeviceOption = None,
    exhaustive: Annotated[
        bool, typer.Option(help="Every draw, no elimination, fp32: the slow reference.")
    ] = False,
    morphology: Annotated[
        bool,
        typer.Option(
            "--morphology",
            help="Add each cell's morphology to its line, in words; two passes more a cell.",
        ),
    ] = False,
) -> None:
    """Classify a folder of cell images.

    Where the images lie in class folders, balanced accuracy is shown.

    Example: cytostream classify cells/ --json verdicts.jsonl

    Example: cytostream classify cells/ --taught hairy.json --json verdicts.jsonl

    Example: cytostream classify red-cells/ --model red --mpp 0.19 --json verdicts.jsonl
    """
    loaded = load_model(model)
    added = TaughtJudge([one for path in taught or () for one in taught_at(path, loaded)])
    images = CropFolder(folder, loaded.card.crop_px, mpp and loaded.card.crop_um / mpp)
    runner = open_engine(loaded, engine, "f32" if exhaustive else None, say)
    if morphology and not has_attributes(loaded):
        raise DataError(f"{model}: this model tells no morphology", "leave out --morphology")
    bar = track(images, "classifying", len(images.paths))
    right: dict[str, list[bool]] = {}
    called: Counter[str] = Counter()
    draws = 0
    rows: list[np.ndarray] = []
    with json_lines(json_out) as write:
        for path, standard in judge(bar, runner, loaded, exhaustive):
            verdict = added.verdict(standard)
            facts = morphology_of(path, images, runner, loaded, standard) if morphology else {}
            write(verdict_line(path, verdict) | facts)
            right.setdefault(path.parent.name, []).append(
                path.parent.name in (verdict.label, verdict.parent)
            )
            called[verdict.label] += 1
            draws += verdict.draws
            if features is not None and verdict.features is not None:
                rows.append(verdict.features)
    if features is not None:
        np.save(features, np.array(rows, np.float16))
    screen.print("  ".join(f"{label} {count}" for label, count in called.most_common()))
    summarise(images, right, (*loaded.card.classes, *loaded.card.parents), draws)


def morphology_of(
    path: Path, images: CropFolder, engine: Engine, model: Model, verdict: Verdict
) -> JsonObject:
    """What `classify --morphology` adds to a line: the attributes, and a sentence."""
    card = model.card
    crop = read_crop(path, images.px, images.side_px)
    image = to_input(crop[None], card.window_px, card.image_px, card.white)
    found = describe(model, attributes_of(engine, model, image)[0], ranked_names(verdict))
    return {"morphology": asdict(found)}


def verdict_line(path: Path, verdict: Verdict) -> JsonObject:
    return {
        "path": str(path),
        "label": verdict.label,
        "parent": verdict.parent,
        "scores": verdict.scores,
        "parents": verdict.parents,
        "draws": verdict.draws,
        "decided": verdict.decided,
        "may_be": verdict.may_be,
        **({"standard_label": verdict.standard_label} if verdict.taught else {}),
        "anomaly": {
            name: getattr(verdict.anomaly, name)
            for name in ("score", "relative", "absolute", "reason")
        },
    }


def summarise(
    images: CropFolder, right: dict[str, list[bool]], classes: tuple[str, ...], draws: int
) -> None:
    n = sum(map(len, right.values()))
    left_out = f"; {len(images.skipped)} left out:" if images.skipped else ""
    screen.print(f"{n} images, {draws / max(1, n):.2f} draws each{left_out}")
    for path, why in list(images.skipped.items())[:10]:
        screen.print(f"  {path}: {why}")
    known = {c: r for c, r in right.items() if c in classes}
    if len(known) > 1:
        recall = {c: sum(r) / len(r) for c, r in sorted(known.items())}
        screen.print("  ".join(f"{c} {v:.3f}" for c, v in recall.items()))
        screen.print(f"balanced accuracy {sum(recall.values()) / len(recall):.4f}")


def card(model: ModelArgument = SHIPPED) -> None:
    """Show a model's card, after checking the files against it."""
    load_model(model)
    typer.echo(read_card(model).model_dump_json(indent=1))


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
    cfg = read_recipe(config, {name: value for name, value in given.items() if value})
    with training_side():
        from classify.evaluation import report_training
        from classify.training import Ranks, join
        from classify.training import train_model as fit
    columns = (
        TextColumn("step"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[row]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen) as bars:
        task = bars.add_task("train", total=None if cfg.minutes else cfg.steps, row="")
        shown: JsonObject = {}

        def show(row: JsonObject) -> None:
            if not shown:
                bars.console.print(left_out(cfg.out))
            shown.update(row)
            bars.update(task, completed=row["step"], row=training_line(shown))

        ranks = (
            join(int(environ["RANK"]), int(environ["WORLD_SIZE"]), device)
            if "WORLD_SIZE" in environ
            else Ranks()
        )
        fit(cfg, show, device, ranks)
    if ranks.rank == 0:
        with screen.status("writing the training report"):
            screen.print(f"report: {report_training(cfg.out)}")
    screen.print(f"trained: {cfg.out}; next: cytostream export {cfg.out} --out MODEL")


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
    with training_side():
        from classify.training import release_model

    with screen.status("exporting: graph, choice of draws, calibration (some minutes)"):
        model = release_model(run, out, name)
    screen.print(
        f"{out}: {len(model.sigma)} draws, elimination below {model.card.elimination:.2g}, "
        f"{model.card.precisions[0]}"
    )


def sizes(
    config: Annotated[Path, typer.Argument(help="TOML recipe, as of `cytostream train`.")],
    model: Annotated[Path, typer.Option(help="Model folder whose card gets the sizes.")] = SHIPPED,
) -> None:
    """Measure how large the cells of each class are, as the finder sees a recipe's own cells, and
    put that on a model's card: on a slide, kind and area then count beside the looks.

    Example: cytostream sizes configs/training/white-cells.toml --model models/mine
    """
    with training_side():
        from classify.training import write_sizes

    with screen.status("measuring cells (a minute)"):
        card = write_sizes(read_recipe(config), model_folder(model))
    for name, size in card.sizes.items():
        screen.print(
            f"{name:22} {exp(size.log_mean):6.1f} um2, times or by {exp(size.log_spread):.2f}; "
            f"{size.white:.0%} found as white cells; {size.cells} cells"
        )


def generate(
    label: Annotated[str, typer.Argument(help="A class of the model.")],
    out: Annotated[Path, typer.Option(help="Folder for the images.")],
    count: Annotated[int, typer.Option(min=1)] = 8,
    seed: int = 0,
    model: ModelOption = SHIPPED,
    engine: EngineOption = "auto",
) -> None:
    """Generate cells of a class with the classifier's own model.

    Example: cytostream generate eosinophil --out made/ --count 16
    """
    from PIL import Image

    from classify.explain import generate_cells as make

    loaded = load_model(model)
    if label not in loaded.card.classes:
        raise DataError(
            f"{label!r} is no class of this model", f"one of {', '.join(loaded.card.classes)}"
        )
    out.mkdir(parents=True, exist_ok=True)
    chosen = [loaded.card.classes.index(label)] * count
    for i, image in enumerate(make(loaded, open_engine(loaded, engine, "f32", say), chosen, seed)):
        Image.fromarray(image).save(out / f"{label}-{seed}-{i:04d}.png")
    screen.print(f"{count} generated {label} cells in {out}")
