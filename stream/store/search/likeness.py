"""Cells of a store that look like a given one: by an index, and exactly where it has no slide."""

import heapq
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest import StoreError
from stream.store.places import store_paths
from stream.store.results import FEATURE_COLUMN
from stream.store.slide_store import SlideStore

from .likeness_index import IndexedCells, LikenessIndex

ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True, order=True)
class LikeCell:
    """A cell and its distance, 1 - the correlation of features: 0 is the same, 1 is unrelated."""

    distance: float
    slide_id: str
    cell_id: str
    label: str


def like_cells(
    store: Path,
    cell_id: str,
    count: int = 10,
    label: str = "",
    wanted_slides: Collection[str] | None = None,
) -> list[LikeCell]:
    """The `count` cells of a store most like the cell `cell_id`, nearest first, itself left out;
    of one class alone, where it is named, and of some slides, where they are.

    Raises:
        StoreError: no slide has the cell with its features.
    """
    wanted = unit_features(features_of_cell(store, cell_id)[None])[0]
    index = LikenessIndex(store)
    known = index.slides
    best = [
        (hit.distance, hit.slide_id, hit.cell_id, hit.label)
        for hit in index.nearest(wanted, count + 1, label, wanted_slides)
        if hit.cell_id != cell_id
    ]
    for one in slide_stores(store):
        slide_id = one.path.stem
        if slide_id in known or (wanted_slides is not None and slide_id not in wanted_slides):
            continue
        for found in nearest_in(one, wanted, count + 1, label):
            if found[1] != cell_id:
                best.append((found[0], slide_id, found[1], found[2]))
        best = heapq.nsmallest(count, best)
    return [LikeCell(*row) for row in heapq.nsmallest(count, best)]


def index_store(store: Path, finished: Collection[str]) -> int:
    """Adds finished slides to the index of a store that are not in it; returns how many cells it
    has. An index with a slide whose results were removed is made again without it.

    Raises:
        StoreError: the index cannot be read.
    """
    index = LikenessIndex(store)
    there = {path.stem for path in store_paths(store)}
    if set(index.slides) - there:
        index.remove()
    known = index.slides
    for one in slide_stores(store):
        if one.path.stem in known or one.path.stem not in finished:
            continue
        features = one.read(FEATURE_COLUMN)
        fit = np.isfinite(features).all(axis=1)
        names = list(one.facts["classes"])
        labels = [names[number] for number in one.read("label")[fit]]
        ids = one.read("cell_id")[fit]
        index.add(IndexedCells(one.path.stem, unit_features(features[fit]), ids, labels))
    return sum(index.slides.values())


def slide_stores(store: Path) -> Iterator[SlideStore]:
    """The slides of a store that have features."""
    for path in store_paths(store):
        one = SlideStore.open(path)
        if one.has(FEATURE_COLUMN) and one.rows:
            yield one


def features_of_cell(store: Path, cell_id: str) -> np.ndarray:
    """The features (F,) of a cell.

    Raises:
        StoreError: no slide has it with its features.
    """
    try:
        key = np.frombuffer(bytes.fromhex(cell_id), np.uint8)
    except ValueError:
        key = np.zeros(0, np.uint8)
    for one in slide_stores(store):
        ids = one.read("cell_id")
        if len(key) != ids.shape[1]:
            continue
        rows = np.flatnonzero((ids == key).all(axis=1))
        if len(rows):
            features: np.ndarray = one.read(FEATURE_COLUMN, rows[0], rows[0] + 1)[0]
            if np.isfinite(features).all():
                return features
    raise StoreError(
        f"{store}: no cell {cell_id} with features",
        "take an id from its events or exports; slides of older versions have no features",
    )


def nearest_in(
    one: SlideStore, wanted: np.ndarray, count: int, label: str = ""
) -> list[tuple[float, str, str]]:
    """Distance, id and label of the cells of a slide nearest to unit features (F,)."""
    names = list(one.facts["classes"])
    labels = one.read("label")
    distance = np.full(len(labels), np.inf, np.float32)
    for start in range(0, len(labels), ROWS_AT_ONCE):
        rows = one.read(FEATURE_COLUMN, start, start + ROWS_AT_ONCE)
        distance[start : start + len(rows)] = 1 - unit_features(rows) @ wanted
    distance[~np.isfinite(distance)] = np.inf
    if label:
        distance[labels != (names.index(label) if label in names else -1)] = np.inf
    nearest = np.argsort(distance, kind="stable")[:count]
    ids = one.read("cell_id")
    return [
        (float(distance[row]), ids[row].tobytes().hex(), names[labels[row]])
        for row in nearest
        if np.isfinite(distance[row])
    ]


def unit_features(features: np.ndarray) -> np.ndarray:
    """Features (n, F) less each cell's mean, at length 1."""
    whole = features.astype(np.float32)
    whole = whole - whole.mean(axis=1, keepdims=True)
    found: np.ndarray = whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-6)
    return found
