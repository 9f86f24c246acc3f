"""Reference cells of the laboratory's own stain: typical ones of each class, of slides that it has
signed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from classify import UNIDENTIFIED
from ingest import StoreError
from stream.review.detections import Detection
from stream.review.review_state import Signature
from stream.review.slides import SlideLibrary, SlideView
from stream.store import unit_features

from .atlas_folder import FEWEST, ReferenceCell, chosen_cells, require_new, write_cells

_LAST_SLIDES = 200
_Picture = Callable[[str, Detection], bytes]


def write_atlas(
    library: SlideLibrary, picture: _Picture, folder: Path, count: int
) -> dict[str, int]:
    """Writes `count` typical cells of each class as CLASS/CELL.png with CREDIT.txt, for
    `review.atlas`; how many of each. `picture` gives a cell as PNG. No slide or patient is named.

    Raises:
        StoreError: no class has enough signed cells, or the folder has files.
    """
    require_new(folder)
    chosen = chosen_cells(signed_cells(library, picture), count)
    if not chosen:
        raise StoreError(
            f"{library.store}: no class has {FEWEST} signed cells that a person decided on",
            "confirm or rename cells on the page, and sign",
        )
    names = sorted({one.by for cells in chosen.values() for one in cells})
    return write_cells(chosen, folder, f"Cells of this laboratory, signed by {', '.join(names)}.")


def signed_cells(library: SlideLibrary, picture: _Picture) -> dict[str, list[ReferenceCell]]:
    """The cells of the slides signed last that a person has decided on, by what they are called.
    A slide that is being amended is left out.
    """
    signed = sorted(
        (shelf.standing.signatures[-1].at, shelf.slide_id)
        for shelf in map(library.shelf, library.outbox.slide_ids())
        if shelf.standing.locked
    )
    found: dict[str, list[ReferenceCell]] = defaultdict(list)
    for _, slide_id in reversed(signed[-_LAST_SLIDES:]):
        for label, cell in _cells_of(library.shelf(slide_id), picture):
            found[label].append(cell)
    return found


def _cells_of(shelf: SlideView, picture: _Picture) -> Iterator[tuple[str, ReferenceCell]]:
    """Cells with what people call them."""
    standing = shelf.standing_at(None)
    doubtful = {UNIDENTIFIED, *amended_away(standing.signatures)}
    labels = {cell_id: said.label for cell_id, said in standing.decisions.items()}
    cells = [
        c for c in shelf.cells(standing) if labels.get(c.cell_id, UNIDENTIFIED) not in doubtful
    ]
    kept = shelf.features(cells) if cells else None
    features = np.full((len(cells), 1), np.nan) if kept is None else unit_features(kept)
    by = standing.signatures[-1].by
    for cell, row in zip(cells, features, strict=True):
        png = partial(picture, shelf.slide_id, cell)
        yield (
            labels[cell.cell_id],
            ReferenceCell(cell.cell_id, shelf.slide_id, by, cell.sureness, row, png),
        )


def amended_away(signatures: Sequence[Signature]) -> set[str]:
    """The classes that a later version counts fewer cells of: they were in doubt on this slide."""
    pairs = zip(signatures, signatures[1:], strict=False)
    return {
        name
        for before, after in pairs
        for name, cells in before.counts.items()
        if after.counts.get(name, 0) < cells
    }
