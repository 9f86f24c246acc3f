"""Reference cells of the laboratory's own stain: typical ones of each class, of slides that it has
signed.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from classify import UNIDENTIFIED
from ingest import StoreError
from stream.review.detections import Detection
from stream.review.review_state import Signature
from stream.review.slides import SlideLibrary, SlideView
from stream.store import unit_features

_LAST_SLIDES = 200
_FEWEST = 3  # of a class; with fewer the shipped likenesses are shown


@dataclass(frozen=True, slots=True, eq=False)
class SignedCell:
    """A cell that a person has decided on and a signature holds; `features` (F,) are of length 1,
    or not numbers.
    """

    slide_id: str
    cell: Detection
    label: str
    signed_by: str
    features: np.ndarray


def write_atlas(
    library: SlideLibrary, picture: Callable[[str, Detection], bytes], folder: Path, count: int
) -> dict[str, int]:
    """Writes `count` typical cells of each class as CLASS/CELL.png with CREDIT.txt, for
    `review.atlas`; how many of each. `picture` gives a cell as PNG. No slide or patient is named.

    Raises:
        StoreError: no class has enough signed cells, or the folder has files.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StoreError(f"{folder}: has files", "name a new folder")
    chosen = {name: typical(cells, count) for name, cells in signed_cells(library).items()}
    chosen = {name: cells for name, cells in sorted(chosen.items()) if len(cells) >= _FEWEST}
    if not chosen:
        raise StoreError(
            f"{library.store}: no class has {_FEWEST} signed cells that a person decided on",
            "confirm or rename cells on the page, and sign",
        )
    for name, cells in chosen.items():
        (folder / name).mkdir(parents=True)
        for place, one in enumerate(cells):
            path = folder / name / f"{place:02}-{one.cell.cell_id}.png"
            path.write_bytes(picture(one.slide_id, one.cell))
    names = sorted({one.signed_by for cells in chosen.values() for one in cells})
    (folder / "CREDIT.txt").write_text(
        f"Cells of this laboratory, signed by {', '.join(names)}.\n", encoding="utf-8"
    )
    return {name: len(cells) for name, cells in chosen.items()}


def signed_cells(library: SlideLibrary) -> dict[str, list[SignedCell]]:
    """The cells of the slides signed last that a person has decided on, by what they are called.
    A slide that is being amended is left out.
    """
    shelves = [library.shelf(slide_id) for slide_id in library.outbox.slide_ids()]
    signed = [shelf for shelf in shelves if shelf.standing.locked]
    signed.sort(key=lambda shelf: shelf.standing.signatures[-1].at, reverse=True)
    found: dict[str, list[SignedCell]] = defaultdict(list)
    for shelf in signed[:_LAST_SLIDES]:
        for one in _cells_of(shelf):
            found[one.label].append(one)
    return found


def _cells_of(shelf: SlideView) -> list[SignedCell]:
    standing = shelf.standing_at(None)
    doubtful = {UNIDENTIFIED, *amended_away(standing.signatures)}
    labels = {cell_id: said.label for cell_id, said in standing.decisions.items()}
    cells = [
        c for c in shelf.cells(standing) if labels.get(c.cell_id, UNIDENTIFIED) not in doubtful
    ]
    kept = shelf.features(cells) if cells else None
    features = np.full((len(cells), 1), np.nan) if kept is None else unit_features(kept)
    by = standing.signatures[-1].by
    return [
        SignedCell(shelf.slide_id, cell, labels[cell.cell_id], by, row)
        for cell, row in zip(cells, features, strict=True)
    ]


def amended_away(signatures: Sequence[Signature]) -> set[str]:
    """The classes that a later version counts fewer cells of: they were in doubt on this slide."""
    pairs = zip(signatures, signatures[1:], strict=False)
    return {
        name
        for before, after in pairs
        for name, cells in before.counts.items()
        if after.counts.get(name, 0) < cells
    }


def typical(cells: Sequence[SignedCell], count: int) -> list[SignedCell]:
    """The cells nearest to the middle of their class, in turn of each slide."""
    widths = [len(one.features) for one in cells if np.isfinite(one.features).all()]
    width = max(set(widths), key=widths.count, default=0)
    known = [one for one in cells if len(one.features) == width and np.isfinite(one.features).all()]
    middle = np.median([one.features for one in known], axis=0) if known else np.zeros(0)
    distances = {id(one): float(np.linalg.norm(one.features - middle)) for one in known}
    ranks: dict[str, int] = defaultdict(int)
    ordered: list[tuple[int, int, SignedCell]] = []
    for one in sorted(
        cells, key=lambda each: (distances.get(id(each), np.inf), -each.cell.sureness)
    ):
        ordered.append((ranks[one.slide_id], len(ordered), one))
        ranks[one.slide_id] += 1
    return [one for _, _, one in sorted(ordered, key=lambda each: each[:2])][:count]
