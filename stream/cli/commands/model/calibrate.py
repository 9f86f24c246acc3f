"""A model fitted to a laboratory's cells: calibrate."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table

from classify import (
    CropFolder,
    DataError,
    LabCells,
    Model,
    load_model,
    open_engine,
)
from stream.cli.console import say, screen
from stream.cli.options import ModelChoice
from stream.cli.session import open_model
from stream.config import Config
from stream.store import SlideStore, StorePlace, has_state, store_paths

from .explain import tell_skipped

if TYPE_CHECKING:
    pass


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


def stores_in(source: Path) -> list[StorePlace]:
    return [source] if source.suffix == ".zarr" else store_paths(source)


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
