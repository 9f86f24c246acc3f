"""Training cells of several laboratories: their folders, their labels, the colours that part them.
numpy alone.
"""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from classify.errors import DataError
from classify.image_folder import LabelledCrops, Source, read_crop
from classify.pixels import DENSITY, central, on_white


@dataclass(frozen=True, slots=True, eq=False)
class Attributes:
    """Names and values of morphology attributes, and the value numbers of each image name (WBCAtt,
    Tsutsui et al. 2023).
    """

    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    of_image: dict[str, np.ndarray] = field(default_factory=dict)


FIRST_ATTRIBUTE = "cell_size"
LAST_ATTRIBUTE = "granularity"


def read_attributes(table: Path) -> Attributes:
    """A table of one image a row, its name in `img_name`, attributes in the columns from cell_size
    to granularity.
    """
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0])
    names = columns[columns.index(FIRST_ATTRIBUTE) : columns.index(LAST_ATTRIBUTE) + 1]
    values = {name: tuple(sorted({row[name] for row in rows})) for name in names}
    numbers = {
        Path(row["img_name"]).stem: np.array([values[n].index(row[n]) for n in names])
        for row in rows
    }
    return Attributes(values, numbers)


def targets_of(
    labels: tuple[str, ...], taxonomy: dict[str, str], groups: dict[str, tuple[str, ...]]
) -> np.ndarray:
    """Which classes (L, K) a label allows: a class itself, all classes of a parent, or those of a
    group.

    Raises:
        DataError: a label is neither.
    """
    classes = tuple(taxonomy)
    of_parents = {
        parent: tuple(c for c in classes if taxonomy[c] == parent) for parent in taxonomy.values()
    }
    meant = of_parents | groups | {c: (c,) for c in classes}
    table = np.array([[c in meant.get(label, ()) for c in classes] for label in labels])
    if not table.any(axis=1).all():
        unknown = [label for label, row in zip(labels, table, strict=True) if not row.any()]
        raise DataError(
            f"no class or parent is called {', '.join(unknown)}", "name it in the taxonomy"
        )
    return table


def read_sources(
    sources: tuple[Source, ...],
    crop_px: int,
    white: bool,
    labels: tuple[str, ...],
    attributes: Attributes | None = None,
    held_out: bool = False,
) -> LabelledCrops:
    """All crops of all sources, or those held out of them; `labels` (classes and parents) number
    them.

    Raises:
        DataError: there is no readable image, or a label is not among `labels`.
    """
    images = []
    numbers = []
    paths = []
    skipped = {}
    laboratories = []
    values = []
    names = sorted({source.laboratory for source in sources})
    for source in sources:
        for path in source.paths(held_out):
            label = source.label_of(path)
            if label is None:
                continue
            if label not in labels:
                raise DataError(
                    f"{path}: {label} is no label of this training",
                    "map it to a class or parent in `labels`",
                )
            try:
                images.append(read_crop(path, crop_px))
            except ValueError as error:
                skipped[path] = str(error)
                continue
            numbers.append(labels.index(label))
            paths.append(path)
            laboratories.append(names.index(source.laboratory))
            if attributes:
                values.append(
                    attributes.of_image.get(path.stem, np.full(len(attributes.values), -1))
                )
    if not images:
        raise DataError("no readable image in any source", "name folders of images in `sources`")
    pixels = np.stack(images)
    if white:
        for part in np.array_split(np.arange(len(pixels)), max(1, len(pixels) // 256)):
            pixels[part] = on_white(pixels[part])
    return LabelledCrops(
        pixels,
        np.array(numbers),
        labels,
        tuple(paths),
        skipped,
        np.array(laboratories),
        np.stack(values) if attributes else None,
    )


def colour_maps(data: LabelledCrops, window_px: int, alike: tuple[str, ...]) -> np.ndarray:
    """Matrices (L, L, 3, 3) that lay laboratory j's colours on laboratory i's optical densities,
    [i, j].

    Each is the linear map of least movement (Monge and Kantorovich) between the second moments of
    the densities of the same
    kind of cell, so that stain and camera are carried over and cell type is not. Cells of the
    labels `alike` are used.
    """
    rng = np.random.default_rng(3)
    numbers = [i for i, label in enumerate(data.classes) if label in alike]
    moments = []
    laboratories = np.zeros(1, int) if data.laboratories is None else data.laboratories
    for laboratory in range(laboratories.max() + 1):
        here = np.flatnonzero((laboratories == laboratory) & np.isin(data.labels, numbers))
        chosen = rng.permutation(here)[:300]
        density = (
            DENSITY[central(data.images[chosen], window_px // 2)].reshape(-1, 3).astype(np.float64)
        )
        moments.append(density.T @ density / len(density))
    count = len(moments)
    return np.stack(
        [[least_movement(moments[i], moments[j]) for j in range(count)] for i in range(count)]
    ).astype(np.float32)


def root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    result: np.ndarray = (vectors * np.sqrt(np.maximum(values, 1e-9))) @ vectors.T
    return result


def least_movement(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The symmetric A with A here A = there."""
    half = root(here)
    inverse = np.linalg.inv(half)
    result: np.ndarray = inverse @ root(half @ there @ half) @ inverse
    return result
