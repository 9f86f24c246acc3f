"""What is looked at beside each other: a cell with reviewed ones that look like it and reference
cells of each class, two readers, the versions of a count; and the reason for a class in words.
"""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Response
from pydantic import BaseModel

from classify import CLASS_NAME
from stream.review.compare import SecondReading, second_readings
from stream.review.versions import CountVersion, versions_of

from .dependencies import REFUSALS, CellId, Having, RouteResponses, Shelf, Viewing
from .routes_read import cell_of

SOON = "private, max-age=300"  # another folder may be named
compare_router = APIRouter(prefix="/api", responses=REFUSALS)
_PNG: RouteResponses = {200: {"content": {"image/png": {}}, "description": "a picture"}}


class LookAlikeSays(BaseModel):
    """A reviewed cell of this store, what it was called and by whom; `distance` is 0 for the same
    and 1 for an unrelated one.
    """

    slide_id: str
    slide: str
    cell_id: str
    label: str
    by: str
    distance: float


class AtlasSays(BaseModel):
    """How many reference cells there are of each class, what they are (a line each), and of which
    classes a model has generated them.
    """

    classes: dict[str, int]
    credit: str
    generated: list[str]


class WordsSay(BaseModel):
    """Why a cell is called what it is called; empty where the model tells no attributes."""

    words: str


@compare_router.get("/slides/{slide_id}/cells/{cell_id}/like")
def look_alikes(
    shelf: Shelf,
    cell_id: CellId,
    parts: Having,
    count: Annotated[int, Query(ge=1, le=50)] = 10,
) -> list[LookAlikeSays]:
    """The reviewed cells of all slides that look most like a cell, nearest first."""
    found = parts.look_alikes.find(shelf, cell_of(shelf, cell_id), count)
    library = parts.library
    names = {one.slide_id for one in found}
    titles = {name: parts.board.name(name, library.outbox.facts(name)) for name in names}
    return [LookAlikeSays(**asdict(one), slide=titles[one.slide_id]) for one in found]


@compare_router.get("/slides/{slide_id}/cells/{cell_id}/words")
def words(shelf: Shelf, cell_id: CellId, parts: Having) -> WordsSay:
    """The reason for a cell's class in words: what of it is evidence for the class, and what is
    against the next one.
    """
    cell = cell_of(shelf, cell_id)
    scores = shelf.body(cell)["verdict"]["scores"]
    crop = parts.crops.pixels(shelf.slide_id, cell)
    return WordsSay(words=parts.reasons.words(cell_id, crop, scores))


@compare_router.get("/slides/{slide_id}/agreement")
def agreement_of_readers(shelf: Shelf) -> list[SecondReading]:
    """How far each second reader agrees with the first one."""
    with shelf.lock:
        return second_readings(shelf.scheme, shelf.standing)


@compare_router.get("/slides/{slide_id}/versions")
def versions_said(shelf: Shelf) -> list[CountVersion]:
    """All versions of the count, to be read side by side."""
    with shelf.lock:
        return versions_of(shelf)


@compare_router.get("/atlas")
def reference_cells(parts: Having, person: Viewing) -> AtlasSays:
    """Which classes have reference cells, and what the pictures are."""
    found = parts.atlas
    return AtlasSays(classes=found.classes(), credit=found.credit, generated=list(found.generated))


@compare_router.get("/atlas/{name}/{number}", response_class=Response, responses=_PNG)
def reference_cell(
    parts: Having,
    person: Viewing,
    name: Annotated[str, Path(pattern=f"^{CLASS_NAME}$", max_length=64)],
    number: Annotated[int, Path(ge=0, le=1000)],
) -> Response:
    """A reference cell of a class."""
    picture = parts.atlas.png(name, number)
    if picture is None:
        raise HTTPException(404, "no such reference cell")
    return Response(picture, media_type="image/png", headers={"Cache-Control": SOON})
