"""Why the model calls a cell what it does: explain, and an index of known cells."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from PIL import Image

from classify import (
    CropFolder,
    DataError,
    Explanation,
    Nearest,
    NearestCell,
    explain_cell,
    judge,
)
from stream.cli.console import screen, track
from stream.cli.options import ModelChoice
from stream.cli.pictures import sheet_of
from stream.cli.session import open_model
from stream.events import JsonObject

from .classify import verdict_line

if TYPE_CHECKING:
    pass


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
