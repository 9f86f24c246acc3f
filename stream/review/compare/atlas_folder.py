"""A folder of reference cells, CLASS/CELL.png with their credit, as `review.atlas` names it."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest import StoreError
from stream.review.images import CREDIT_FILE

FEWEST = 3  # of a class; with fewer the shipped likenesses are shown


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceCell:
    """A cell that may stand for its class: `origin` is the slide or laboratory it is of, `by` who
    vouches for its class, `sureness` the model's; its features (F,) are of length 1, or not
    numbers. `png` makes its picture.
    """

    name: str
    origin: str
    by: str
    sureness: float
    features: np.ndarray
    png: Callable[[], bytes]


def require_new(folder: Path) -> None:
    """Raises:
    StoreError: the folder has files.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StoreError(f"{folder}: has files", "name a new folder")


def chosen_cells(
    cells: Mapping[str, Sequence[ReferenceCell]], count: int
) -> dict[str, list[ReferenceCell]]:
    """So many typical cells of each class; classes with too few are left out."""
    chosen = {name: typical(of_class, count) for name, of_class in sorted(cells.items())}
    return {name: found for name, found in chosen.items() if len(found) >= FEWEST}


def write_cells(
    chosen: Mapping[str, Sequence[ReferenceCell]], folder: Path, credit: str
) -> dict[str, int]:
    """Writes the cells and the credit; how many of each class."""
    for name, cells in chosen.items():
        (folder / name).mkdir(parents=True)
        for place, one in enumerate(cells):
            (folder / name / f"{place:02}-{one.name}.png").write_bytes(one.png())
    (folder / CREDIT_FILE).write_text(f"{credit}\n", encoding="utf-8")
    return {name: len(cells) for name, cells in chosen.items()}


def typical(cells: Sequence[ReferenceCell], count: int) -> list[ReferenceCell]:
    """The cells nearest to the middle of their class, in turn of each origin."""
    widths = [len(one.features) for one in cells if np.isfinite(one.features).all()]
    width = max(set(widths), key=widths.count, default=0)
    known = [one for one in cells if len(one.features) == width and np.isfinite(one.features).all()]
    middle = np.median([one.features for one in known], axis=0) if known else np.zeros(0)
    distances = {id(one): float(np.linalg.norm(one.features - middle)) for one in known}
    ranks: dict[str, int] = defaultdict(int)
    ordered: list[tuple[int, int, ReferenceCell]] = []
    for one in sorted(cells, key=lambda each: (distances.get(id(each), np.inf), -each.sureness)):
        ordered.append((ranks[one.origin], len(ordered), one))
        ranks[one.origin] += 1
    return [one for _, _, one in sorted(ordered, key=lambda each: each[:2])][:count]
