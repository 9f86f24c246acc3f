"""What a store can teach: the cells that people called by a name, and other cells beside them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from classify import OTHER_CLASS, DataError, Model
from classify.teaching import PRIOR, Lesson, TaughtClass, review_order, teach_class

from .detections import Detection
from .review_state import Standing
from .slides import FINISHED, SlideLibrary, SlideView

GRAVEST_FIRST = "urgent", "warning", "notice"
MOST_NORMAL = 2000
ENOUGH_NORMAL = 200


@dataclass(frozen=True, slots=True, eq=False)
class TaughtCells:
    """Features (n, F) of cells, the digests of their pixels, and the slide of each."""

    features: np.ndarray
    digests: tuple[str, ...]
    slides: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownCell:
    """A cell of a slide, and whether a person has decided what it is."""

    cell: Detection
    is_of: bool
    is_decided: bool


def teach_from_store(
    library: SlideLibrary, model: Model, name: str, by: str, prior: float = PRIOR, note: str = ""
) -> TaughtClass:
    """A class from the cells of a store that people have called `name`, and as the rest the white
    cells that people called otherwise and those of slides without a cell of the class; where these
    are few, cells that nobody has looked at beside cells of the class, too. A slide counts as a
    patient.

    Raises:
        DataError: too few cells.
    """
    cells: list[KeptCell] = []
    normal: list[KeptCell] = []
    unseen: list[KeptCell] = []
    for shelf in judged_slides(library, model):
        if len(normal) >= MOST_NORMAL and not shelf.standing.decisions:
            break
        known = list(known_cells(shelf, name))
        has_class = any(one.is_of for one in known)
        cells += kept_cells(shelf, [one.cell for one in known if one.is_of])
        rest = [one for one in known if not one.is_of]
        sure = [one.cell for one in rest if one.is_decided or not has_class]
        normal += kept_cells(shelf, sure)
        unseen += kept_cells(shelf, [one.cell for one in rest if one.cell not in sure])
    if not cells:
        raise DataError(
            f"no cell with features is called {name} by a person",
            "rename some on the page; slides that another model has judged cannot teach this one",
        )
    added = unseen[:ENOUGH_NORMAL] if len(normal) < ENOUGH_NORMAL else []
    own = as_columns(cells)
    others = as_columns(
        [cell for cell in thinned([*normal, *added]) if cell.digest not in own.digests]
    )
    lesson = Lesson(own.features, others.features, own.slides, others.slides)
    digests = own.digests, others.digests
    taught = teach_class(model, name, lesson, digests, "slide", prior, by, note)
    if not added:
        return taught
    doubt = (
        f"{len(added)} of the other cells lie on slides with cells of the class, and nobody has "
        "looked at them: some may be of the class"
    )
    return taught.model_copy(update={"warnings": (*taught.warnings, doubt)})


def judged_slides(library: SlideLibrary, model: Model) -> Iterator[SlideView]:
    """The slides of a store that this model has judged, those that people have decided on first."""
    decided = dict.fromkeys(slide_id for slide_id, labels in decided_labels(library) if labels)
    for slide_id in {**decided, **dict.fromkeys(library.queries.slide_states())}:
        shelf = library.shelf(slide_id)
        if shelf.facts().get("model_id") == model.model_id:
            yield shelf


def known_cells(shelf: SlideView, name: str) -> Iterator[KnownCell]:
    """The white cells of a slide that are known to be of the class or not: those that a person has
    decided on, and the others as the machine found them.
    """
    for cell in (*shelf.found.cells, *shelf.marked(shelf.standing)):
        decision = shelf.standing.decisions.get(cell.cell_id)
        if decision and decision.how == "unidentified":
            continue
        if decision or (cell.kind == "wbc" and cell.label not in (OTHER_CLASS, name)):
            label = decision.label if decision else cell.label
            yield KnownCell(cell, label == name and decision is not None, decision is not None)


@dataclass(frozen=True, slots=True, eq=False)
class KeptCell:
    """A cell with features (F,)."""

    slide_id: str
    features: np.ndarray
    digest: str
    cell_id: str


def kept_cells(shelf: SlideView, cells: list[Detection]) -> list[KeptCell]:
    """Those of the cells whose features the store has."""
    features = shelf.features(cells) if cells else None
    if features is None:
        return []
    digests = shelf.crop_digests()
    return [
        KeptCell(shelf.slide_id, row, digests[cell.row], cell.cell_id)
        for cell, row in zip(cells, features, strict=True)
        if np.isfinite(row).all() and cell.row in digests
    ]


def thinned(cells: list[KeptCell], most: int = MOST_NORMAL) -> list[KeptCell]:
    """At most so many cells, always the same ones, of all slides alike: ids are digests."""
    return sorted(cells, key=lambda cell: cell.cell_id)[:most]


def as_columns(cells: list[KeptCell]) -> TaughtCells:
    """The cells as columns, each picture once."""
    once = {cell.digest: cell for cell in cells}
    features = [cell.features for cell in once.values()]
    return TaughtCells(
        np.array(features).reshape(len(features), -1),
        tuple(once),
        tuple(cell.slide_id for cell in once.values()),
    )


def cells_to_review(shelf: SlideView) -> list[str]:
    """Ids of cells that nobody has decided on, in the order in which a few looks teach most: those
    of open alerts, gravest first, and then each as unlike all before it as can be
    (`review_order`). Cells whose features the run has not stored are left out.
    """
    cells = shelf.found.cells
    decided = shelf.standing.decisions
    rows = {cell.cell_id: row for row, cell in enumerate(cells)}
    urgent_first = sorted(
        (one for one in shelf.told.alerts.values() if one.alert_id not in shelf.standing.seen),
        key=lambda one: (GRAVEST_FIRST.index(one.severity), -one.score),
    )
    named = [name for one in urgent_first for name in (one.cell_id, *one.cell_ids) if name]
    first = [rows[name] for name in named if name in rows and name not in decided]
    known = [row for row, cell in enumerate(cells) if cell.cell_id in decided]
    features = shelf.features(cells) if cells else None
    order = list(dict.fromkeys(first)) if features is None else review_order(features, first, known)
    return [cells[row].cell_id for row in order]


def marked_counts(library: SlideLibrary) -> dict[str, tuple[int, int]]:
    """By class: how many cells people have called so, and on how many slides."""
    cells: dict[str, int] = {}
    slides: dict[str, set[str]] = {}
    for review_slide, labels in decided_labels(library):
        for label in labels:
            cells[label] = cells.get(label, 0) + 1
            slides.setdefault(label, set()).add(review_slide)
    return {label: (count, len(slides[label])) for label, count in cells.items()}


def decided_labels(library: SlideLibrary) -> Iterator[tuple[str, list[str]]]:
    """The labels that people have given to cells, by slide."""
    by_slide: dict[str, Standing] = {}
    for review in library.trail.reviews():
        by_slide.setdefault(review.data.slide_id, Standing()).take(review)
    for slide_id, standing in by_slide.items():
        decisions = standing.decisions.values()
        yield slide_id, [decision.label for decision in decisions if decision.how != "unidentified"]


@dataclass(frozen=True, slots=True, eq=False)
class ReviewedCells:
    """Crops (n, h, w, 3) of cells, what people call them, and the slide of each."""

    crops: np.ndarray
    labels: tuple[str, ...]
    slides: tuple[str, ...]


def reviewed_cells(
    library: SlideLibrary, classes: Collection[str], per_class: int
) -> ReviewedCells:
    """Cells of finished slides that people have called by one of `classes`, at most so many of
    each, always the same ones.

    Raises:
        DataError: there is none.
    """
    found: dict[str, list[tuple[str, str, np.ndarray]]] = {}
    for slide_id, labels in decided_labels(library):
        shelf = library.shelf(slide_id)
        if not set(labels) & set(classes) or shelf.status() not in FINISHED:
            continue
        decisions = shelf.standing.decisions
        cells = [
            cell
            for cell in (*shelf.found.cells, *shelf.marked(shelf.standing))
            if cell.cell_id in decisions and decisions[cell.cell_id].label in classes
        ]
        for cell, crop in zip(cells, shelf.crops(cells), strict=True):
            one = cell.cell_id, slide_id, crop
            found.setdefault(decisions[cell.cell_id].label, []).append(one)
    rows = [
        (name, slide_id, crop)
        for name, members in found.items()
        for _, slide_id, crop in sorted(members, key=lambda member: member[0])[:per_class]
    ]
    if not rows:
        raise DataError(
            "no cell of a finished slide is reviewed", "confirm or rename some on the page"
        )
    return ReviewedCells(
        np.stack([crop for *_, crop in rows]),
        tuple(name for name, *_ in rows),
        tuple(slide_id for _, slide_id, _ in rows),
    )
