"""Reference cells of openly licensed data: typical ones of each class, of the folders that a
training's recipe names.
"""

import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from classify import DataError, Engine, Model, Source, judge, read_crop
from stream.review.images import encode
from stream.store import unit_features

from .atlas_folder import FEWEST, ReferenceCell, chosen_cells, require_new, write_cells

_TRIED = 60  # of a class in a source, evenly over its files
_SHOWN_UM = 24.0  # of a crop, about its middle: as much as the page shows of a slide's cell
_Place = tuple[str, str, Path]  # class, laboratory, file


class _Recipe(BaseModel):
    """What is wanted of a recipe: where labelled cells lie, how they are cut, and whose they are;
    what is not said is as recipes have it by default.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    sources: tuple[Source, ...]
    data: dict[str, str]
    crop_um: float = 36.0
    crop_px: int = 128


def write_open_atlas(
    recipe: Path, model: Model, engine: Engine, folder: Path, count: int
) -> dict[str, int]:
    """Writes `count` typical cells of each class as CLASS/CELL.png with CREDIT.txt, for
    `review.atlas`; how many of each. They are of the classes that the recipe's sources name, the
    model calls them the same, and the credit is what the recipe says of its data: name, licence,
    source.

    Raises:
        DataError: the recipe cannot be read, names no credit, is cut otherwise than the model's
            crops, or no class has enough cells.
        StoreError: the folder has files.
    """
    require_new(folder)
    asked = _read(recipe)
    card = model.card
    if (asked.crop_um, asked.crop_px) != (card.crop_um, card.crop_px):
        raise DataError(
            f"{recipe}: crops of {asked.crop_um:g} um, {asked.crop_px} px",
            f"{card.name} wants {card.crop_um:g} um, {card.crop_px} px; name another --model",
        )
    places = [place for source in asked.sources for place in _places(source, card.classes)]
    found: dict[str, list[ReferenceCell]] = {}
    for (label, laboratory, path), verdict in judge(_crops(places, card.crop_px), engine, model):
        if verdict.label == label and verdict.features is not None:
            row = unit_features(verdict.features[None])[0]
            png = partial(_png, path, card.crop_px, min(1.0, _SHOWN_UM / card.crop_um))
            cell = ReferenceCell(path.stem, laboratory, "", verdict.scores[label], row, png)
            found.setdefault(label, []).append(cell)
    chosen = chosen_cells(found, count)
    if not chosen:
        raise DataError(
            f"{recipe}: no class has {FEWEST} cells that {card.name} calls as they are labelled",
            "see that the folders of its sources are there",
        )
    return write_cells(chosen, folder, credit_of(asked.data))


def credit_of(data: dict[str, str]) -> str:
    """What a card says of its data, in a line."""
    return "Reference cells of open data: {name} ({licence}; {source}).".format_map(data)


def _read(recipe: Path) -> _Recipe:
    try:
        asked = _Recipe(**tomllib.loads(recipe.read_text(encoding="utf-8")))
        credit_of(asked.data)
    except (OSError, ValueError, KeyError) as error:
        why = str(error).splitlines()[0]
        raise DataError(
            f"{recipe}: no recipe with sources and their credit: {why}",
            "write it as configs/training/white-cells.toml: sources, and data with name, licence "
            "and source",
        ) from error
    return asked


def _places(source: Source, classes: tuple[str, ...]) -> Iterator[_Place]:
    """Some files of each class in a source."""
    files: dict[str, list[Path]] = {}
    for path in source.paths():
        label = source.label_of(path)
        if label in classes:
            files.setdefault(label, []).append(path)
    for label, paths in files.items():
        for path in paths[:: -(-len(paths) // _TRIED)]:
            yield label, source.laboratory, path


def _crops(places: list[_Place], px: int) -> Iterator[tuple[_Place, np.ndarray]]:
    """Their crops; a file that is no image is left out."""
    for place in places:
        try:
            yield place, read_crop(place[2], px)
        except ValueError:
            continue


def _png(path: Path, px: int, share: float) -> bytes:
    """The middle of a crop."""
    edge = round(px * (1 - share) / 2)
    return encode(read_crop(path, px)[edge : px - edge, edge : px - edge], "PNG")
