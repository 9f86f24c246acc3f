"""`cytostream teach`: a class of the laboratory's own from a few cells."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from classify import SHIPPED, CropFolder, DataError, Model, judge, load_model, open_engine
from classify.teaching import (
    PRIOR,
    TAUGHT_FOLDER,
    Lesson,
    TaughtClass,
    TaughtLibrary,
    patients_of,
    pixel_digest,
    read_taught,
    teach_class,
    write_taught,
)
from stream.cli.console import print_error, say, screen, track
from stream.cli.options import EngineOption, ModelOption
from stream.config import Config


def teach(
    store: Annotated[
        Path | None,
        typer.Argument(help="A store of results, which keeps the versions of its taught classes."),
    ] = None,
    name: Annotated[str, typer.Option("--class", help="Name of the class to teach.")] = "",
    cells: Annotated[Path | None, typer.Option(help="Folder of cells of the class.")] = None,
    source: Annotated[
        str,
        typer.Option("--from", help="reviewed: the cells of the store that people have called so."),
    ] = "",
    normal: Annotated[
        Path | None,
        typer.Option(help="Folder of other cells of the laboratory: normal ones of all kinds."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write the taught class to.")] = None,
    prior: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="Share of cells expected to be of the class.")
    ] = PRIOR,
    by: Annotated[str, typer.Option(help="Who teaches it.")] = "",
    note: Annotated[str, typer.Option(help="A remark that goes with it.")] = "",
    mpp: Annotated[
        float | None,
        typer.Option(min=0.02, max=5.0, help="um a pixel of the images; their middle is cut out."),
    ] = None,
    take: Annotated[
        Path | None, typer.Option("--import", help="Take over a taught class from this file.")
    ] = None,
    disable: Annotated[str, typer.Option(help="Use this taught class no longer.")] = "",
    enable: Annotated[str, typer.Option(help="Use this taught class again.")] = "",
    model: ModelOption = SHIPPED,
    engine: EngineOption = "auto",
) -> None:
    """Teach a class from a few of its cells and some hundred normal cells of the laboratory.

    The model stays as it is; the class is a file without pixels, with its figures: what it finds,
    and how many normal cells it takes for its own, each measured on patients that were left out. A
    patient is known by the name of the image up to the first - or _ (p02-17.png), or by its
    subfolder. A store alone lists the classes that are in use there.

    Example: cytostream teach --class hairy-cell --cells hairy/ --normal normal/ --out hairy.json

    With a store, `--from reviewed` takes the cells that people have called so on the page; a slide
    then counts as a patient. The next run into the store uses the class.

    Example: cytostream teach results --class hairy-cell --from reviewed

    Example: cytostream teach results --import hairy.json

    Then: cytostream classify cells/ --taught hairy.json --json verdicts.jsonl
    """
    library = TaughtLibrary(store / TAUGHT_FOLDER) if store else None
    loaded = load_model(model)
    if library and (switched := disable or enable):
        library.switch(switched, on=not disable)
    elif library and take:
        keep(read_taught(take, loaded), library, None)
    elif library and source:
        keep(reviewed_class(store, source, loaded, name, prior, by, note), library, out)
        return
    elif cells and normal and name and (out or library):
        images = [judged_folder(folder, loaded, mpp, engine) for folder in (cells, normal)]
        keep(lesson_of(images, loaded, name, prior, by, note, (cells, normal)), library, out)
        return
    elif not library or cells or normal or name:
        raise DataError(
            "--class, --cells, --normal and --out are needed to teach a class",
            "see `cytostream teach --help`",
        )
    show_library(library)


def reviewed_class(
    store: Path | None, source: str, loaded: Model, name: str, prior: float, by: str, note: str
) -> TaughtClass:
    """The class that the cells of a store teach which people have called so."""
    from stream.review import SlideLibrary, teach_from_store

    if source != "reviewed" or not name or store is None:
        raise DataError("--from: reviewed is possible, with a store and --class", "see --help")
    check_results(store)
    with SlideLibrary(store, Config()) as library:
        return teach_from_store(library, loaded, name, by, prior, note)


def check_results(store: Path) -> None:
    """Raises DataError where a store holds no results."""
    from stream.store import has_state

    if not has_state(store):
        raise DataError(f"{store}: no results here", "run `cytostream run SLIDE --store DIR` first")


class ReadCells(dict[Path, tuple[str, np.ndarray]]):
    """Digest of the pixels and features (F,) of each image."""


def judged_folder(folder: Path, loaded: Model, mpp: float | None, engine: str) -> ReadCells:
    """The images of a folder, through the model."""
    images = CropFolder(folder, loaded.card.crop_px, mpp and loaded.card.crop_um / mpp)
    digests: dict[Path, str] = {}

    def crops() -> Iterator[tuple[Path, np.ndarray]]:
        for path, crop in track(images, f"reading {folder.name}", len(images.paths)):
            digests[path] = pixel_digest(crop)
            yield path, crop

    runner = open_engine(loaded, engine, None, say)
    found = ReadCells()
    for path, verdict in judge(crops(), runner, loaded):
        if verdict.features is not None:
            found[path] = digests[path], verdict.features
    for path, reason in list(images.skipped.items())[:10]:
        screen.print(f"  left out {path}: {reason}")
    return ReadCells(sorted(found.items()))


def lesson_of(
    images: list[ReadCells],
    loaded: Model,
    name: str,
    prior: float,
    by: str,
    note: str,
    roots: tuple[Path, Path],
) -> TaughtClass:
    """The class that images of two folders, its cells and normal ones, teach."""
    paths = [path for found in images for path in found]
    groups, known_by = patients_of(paths, roots)
    count = len(images[0])
    features = [
        np.array([features for _, features in found.values()]).reshape(len(found), -1)
        for found in images
    ]
    lesson = Lesson(features[0], features[1], tuple(groups[:count]), tuple(groups[count:]))
    digests = [tuple(digest for digest, _ in found.values()) for found in images]
    return teach_class(loaded, name, lesson, (digests[0], digests[1]), known_by, prior, by, note)


def keep(taught: TaughtClass, library: TaughtLibrary | None, out: Path | None) -> None:
    """Write a class to a file, to a store's library, or both, and say what is to be expected."""
    if out:
        write_taught(taught, out)
    if library:
        taught = library.add(taught)
    for warning in taught.warnings:
        print_error(warning, word="note")
    screen.print(figures_line(taught))
    if out:
        screen.print(f"{out}: use it with `cytostream classify FOLDER --taught {out}`")


def figures_line(taught: TaughtClass) -> str:
    """What is to be expected of a taught class, in one line."""
    expected = taught.expected
    found = share_text(expected.sensitivity, expected.sensitivity_interval)
    wrong = share_text(expected.false_rate, expected.false_rate_interval)
    return (
        f"{taught.name} {taught.version}: {len(taught.cells)} cells of "
        f"{taught.patients or 'unknown'} patients; held out by {expected.by}: "
        f"AUC {expected.auc:.3f}, found where 4 in 100 normal cells are "
        f"{expected.sensitivity_at_96:.2f}, found as label {found}, "
        f"normal cells called so {wrong}"
    )


def share_text(share: float, interval: tuple[float, float]) -> str:
    return f"{share:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def show_library(library: TaughtLibrary) -> None:
    """The classes of a store, and which are disabled."""
    known = list(library.newest().values())
    if not known:
        screen.print(f"no taught class in {library.folder}")
    for taught in known:
        screen.print(figures_line(taught))
        if library.is_disabled(taught.name):
            screen.print(f"{taught.name} is disabled")
