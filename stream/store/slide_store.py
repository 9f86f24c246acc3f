"""The results of one slide as a zarr v3 store: one row a cell, one writer."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from zarr.errors import GroupNotFoundError

from ingest import StoreError

from .ome_images import IMAGE_AXES, LABEL_AXES, mark_image, mark_labels
from .places import StorePlace, open_group, patiently, reading

CHUNK_ROWS = 64
# of a file, which holds many chunks: a slide of 10,000 cells is under 100 files. A chunk that is
# added rewrites the file that it is in, so that a file of crops is not larger than so much
SHARD_BYTES = 24 << 20
MOST_SHARD_ROWS = 16_384
IMAGE_COLUMN = "crop"  # pixels (n, h, w, c) in this program, (n, c, h, w) in the store
LARGE_COLUMNS = ("crop", "labels/cell/0", "features")
OBJECT_ROWS = 1024  # of pixels and features an object of a bucket
SMALL_OBJECT_ROWS = 1 << 16  # of the other columns, which are few bytes a row


class SlideStore:
    """Columns of equal length, first axis the cell. Rows are written from a known row on, each
    chunk's file put in place whole, so that a killed writer leaves every earlier row, and the same
    rows written again are the same.
    """

    def __init__(self, path: StorePlace, group: zarr.Group):
        self.path = path
        self.group = group

    @classmethod
    def create(cls, path: StorePlace, facts: Mapping[str, Any]) -> "SlideStore":
        """A new or existing store; `facts` is its provenance (JSON values).

        Raises:
            StoreError: the folder cannot be written, or is something else.
        """

        def begun() -> zarr.Group:
            group = open_group(path, "a")
            group.attrs.update(json.loads(json.dumps(facts)))
            return group

        try:
            return cls(path, patiently(path, begun))
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written: {error}", "free some space or choose another --store"
            ) from error

    @classmethod
    def open(cls, path: StorePlace) -> "SlideStore":
        """An existing store, to read.

        Raises:
            StoreError: there is none.
        """
        try:
            return cls(path, reading(path, lambda: open_group(path, "r")))
        except (OSError, GroupNotFoundError) as error:
            raise StoreError(
                f"{path}: no results here", "run `cytostream run SLIDE --store DIR` first"
            ) from error

    @classmethod
    def open_to_change(cls, path: StorePlace) -> "SlideStore":
        """An existing store, to take columns out of it.

        Raises:
            StoreError: there is none, or it cannot be written.
        """
        try:
            return cls(path, patiently(path, lambda: open_group(path, "r+")))
        except (OSError, GroupNotFoundError) as error:
            raise StoreError(f"{path}: cannot be changed: {error}", "check --store") from error

    def drop(self, names: Sequence[str]) -> None:
        """Removes columns, or groups of them; those that are not there are left out.

        Raises:
            StoreError: the folder cannot be written.
        """
        try:
            for name in names:
                if name in self.group:
                    patiently(self.path, partial(self.group.__delitem__, name))
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}", "check its rights") from error

    @property
    def facts(self) -> dict[str, Any]:
        return dict(self.group.attrs)

    @property
    def rows(self) -> int:
        return min((array.shape[0] for _, array in self.group.arrays()), default=0)

    def write(self, row: int, columns: Mapping[str, np.ndarray]) -> None:
        """Write rows [row, row + n), the last ones then; whole chunks cost least.

        Raises:
            StoreError: the disk is full or the folder gone.
        """
        try:
            for name, given in columns.items():
                values = self._as_stored(name, given)
                patiently(self.path, partial(self._write_column, row, name, values))
        except OSError as error:
            hint = "free some space, then the same command goes on"
            raise StoreError(f"{self.path}: cannot be written: {error}", hint) from error

    def _write_column(self, row: int, name: str, values: np.ndarray) -> None:
        array = self.column(name, values)
        array.resize((row + len(values), *values.shape[1:]))
        array[row:] = values

    @property
    def block_rows(self) -> int:
        """How many rows are best written at a time: a chunk's file, or an object of a bucket."""
        return CHUNK_ROWS if isinstance(self.path, Path) else OBJECT_ROWS

    def column(self, name: str, values: np.ndarray) -> zarr.Array[Any]:
        if name in self.group:
            return self._array(name)
        return self.group.create_array(
            name,
            shape=(0, *values.shape[1:]),
            chunks=(CHUNK_ROWS, *values.shape[1:]),
            shards=self._shard(name, values),
            dtype=values.dtype,
            dimension_names=_axes_of(name),
        )

    def _shard(self, name: str, values: np.ndarray) -> tuple[int, ...]:
        """The rows that share a file or object: in a bucket, many small ones are slow and dear."""
        if isinstance(self.path, Path):
            return (shard_rows(values[:1].nbytes), *values.shape[1:])
        return (OBJECT_ROWS if name in LARGE_COLUMNS else SMALL_OBJECT_ROWS, *values.shape[1:])

    def _as_stored(self, name: str, values: np.ndarray) -> np.ndarray:
        """Values in the order of the axes of their array; a store of an earlier version has the
        pixels of crops as they are here.
        """
        if name != IMAGE_COLUMN or not self._has_image_axes():
            return values
        return np.moveaxis(values, -1, 1)

    def _has_image_axes(self) -> bool:
        """Whether crops are kept as OME-NGFF has images; so where there are none yet."""
        if IMAGE_COLUMN not in self.group:
            return True
        kept = self._array(IMAGE_COLUMN).metadata
        return getattr(kept, "dimension_names", None) == IMAGE_AXES

    def has(self, name: str) -> bool:
        """Whether there is a column of this name."""
        return name in self.group

    def put(self, name: str, values: np.ndarray) -> None:
        """A whole array, beside the rows.

        Raises:
            StoreError: the disk is full or the folder gone.
        """
        try:
            is_images = values.ndim > 2 and len(values) > 0
            image_by_image: tuple[int, ...] = (1, *values.shape[1:])
            chunks: tuple[int, ...] | Literal["auto"] = image_by_image if is_images else "auto"
            make = partial(
                self.group.create_array,
                name,
                data=values,
                chunks=chunks,
                shards=values.shape if is_images else None,
                dimension_names=_axes_of(name),
            )
            patiently(self.path, partial(make, overwrite=True))
        except OSError as error:
            hint = "free some space, then the same command goes on"
            raise StoreError(f"{self.path}: cannot be written: {error}", hint) from error

    def mark_labels(
        self, name: str, mpp: float, values: Sequence[str] = (), source: str = ""
    ) -> None:
        """Say what the label images `labels/NAME/0` are; see `ome_images.mark_labels`."""
        patiently(self.path, lambda: mark_labels(self.group, name, mpp, values, source))

    def mark_image(self, mpp: float) -> None:
        """Say what the crops are, at `mpp` um/px; nothing in a store of an earlier version."""
        if IMAGE_COLUMN in self.group and self._has_image_axes():
            patiently(self.path, lambda: mark_image(self.group, IMAGE_COLUMN, mpp))

    def read(self, name: str, first: int = 0, end: int | None = None) -> np.ndarray:
        """Rows [first, end) of a column; all without them."""
        values = reading(self.path, lambda: np.asarray(self._array(name)[first:end]))
        if name == IMAGE_COLUMN and self._has_image_axes():
            return np.ascontiguousarray(np.moveaxis(values, 1, -1))
        return values

    def _array(self, name: str) -> zarr.Array[Any]:
        found = self.group[name]
        if not isinstance(found, zarr.Array):
            raise StoreError(f"{self.path}: {name} is no column", "restore the store's folder")
        return found


def shard_rows(row_bytes: int) -> int:
    """Rows of a file of a column whose rows have so many bytes: whole chunks."""
    rows = min(MOST_SHARD_ROWS, SHARD_BYTES // max(1, row_bytes))
    return max(1, rows // CHUNK_ROWS) * CHUNK_ROWS


def _axes_of(name: str) -> tuple[str, ...] | None:
    """The names of an array's dimensions, where OME-NGFF demands them."""
    if name == IMAGE_COLUMN:
        return IMAGE_AXES
    return LABEL_AXES if name.startswith("labels/") else None
