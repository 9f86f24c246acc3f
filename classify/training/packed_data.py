"""The data of a recipe as one file, to be carried to another machine: numpy and Pillow alone."""

import io
import json
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from PIL import Image

from classify.errors import DataError
from classify.image_folder import image_paths

RECIPE_FILE = "recipe.json"
ATTRIBUTES = "attributes.csv"
VALIDATION = "val"
SMALL = ".webp"  # images of other kinds are kept as this
PACKED_QUALITY = 95
MOST_BYTES = 60 * 2**20


def pack_recipe(recipe: Path, out: Path) -> int:
    """Write a recipe (TOML) and every image that it names to one file; returns how many images.

    Raises:
        DataError: the recipe cannot be read or names no sources, or the file passes 60 MiB.
    """
    try:
        values = tomllib.loads(recipe.read_text())
        folders = {str(n): Path(s["folder"]) for n, s in enumerate(values["sources"])}
        folders[VALIDATION] = Path(values["val"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{recipe}: no recipe with sources: {error}", "see configs/training/white-cells.toml"
        ) from error
    part = out.with_name(out.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with ZipFile(part, "w", ZIP_STORED) as packed:
        for name, folder in folders.items():
            for path in image_paths(folder):
                inside = path.relative_to(folder).with_suffix(SMALL).as_posix()
                packed.writestr(f"{name}/{inside}", small_image(path))
                count += 1
        if table := values.pop("attributes", None):
            packed.write(table, ATTRIBUTES, ZIP_DEFLATED)
            values["attributes"] = ATTRIBUTES
        packed.writestr(RECIPE_FILE, json.dumps(_inside(values)))
    if part.stat().st_size > MOST_BYTES:
        raise DataError(
            f"{part}: {part.stat().st_size / 2**20:.0f} MiB, and 60 are the most",
            "leave a source out, or validate on fewer cells",
        )
    part.replace(out)
    return count


def unpack_data(packed: Path, folder: Path) -> dict[str, Any]:
    """The values of a recipe packed by `pack_data`, with its images under `folder`.

    Raises:
        DataError: it is no such file.
    """
    try:
        with ZipFile(packed) as archive:
            values = json.loads(archive.read(RECIPE_FILE))
            if not (folder / RECIPE_FILE).exists():
                archive.extractall(folder)  # refuses names that lead out of the folder
    except (OSError, BadZipFile, KeyError, ValueError) as error:
        raise DataError(
            f"{packed}: no packed data: {error}", "make it with `cytostream pack-data`"
        ) from error
    for source in values["sources"]:
        source["folder"] = folder / source["folder"]
    beside = {name: folder / values[name] for name in ("val", "attributes") if name in values}
    result: dict[str, Any] = values | beside
    return result


def small_image(path: Path) -> bytes:
    """An image file's bytes, as WebP where it is of another kind."""
    if path.suffix.lower() == SMALL:
        return path.read_bytes()
    file = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(file, "WEBP", quality=PACKED_QUALITY)
    return file.getvalue()


def _inside(values: dict[str, Any]) -> dict[str, Any]:
    """The recipe with the folders of the packed file."""
    sources = [s | {"folder": str(n)} for n, s in enumerate(values["sources"])]
    return values | {"sources": sources, "val": VALIDATION}
