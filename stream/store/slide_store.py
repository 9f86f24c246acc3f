"""The results of one slide as a zarr v3 store: one row a cell, one writer."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from zarr.errors import GroupNotFoundError

from ingest import StoreError

from .ome_labels import mark_labels

CHUNK_ROWS = 64
SHARD_ROWS = 1024  # of columns with small rows, which would else be many small files
SHARDED = ("features",)


class SlideStore:
    """Columns of equal length, first axis the cell. Rows are written from a known row on, each
    chunk's file put in place whole, so that a killed writer leaves every earlier row, and the same
    rows written again are the same.
    """

    def __init__(self, path: Path, group: zarr.Group):
        self.path = path
        self.group = group

    @classmethod
    def create(cls, path: Path, facts: Mapping[str, Any]) -> "SlideStore":
        """A new or existing store; `facts` is its provenance (JSON values).

        Raises:
            StoreError: the folder cannot be written, or is something else.
        """
        try:
            group = zarr.open_group(path, mode="a", zarr_format=3)
            group.attrs.update(json.loads(json.dumps(facts)))
            return cls(path, group)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written: {error}", "free some space or choose another --store"
            ) from error

    @classmethod
    def open(cls, path: Path) -> "SlideStore":
        """An existing store, to read.

        Raises:
            StoreError: there is none.
        """
        try:
            return cls(path, zarr.open_group(path, mode="r", zarr_format=3))
        except (OSError, GroupNotFoundError) as error:
            raise StoreError(
                f"{path}: no results here", "run `cytostream run SLIDE --store DIR` first"
            ) from error

    @classmethod
    def open_to_change(cls, path: Path) -> "SlideStore":
        """An existing store, to take columns out of it.

        Raises:
            StoreError: there is none, or it cannot be written.
        """
        try:
            return cls(path, zarr.open_group(path, mode="r+", zarr_format=3))
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
                    del self.group[name]
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
            for name, values in columns.items():
                array = self.column(name, values)
                array.resize((row + len(values), *values.shape[1:]))
                array[row:] = values
        except OSError as error:
            hint = "free some space, then the same command goes on"
            raise StoreError(f"{self.path}: cannot be written: {error}", hint) from error

    def column(self, name: str, values: np.ndarray) -> zarr.Array[Any]:
        if name in self.group:
            return self._array(name)
        return self.group.create_array(
            name,
            shape=(0, *values.shape[1:]),
            chunks=(CHUNK_ROWS, *values.shape[1:]),
            shards=(SHARD_ROWS, *values.shape[1:]) if name in SHARDED else None,
            dtype=values.dtype,
        )

    def has(self, name: str) -> bool:
        """Whether there is a column of this name."""
        return name in self.group

    def put(self, name: str, values: np.ndarray) -> None:
        """A whole array, beside the rows.

        Raises:
            StoreError: the disk is full or the folder gone.
        """
        try:
            image_by_image: tuple[int, ...] = (1, *values.shape[1:])
            chunks: tuple[int, ...] | Literal["auto"] = (
                image_by_image if values.ndim > 2 else "auto"
            )
            self.group.create_array(name, data=values, chunks=chunks, overwrite=True)
        except OSError as error:
            hint = "free some space, then the same command goes on"
            raise StoreError(f"{self.path}: cannot be written: {error}", hint) from error

    def mark_labels(
        self, name: str, mpp: float, values: Sequence[str] = (), source: str = ""
    ) -> None:
        """Say what the label images `labels/NAME/0` are; see `labels.mark_labels`."""
        mark_labels(self.group, name, mpp, values, source)

    def read(self, name: str, first: int = 0, end: int | None = None) -> np.ndarray:
        """Rows [first, end) of a column; all without them."""
        return np.asarray(self._array(name)[first:end])

    def _array(self, name: str) -> zarr.Array[Any]:
        found = self.group[name]
        if not isinstance(found, zarr.Array):
            raise StoreError(f"{self.path}: {name} is no column", "restore the store's folder")
        return found
