"""Commands about the model: classify a folder, show the card, generate cells."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from classify import (
    SHIPPED,
    CropFolder,
    DataError,
    Engine,
    Model,
    Verdict,
    judge,
    load_model,
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
    ModelChoice,
    ModelOption,
)
from stream.events import JsonObject


@dataclass(frozen=True, slots=True)
class ClassifyOptions:
    """What `cytostream classify` may be given."""

    json_out: JsonFileOption = None
    features: Annotated[
        Path | None,
        typer.Option(
            help="Write the encoder's features here (.npy: a row an image, in the order of --json)."
        ),
    ] = None
    taught: Annotated[
        list[Path] | None,
        typer.Option(help="A taught class of `cytostream teach`, or a folder; may be repeated."),
    ] = None
    model: ModelOption = SHIPPED
    mpp: Annotated[
        float | None,
        typer.Option(min=0.02, max=5.0, help="um a pixel of the images; their middle is cut out."),
    ] = None
    engine: EngineOption = "auto"
    device: DeviceOption = None
    exhaustive: Annotated[
        bool, typer.Option(help="Every draw, no elimination, fp32: the slow reference.")
    ] = False
    morphology: Annotated[
        bool,
        typer.Option(
            "--morphology",
            help="Add each cell's morphology to its line, in words; two passes more a cell.",
        ),
    ] = False


def classify(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder of cell images, with or without class folders: the model's crops (36 um "
            "squares of white cells), or with --mpp of any size about their cell."
        ),
    ],
    options: ClassifyOptions,
) -> None:
    """Classify a folder of cell images.

    Where the images lie in class folders, balanced accuracy is shown.

    Example: cytostream classify cells/ --json verdicts.jsonl

    Example: cytostream classify cells/ --taught hairy.json --json verdicts.jsonl

    Example: cytostream classify red-cells/ --model red --mpp 0.19 --json verdicts.jsonl
    """
    show_calls(classify_folder(folder, options))


@dataclass(slots=True)
class Calls:
    """What images were called: the classes of the model, how often each was called, which images of
    a class folder were called rightly, how many draws it took, and what was left out and why.
    """

    classes: tuple[str, ...]
    skipped: dict[Path, str]
    called: Counter[str] = field(default_factory=Counter)
    right: dict[str, list[bool]] = field(default_factory=dict)
    draws: int = 0

    def add(self, path: Path, verdict: Verdict) -> None:
        """Count one image, whose folder may name its class."""
        name = path.parent.name
        self.right.setdefault(name, []).append(name in (verdict.label, verdict.parent))
        self.called[verdict.label] += 1
        self.draws += verdict.draws


def classify_folder(folder: Path, options: ClassifyOptions) -> Calls:
    """Classifies the images of a folder, and writes the lines and features that are asked for.

    Raises:
        CytostreamError: the model, the engine, a taught class or the folder cannot be used.
    """
    model = load_model(options.model)
    card = model.card
    added = TaughtJudge([one for path in options.taught or () for one in taught_at(path, model)])
    images = CropFolder(folder, card.crop_px, options.mpp and card.crop_um / options.mpp)
    engine = open_engine(model, options.engine, "f32" if options.exhaustive else None, say)
    if options.morphology and not has_attributes(model):
        raise DataError(
            f"{options.model}: this model tells no morphology", "leave out --morphology"
        )
    bar = track(images, "classifying", len(images.paths))
    calls = Calls((*card.classes, *card.parents), images.skipped)
    rows: list[np.ndarray] = []
    with json_lines(options.json_out) as write:
        for path, standard in judge(bar, engine, model, options.exhaustive):
            verdict = added.verdict(standard)
            words = options.morphology
            facts = morphology_of(path, images, engine, model, standard) if words else {}
            write(verdict_line(path, verdict) | facts)
            calls.add(path, verdict)
            if options.features is not None and verdict.features is not None:
                rows.append(verdict.features)
    if options.features is not None:
        np.save(options.features, np.array(rows, np.float16))
    return calls


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


def show_calls(calls: Calls) -> None:
    """How often each class was called; where class folders tell the truth, the recall of each and
    the balanced accuracy.
    """
    screen.print("  ".join(f"{label} {count}" for label, count in calls.called.most_common()))
    count = calls.called.total()
    left_out = f"; {len(calls.skipped)} left out:" if calls.skipped else ""
    screen.print(f"{count} images, {calls.draws / max(1, count):.2f} draws each{left_out}")
    for path, why in list(calls.skipped.items())[:10]:
        screen.print(f"  {path}: {why}")
    known = {name: right for name, right in calls.right.items() if name in calls.classes}
    if len(known) > 1:
        recall = {name: sum(right) / len(right) for name, right in sorted(known.items())}
        screen.print("  ".join(f"{name} {share:.3f}" for name, share in recall.items()))
        screen.print(f"balanced accuracy {sum(recall.values()) / len(recall):.4f}")


def card(model: ModelArgument = SHIPPED) -> None:
    """Show a model's card, after checking the files against it."""
    load_model(model)
    typer.echo(read_card(model).model_dump_json(indent=1))


def generate(
    label: Annotated[str, typer.Argument(help="A class of the model.")],
    choice: ModelChoice,
    out: Annotated[Path, typer.Option(help="Folder for the images.")],
    count: Annotated[int, typer.Option(min=1)] = 8,
    seed: int = 0,
) -> None:
    """Generate cells of a class with the classifier's own model.

    Example: cytostream generate eosinophil --out made/ --count 16
    """
    generate_images(label, choice, out, count, seed)
    screen.print(f"{count} generated {label} cells in {out}")


def generate_images(label: str, choice: ModelChoice, out: Path, count: int, seed: int) -> None:
    """Writes generated cells of a class as PNG.

    Raises:
        DataError: the model has no such class.
    """
    from PIL import Image

    from classify.explain import generate_cells

    model = load_model(choice.model)
    names = model.card.classes
    if label not in names:
        raise DataError(f"{label!r} is no class of this model", f"one of {', '.join(names)}")
    out.mkdir(parents=True, exist_ok=True)
    engine = open_engine(model, choice.engine, "f32", say)
    made = generate_cells(model, engine, [names.index(label)] * count, seed)
    for i, image in enumerate(made):
        Image.fromarray(image).save(out / f"{label}-{seed}-{i:04d}.png")
