"""The kinds of cells that are found. One more is a function that finds it, its test, and a line
here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .grid import Grid
from .platelets import find_platelets
from .red_cells import find_reds
from .region import Blob
from .stain import Stain
from .white_cells import find_whites


@dataclass(frozen=True)
class StainSignals:
    """How strongly each square of the work lattice is stained, (height, width) float32 images,
    computed when a kind asks for them.
    """

    grid: Grid
    stain: Stain

    @cached_property
    def white(self) -> np.ndarray:
        """Nuclear stain."""
        return self.stain.white(self.grid.sums, self.grid.share)

    @cached_property
    def stained(self) -> np.ndarray:
        """Any stain."""
        return self.stain.stained(self.grid.sums, self.grid.share)

    @cached_property
    def red(self) -> np.ndarray:
        """Haemoglobin."""
        return self.stain.red(self.grid.sums, self.grid.share)

    @cached_property
    def _whites(self) -> tuple[list[Blob], np.ndarray]:
        return find_whites(self.white, self.grid, self.stain)

    @property
    def white_cells(self) -> list[Blob]:
        """The white cells."""
        return list(self._whites[0])

    @property
    def taken(self) -> np.ndarray:
        """Squares (height, width) bool that belong to white cells."""
        return self._whites[1]


@dataclass(frozen=True, slots=True)
class CellKind:
    """A kind of cell. Of two objects with one centre that of the higher `priority` stays. The place
    in `CELL_KINDS` is the code in stores: a new kind comes last.
    """

    name: str
    priority: int
    find: Callable[[StainSignals], list[Blob]]


def _platelets(signals: StainSignals) -> list[Blob]:
    found = find_platelets(
        signals.white, signals.stained, signals.taken, signals.grid, signals.stain
    )
    return list(found)


def _red_cells(signals: StainSignals) -> list[Blob]:
    return list(find_reds(signals.red, signals.taken, signals.grid, signals.stain))


CELL_KINDS: tuple[CellKind, ...] = (
    CellKind("wbc", 2, lambda signals: signals.white_cells),
    CellKind("platelet", 1, _platelets),
    CellKind("rbc", 0, _red_cells),
)
KIND_NAMES = tuple(kind.name for kind in CELL_KINDS)


def find_kinds(signals: StainSignals, wanted: Sequence[str]) -> list[Blob]:
    """The objects of the wanted kinds, those of a lower priority first, then the smaller ones."""
    found = [
        (kind.priority, blob)
        for kind in CELL_KINDS
        if kind.name in wanted
        for blob in kind.find(signals)
    ]
    return [blob for _, blob in sorted(found, key=lambda pair: (pair[0], pair[1].count))]
