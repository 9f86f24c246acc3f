"""Whether a calibration is better: labelled cells of a laboratory, half of them to calibrate on and
half to measure on, before and after.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from classify.engines import Engine
from classify.errors import DataError
from classify.judge import judge
from classify.model_card import Model

from .laboratory import LabCells

LEAST_HELD_OUT = 20


@dataclass(frozen=True, slots=True, eq=False)
class SplitCells:
    """Cells to calibrate on, and others to measure on."""

    fitted: LabCells
    held_out: LabCells


@dataclass(frozen=True, slots=True)
class CalibrationGain:
    """Accuracy on held-out cells before and after, by classes of the classical differential, each
    class weighing the same; and how many cells that rests on.
    """

    before: float
    after: float
    cells: int

    @property
    def is_better(self) -> bool:
        return self.after > self.before


def split_cells(cells: LabCells, groups: Sequence[str], seed: int = 0) -> SplitCells:
    """Labelled cells in two halves of every class; a group (a slide or patient) lies in one of them
    where there are enough groups, else cells are drawn by chance.

    Raises:
        DataError: too few cells to hold some out.
    """
    labels = np.array(cells.labels)
    rng = np.random.default_rng(seed)
    held_out = by_groups(labels, np.array(groups), rng)
    if held_out is None:
        held_out = np.zeros(len(labels), bool)
        for name in np.unique(labels):
            members = rng.permutation(np.flatnonzero(labels == name))
            held_out[members[: len(members) // 2]] = True
    if held_out.sum() < LEAST_HELD_OUT:
        raise DataError(
            f"{held_out.sum()} cells can be held out: too few to say whether it is better",
            f"review {2 * LEAST_HELD_OUT} or more, of every class",
        )
    return SplitCells(part_of(cells, ~held_out), part_of(cells, held_out))


def by_groups(
    labels: np.ndarray, groups: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """Which cells are held out (n,) where whole groups are: the first of some random halves that
    has every class on both sides; None where there is none.
    """
    names = np.unique(groups)
    for _ in range(20):
        chosen = rng.permutation(names)[: len(names) // 2]
        held_out: np.ndarray = np.isin(groups, chosen)
        sides = [set(labels[held_out]), set(labels[~held_out])]
        if sides[0] == sides[1]:
            return held_out
    return None


def part_of(cells: LabCells, chosen: np.ndarray) -> LabCells:
    names = [name for name, is_chosen in zip(cells.labels, chosen, strict=True) if is_chosen]
    return LabCells(cells.crops[chosen], tuple(names))


def balanced_share(model: Model, engine: Engine, cells: LabCells) -> float:
    """Mean over the parents of the share of their cells that get the right parent."""
    wanted = np.array([model.card.parent_of(name) for name in cells.labels])
    found = np.empty(len(wanted), object)
    for place, verdict in judge(enumerate(cells.crops), engine, model):
        found[place] = verdict.parent
    right = found == wanted
    return float(np.mean([right[wanted == name].mean() for name in np.unique(wanted)]))
