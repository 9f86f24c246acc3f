"""Commands about why and how surely: explain, index, calibrate, authenticity."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from PIL import Image
from rich.table import Table

from classify import (
    CropFolder,
    DataError,
    Engine,
    Explanation,
    LabCells,
    Model,
    Nearest,
    NearestCell,
    explain_cell,
    judge,
    load_model,
    open_engine,
)
from stream.cli.console import say, screen, track
from stream.cli.options import ModelChoice
from stream.cli.pictures import sheet_of
from stream.cli.session import open_model
from stream.config import Config
from stream.events import JsonObject
from stream.store import SlideStore, has_state

from .model import verdict_line

if TYPE_CHECKING:
    from classify.explain import Score, Shown

STORES = "*.zarr"


def explain(
    images: Annotated[
        Path, typer.Argument(help="A cell image (a 36 um square), or a folder of them.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for a sheet and the maps of each cell.")],
    classes: Annotated[
        str, typer.Option(help="Classes to explain, with commas; else those that matter.")
    ] = "",
    known: Annotated[
        Path | None, typer.Option(help="Index of known cells, from `cytostream index`.")
    ] = None,
    *,
    choice: ModelChoice,
) -> None:
    """Show why cells were called what they were called.

    A picture a cell: the cell; for each class that matters a map (red is evidence for the class,
    blue against it) and the cell as that class; with --known the nearest known cells. Beside it an
    .npz with the maps and a line in explained.jsonl, with the cell's morphology in words.

    Example: cytostream explain alerts/ --out why/ --known known.npz
    """
    wanted = [name.strip() for name in classes.split(",") if name.strip()]
    count = explain_images(images, out, choice, wanted, known)
    screen.print(f"{count} cells explained in {out}")


def explain_images(
    images: Path, out: Path, choice: ModelChoice, classes: Sequence[str], known: Path | None
) -> int:
    """Writes a picture, the maps and a line for each cell, and says how many.

    Raises:
        CytostreamError: the model, the engine, the images or the index cannot be used.
    """
    model, engine = open_model(choice)
    cells = images_at(images, model.card.crop_px)
    index = Nearest.open(known, model) if known else None
    out.mkdir(parents=True, exist_ok=True)
    bar = track(cells, "explaining", len(cells.paths))
    with (out / "explained.jsonl").open("w") as lines:
        for number, (path, crop) in enumerate(bar):
            ((_, verdict),) = judge([(0, crop)], engine, model, exhaustive=True)
            why = explain_cell(engine, model, crop, classes)
            near = index.find(engine, crop, 5) if index else {}
            name = f"{number:04d}-{path.stem}"
            Image.fromarray(sheet_of(why, near)).save(out / f"{name}.png")
            np.savez_compressed(
                out / f"{name}.npz",
                classes=why.classes,
                heat=why.heat,
                counterfactual=why.counterfactual,
            )
            line = verdict_line(path, verdict) | image_facts(why, near, name)
            print(json.dumps(line), file=lines, flush=True)
    tell_skipped(cells)
    return len(cells.paths) - len(cells.skipped)


def images_at(images: Path, px: int) -> CropFolder:
    """The cells of a folder, or one image.

    Raises:
        DataError: there is none.
    """
    if not images.exists():
        raise DataError(
            f"{images}: no such image or folder", "give a cell image or a folder of them"
        )
    cells = CropFolder(images if images.is_dir() else images.parent, px)
    if not images.is_dir():
        cells.paths = [images]
    return cells


def image_facts(why: Explanation, near: NearestCell, name: str) -> JsonObject:
    distances = {label: [round(d, 3) for d, _, _ in found] for label, found in near.items()}
    return {
        "picture": f"{name}.png",
        "maps": list(why.classes),
        "words": why.words,
        **({"nearest": distances} if near else {}),
    }


def tell_skipped(cells: CropFolder) -> None:
    for path, reason in list(cells.skipped.items())[:10]:
        screen.print(f"  left out {path}: {reason}")


def index(
    folder: Annotated[Path, typer.Argument(help="Labelled cells: FOLDER/CLASS/image.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("known.npz"),
    *,
    choice: ModelChoice,
) -> None:
    """Make an index of known cells, so that an alert can be laid beside those most like it.

    Example: cytostream index cells/train --out known.npz
    """
    count = index_cells(folder, out, choice)
    screen.print(f"{count} known cells in {out} ({out.stat().st_size / 1e6:.1f} MB)")


def index_cells(folder: Path, out: Path, choice: ModelChoice) -> int:
    """Writes the index of the cells of class folders, and says how many.

    Raises:
        CytostreamError: the model, the engine or the images cannot be used.
    """
    from classify.explain import Known, build_index

    model, engine = open_model(choice)
    cells = CropFolder(folder, model.card.crop_px)
    bar = track(cells, "indexing", len(cells.paths))
    known = (Known(path.parent.name, str(path.relative_to(folder)), crop) for path, crop in bar)
    count = build_index(engine, model, known, out)
    tell_skipped(cells)
    return count


def calibrate(
    source: Annotated[
        Path,
        typer.Argument(help="Folder of normal cells of your laboratory, or a store of results."),
    ],
    out: Annotated[Path | None, typer.Option(help="Model folder to write.")] = None,
    check: Annotated[
        bool,
        typer.Option(
            help="Only say how far the slides of a store are from the model's calibration."
        ),
    ] = False,
    cells: Annotated[
        int, typer.Option(min=50, help="At most so many cells, drawn by chance.")
    ] = 1000,
    reviewed: Annotated[
        int,
        typer.Option(
            min=0,
            help="Of a store: so many cells a class that people have reviewed; half of them are "
            "held out, and it is shown whether the calibration is better.",
        ),
    ] = 0,
    yes: Annotated[
        bool, typer.Option("--yes", help="Keep it without a question where it is better.")
    ] = False,
    *,
    choice: ModelChoice,
) -> None:
    """Fit a model's probabilities of being normal to your laboratory, from some hundred of its
    normal cells.

    Nothing is trained. Class folders of the model's own class names are taken for labels, and then
    the class probabilities are fitted too; else the cells may be unlabelled. --check needs no
    cells, only a store.

    [bold]Examples[/]

    cytostream calibrate normal-cells/ --out models/our-lab

    cytostream calibrate cytostream-results --reviewed 20 --out models/our-lab

    cytostream calibrate cytostream-results --check
    """
    if check:
        show_drift(source, load_model(choice.model))
    elif out is None:
        raise DataError("no folder for the calibrated model", "give one with --out")
    elif reviewed:
        calibrate_reviewed(source, choice, reviewed, out, yes)
    else:
        made = calibrate_model(source, out, choice, cells)
        screen.print(f"{out}: {made.card.data['calibration']}; use it with --model {out}")


def calibrate_model(source: Path, out: Path, choice: ModelChoice, most: int) -> Model:
    """The model fitted to at most so many cells of a folder or a store, written to `out`.

    Raises:
        CytostreamError: the model, the engine or the cells cannot be used.
    """
    from classify.calibration import recalibrate

    model = load_model(choice.model)
    found = cells_of(source, model, most)
    engine = open_engine(model, choice.engine, None, say)
    total = len(found.crops)
    with screen.status(f"calibrating on {total} cells") as shown:

        def progress(done: int) -> None:
            shown.update(f"calibrating: {done} of {total} cells")

        return recalibrate(model, engine, found, out, source.name, progress)


def calibrate_reviewed(
    source: Path, choice: ModelChoice, per_class: int, out: Path, yes: bool
) -> None:
    """A calibration on half of the reviewed cells, measured on the other half; it is kept where a
    person says so, or with `yes` where it is better.
    """
    from classify.calibration import CalibrationGain, balanced_share, recalibrate, split_cells
    from stream.review import SlideLibrary, reviewed_cells

    if not has_state(source):
        raise DataError(f"{source}: no results here", "--reviewed is about a store")
    if out.exists():
        raise DataError(f"{out}: is there already", "choose another --out")
    loaded, runner = open_model(choice)
    with SlideLibrary(source, Config()) as library:
        found = reviewed_cells(library, loaded.card.classes, per_class)
    split = split_cells(LabCells(found.crops, found.labels), found.slides)
    with TemporaryDirectory(dir=out.absolute().parent, prefix=".calibrating-") as beside:
        with screen.status(f"calibrating on {len(split.fitted.labels)} reviewed cells"):
            made = recalibrate(loaded, runner, split.fitted, Path(beside) / "m", source.name)
            gain = CalibrationGain(
                balanced_share(loaded, runner, split.held_out),
                balanced_share(made, open_engine(made, runner.name, None, say), split.held_out),
                len(split.held_out.labels),
            )
        word = "better" if gain.is_better else "not better"
        screen.print(
            f"{gain.cells} reviewed cells that were held out: {gain.before:.3f} before, "
            f"{gain.after:.3f} after (mean of the classes): {word}"
        )
        keep = gain.is_better if yes else typer.confirm("keep it?", default=gain.is_better)
        if not keep:
            screen.print("not kept")
            return
        (Path(beside) / "m").rename(out)
    screen.print(f"{out}: {made.card.data['calibration']}; use it with --model {out}")


def cells_of(source: Path, loaded: Model, most: int) -> LabCells:
    """Cells of a folder of images or of a store, some of them by chance where there are too
    many.
    """
    rng = np.random.default_rng(0)
    if stores := stores_in(source):
        by_slide = [counted_crops(SlideStore.open(path), loaded) for path in stores]
        some = [crops for crops in by_slide if len(crops)]
        crops = np.concatenate(some or [np.zeros((0, 1, 1, 3), np.uint8)])
        return LabCells(crops[np.sort(rng.permutation(len(crops))[:most])])
    folder = CropFolder(source, loaded.card.crop_px)
    folder.paths = [folder.paths[i] for i in np.sort(rng.permutation(len(folder.paths))[:most])]
    found = list(folder)
    tell_skipped(folder)
    if not found:
        raise DataError(f"{source}: no image that can be read", "give a folder of cell images")
    return LabCells(
        np.stack([crop for _, crop in found]), tuple(path.parent.name for path, _ in found)
    )


def counted_crops(store: SlideStore, loaded: Model) -> np.ndarray:
    """The crops of a slide's cells to count; what the run called `other` is left out."""
    if not store.rows:
        return np.zeros((0, 1, 1, 3), np.uint8)
    counted = [
        number for number, name in enumerate(store.facts["classes"]) if name in loaded.card.counted
    ]
    crops: np.ndarray = store.read("crop")[np.isin(store.read("label"), counted)]
    return crops


def stores_in(source: Path) -> list[Path]:
    return [source] if source.suffix == ".zarr" else sorted(source.glob(STORES))


def show_drift(source: Path, loaded: Model) -> None:
    from classify.anomaly import calibration_drift

    stores = stores_in(source)
    if not stores:
        raise DataError(
            f"{source}: no results here", "run `cytostream run SLIDE --store DIR` first"
        )
    table = Table("slide", "cells", "distance", "p", "")
    for path in stores:
        store = SlideStore.open(path)
        names = (
            [store.facts["classes"][number] for number in store.read("label")] if store.rows else []
        )
        moved = calibration_drift(
            loaded, names, store.read("anomaly")[:, 2] if store.rows else np.zeros(0)
        )
        say_far = "far: calibrate, or look at the slide" if moved.far else "as calibrated"
        table.add_row(
            path.stem, str(moved.cells), f"{moved.distance:.2f}", f"{moved.p_value:.1g}", say_far
        )
    screen.print(table)


def authenticity(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Real cells, FOLDER/CLASS/image; or, with --answers, the folder of the test."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the test page and its key.")] = Path(
        "authenticity"
    ),
    count: Annotated[
        int, typer.Option(min=1, help="Real cells, and as many generated ones, a class.")
    ] = 8,
    seed: int = 0,
    answers: Annotated[
        Path | None, typer.Option(help="answers.json of an expert: score them instead.")
    ] = None,
    *,
    choice: ModelChoice,
) -> None:
    """Make a blinded test page, real cells or generated ones, or score what an expert answered.

    The page test.html is whole in itself and does not hold the key: give it away, keep key.json.

    [bold]Examples[/]

    cytostream authenticity cells/val --out test

    cytostream authenticity test --answers answers.json
    """
    if answers:
        show_scores(scores_of(folder, answers))
    else:
        page = write_test_page(folder, out, choice, count, seed)
        screen.print(
            f"{page}: give it to an expert; then `cytostream authenticity {out} --answers "
            "answers.json`"
        )


def scores_of(folder: Path, answers: Path) -> dict[str, "Score"]:
    """How an expert's answers to the test of a folder agree with its key."""
    from classify.explain import score_answers

    return score_answers(folder, answers)


def write_test_page(folder: Path, out: Path, choice: ModelChoice, count: int, seed: int) -> Path:
    """The page of a blinded test of `count` real cells a class and as many generated ones, written
    beside its key.

    Raises:
        CytostreamError: the model, the engine or the cells cannot be used.
    """
    from classify.explain import write_test

    model, engine = open_model(choice)
    with screen.status("generating"):
        return write_test(list(cells_to_tell(folder, model, engine, count, seed)), out, seed)


def cells_to_tell(
    folder: Path, loaded: Model, runner: Engine, count: int, seed: int
) -> Iterator["Shown"]:
    """Real cells as the model sees them, and generated ones of the same classes and number."""
    from classify import to_input, to_uint8
    from classify.explain import MADE, REAL, Shown, generate_cells

    card = loaded.card
    rng = np.random.default_rng(seed)
    made_of = []
    for name in card.counted:
        if not (folder / name).is_dir():
            continue
        real = CropFolder(folder / name, card.crop_px)
        real.paths = [real.paths[i] for i in rng.permutation(len(real.paths))[:count]]
        crops = np.stack([crop for _, crop in real])
        yield from (
            Shown(p, name, REAL)
            for p in to_uint8(to_input(crops, card.window_px, card.image_px, card.white))
        )
        made_of += [name] * len(crops)
    if not made_of:
        raise DataError(
            f"{folder}: no folder named as a class of the model",
            f"FOLDER/CLASS, of {', '.join(card.counted)}",
        )
    pictures = generate_cells(loaded, runner, [card.classes.index(name) for name in made_of], seed)
    yield from (Shown(p, name, MADE) for p, name in zip(pictures, made_of, strict=True))


def show_scores(scores: dict[str, "Score"]) -> None:
    table = Table("cells", "told apart rightly", "of", "share", "95 % interval")
    for group, score in scores.items():
        low, high = score.interval
        table.add_row(
            group,
            str(score.right),
            str(score.of),
            f"{score.accuracy:.3f}",
            f"{low:.3f} to {high:.3f}",
        )
    screen.print(table)
