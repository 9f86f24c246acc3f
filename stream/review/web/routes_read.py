"""What a page reads: the worklist, a slide and its cells, one cell, pictures, what is new."""

import logging
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, StringConstraints

from ingest import VIEW_PX, CytostreamError, Slide
from stream.events import JsonObject
from stream.identity import is_sufficient
from stream.review.detections import Detection
from stream.review.images import CheckedSlide, FileStanding
from stream.review.seen_area import ENOUGH_UM, SeenGrid
from stream.review.slides import SlideView, reason_says
from stream.review.store_lessons import cells_to_review
from stream.review.worklist import Waiting, WorklistRow

from . import responses as says
from .accounts import Person
from .auth import HEADER, DoorError
from .dependencies import CHANGES, REFUSALS, CellId, Having, Parts, RouteResponses, Shelf, Viewing

_PAGE = 4000
SHOWN_FACTS = ("model_id", "config_id", "mpp", "at", "calibration")
HISTORY = {"action", "reviewer", "label", "was", "comment", "version", "number"}
# a cell's picture never changes: its id is a function of the slide's content
LATER = "private, max-age=31536000, immutable"
_log = logging.getLogger(__name__)
read_router = APIRouter(prefix="/api", responses=REFUSALS)
_JPEG: RouteResponses = {200: {"content": {"image/jpeg": {}}, "description": "a picture"}}


class Me(BaseModel):
    name: str
    role: str
    mode: str
    csrf: str
    header: str = HEADER


class Worklist(BaseModel):
    slides: list[WorklistRow]
    waiting: list[Waiting]
    refused_files: list[JsonObject]


@read_router.get("/me")
def me(request: Request, response: Response, person: Viewing, parts: Having) -> Me:
    """Who is asking, and the stamp that every change must carry."""
    token = parts.doors.anonymous(request, response)
    return Me(
        name=person.name,
        role=person.role,
        mode=parts.doors.mode,
        csrf=parts.doors.accounts.stamp(token),
    )


@read_router.get("/slides")
def worklist(
    parts: Having,
    person: Viewing,
    search: Annotated[
        str, Query(max_length=200, description="part of a name, a code or a patient")
    ] = "",
) -> Worklist:
    """All slides, the latest first, and files that were no slide; with `search` the slides that
    fit it.
    """
    if search.strip():
        return Worklist(slides=parts.board.found(search), waiting=[], refused_files=[])
    refused = list(parts.library.files_refused())
    return Worklist(slides=parts.board.rows(), waiting=parts.board.waiting(), refused_files=refused)


@read_router.get("/live", include_in_schema=False)
async def live(request: Request, parts: Having, person: Viewing) -> StreamingResponse:
    """Server-sent events: rows of slides that changed, as they change; they end with the
    session.
    """
    if parts.hub.listening(person.name) >= parts.config.review.streams:
        raise HTTPException(429, "too many pages are open: close one", {"Retry-After": "15"})
    messages = parts.hub.listen(person.name, lambda: is_still(parts, request, person))
    return StreamingResponse(
        messages, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


def is_still(parts: Parts, request: Request, person: Person) -> bool:
    """Whether a request would be answered now as it was when it came."""
    try:
        return parts.doors.person(request) == person
    except (DoorError, CytostreamError):
        return False


@read_router.get("/slides/{slide_id}")
def slide_facts(shelf: Shelf, parts: Having, person: Viewing) -> says.SlideSays:
    """What does not change while the slide is looked at."""
    facts = shelf.facts()
    chosen = parts.doors.accounts.preferences(person.name)
    provenance = {k: v for k, v in facts.items() if k in SHOWN_FACTS}
    provenance["reason"] = reason_says(facts)
    provenance["scanner"] = facts.get("slide", {}).get("scanner")
    return says.SlideSays(
        slide_id=shelf.slide_id,
        name=parts.board.name(shelf.slide_id, facts),
        other_names=parts.board.other_names(shelf, facts),
        classes=says.classes_say(shelf, chosen.keys),
        goal=chosen.goal,
        own_keys=chosen.keys,
        model_classes=list(shelf.classes),
        view=view_of(shelf, parts),
        provenance=provenance,
        reasons=parts.reasons.offered,
        shows_identity=parts.config.identity.shown,
    )


def view_of(shelf: SlideView, parts: Parts) -> says.ViewSays:
    slide = shelf.slide()
    if slide is None:
        return says.ViewSays(
            available=False, width_px0=0, height_px0=0, mpp=0, levels=0, tile_px=VIEW_PX
        )
    size = {"width_px0": slide.width_px0, "height_px0": slide.height_px0, "mpp": slide.mpp}
    standing = file_standing(shelf, parts)
    return says.ViewSays(
        available=standing == "there",
        changed=standing == "changed",
        levels=parts.viewer.levels(slide),
        tile_px=VIEW_PX,
        **size,
    )


def file_standing(shelf: SlideView, parts: Parts) -> FileStanding:
    """How the file of a slide compares with the one that was read."""
    slide = shelf.slide()
    return parts.viewer.check.find(slide, shelf.names()).standing if slide else "gone"


def shown_slide(shelf: SlideView, parts: Parts) -> Slide:
    """The slide with the file that was read.

    Raises:
        HTTPException: 404 where it is gone, or another file has its name.
    """
    slide = shelf.slide()
    found = parts.viewer.check.find(slide, shelf.names()) if slide else CheckedSlide("gone")
    if found.slide is None:
        gone = "the slide is no longer where it was read"
        changed = "the file has changed since the slide was read"
        raise HTTPException(404, changed if found.standing == "changed" else gone)
    return found.slide


@read_router.get("/slides/{slide_id}/changes")
def changes(
    shelf: Shelf,
    parts: Having,
    person: Viewing,
    row: Annotated[
        int, Query(ge=0, le=2**53, description="last row of the journal that the page has")
    ] = 0,
    number: Annotated[
        int, Query(ge=0, le=2**53, description="last entry of the trail that the page has")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = _PAGE,
) -> says.Changes:
    """What lies beyond what the page has."""
    return changes_of(shelf, parts, person.name, row, number, limit)


def changes_of(
    shelf: SlideView, parts: Parts, by: str, row: int, number: int, limit: int = _PAGE
) -> says.Changes:
    places = {name: place for place, name in enumerate(shelf.scheme.names)}
    with shelf.lock:
        cells = shelf.found.after(row, limit)
        is_new = number < shelf.standing.number
        reviews = list(parts.library.trail.reviews(shelf.slide_id, number)) if is_new else []
        marked = [one for one in shelf.marked(shelf.standing) if -one.row > number]
        touched = dict.fromkeys(r.data.cell_id for r in reviews if r.data.cell_id)
        lines, totals, white = says.lines_say(shelf, shelf.standing)
        return says.Changes(
            cells=[says.cell_row(cell, places) for cell in (*cells, *marked)],
            unmarked=[cell_id for cell_id in touched if shelf.cell(cell_id) is None],
            more=bool(cells) and cells[-1].row < shelf.found.last_row,
            decisions=says.decisions_since(shelf, touched),
            standing=says.standing_says(shelf, by),
            alerts=says.alerts_say(shelf, shelf.standing),
            failures=shelf.told.failures,
            differential=lines,
            totals=totals,
            white_cells=white,
            row=parts.board.row(shelf.slide_id),
        )


@read_router.get("/slides/{slide_id}/review-order")
def what_to_review(shelf: Shelf) -> list[str]:
    """Ids of cells that nobody has decided on, those first from which a few looks teach most."""
    with shelf.lock:
        return cells_to_review(shelf)


@read_router.get("/slides/{slide_id}/before-signing")
def before_signing(shelf: Shelf, parts: Having, person: Viewing) -> says.BeforeSigning:
    """How much of the count people have verified, and what prevents a signature now."""
    with shelf.lock:
        said = says.signing_says(shelf, parts.config.review)
        found = shelf.specimen(shelf.standing)
        unsettled = is_sufficient(found, parts.config.identity.demand)
        shown = parts.config.identity.shown
        return said.model_copy(
            update={
                "missing": unsettled or said.missing,
                "identity": found.identity.known() if shown else {},
                "identity_digest": parts.library.identity_digest(shelf.slide_id, found.identity),
                "seen_share": seen_share(shelf, parts, person),
            }
        )


def seen_grid(shelf: SlideView) -> SeenGrid | None:
    """The squares of a slide, seen or not; None where its size is not known."""
    slide = shelf.slide()
    return SeenGrid.of(slide.width_px0, slide.height_px0) if slide else None


def seen_share(shelf: SlideView, parts: Parts, person: Person) -> float | None:
    grid = seen_grid(shelf)
    if grid is None:
        return None
    return grid.share(parts.doors.accounts.seen(person.name, shelf.slide_id, grid))


class SeenSquares(BaseModel):
    """Squares of the slide that were on the screen: a bit each, row by row, in base64."""

    model_config = ConfigDict(extra="forbid")

    squares: Annotated[str, StringConstraints(max_length=50_000, pattern=r"^[A-Za-z0-9+/=]*$")]


class SeenSays(BaseModel):
    """What a person has seen of a slide; a square counts once a pixel of the screen shows at most
    `enough_um` of it.
    """

    side_px0: int
    columns: int
    rows: int
    squares: str
    share: float
    enough_um: float = ENOUGH_UM


@read_router.get("/slides/{slide_id}/seen")
def seen(shelf: Shelf, parts: Having, person: Viewing) -> SeenSays:
    """What this person has seen of the slide."""
    return seen_says(shelf, parts, person, "")


@read_router.post("/slides/{slide_id}/seen", responses=CHANGES)
def see(shelf: Shelf, wish: SeenSquares, parts: Having, person: Viewing) -> SeenSays:
    """Adds to what this person has seen of the slide."""
    return seen_says(shelf, parts, person, wish.squares)


def seen_says(shelf: SlideView, parts: Parts, person: Person, added: str) -> SeenSays:
    grid = seen_grid(shelf)
    if grid is None:
        raise HTTPException(404, "the slide is no longer where it was read")
    accounts = parts.doors.accounts
    about = person.name, shelf.slide_id, grid
    try:
        squares = accounts.see(*about, added) if added else accounts.seen(*about)
    except ValueError as error:
        raise HTTPException(400, "these are not the squares of this slide") from error
    return SeenSays(**asdict(grid), squares=squares, share=grid.share(squares))


class CellSays(BaseModel):
    """Everything of one cell."""

    cell: JsonObject
    verdict: JsonObject
    decision: says.DecisionSays | None
    history: list[JsonObject]
    provenance: JsonObject


def cell_of(shelf: SlideView, cell_id: str) -> Detection:
    found = shelf.white_cell(cell_id)
    if found is None:
        raise HTTPException(404, "no such cell on this slide")
    return found


@read_router.get("/slides/{slide_id}/cells/{cell_id}")
def cell(shelf: Shelf, cell_id: CellId) -> CellSays:
    """Probabilities, anomaly, place, history and provenance of a cell."""
    found = cell_of(shelf, cell_id)
    body = shelf.body(found)
    facts = shelf.facts()
    history = [
        {"at": r.at.isoformat(), **r.data.model_dump(include=HISTORY)}
        for r in tuple(shelf.entries.get(cell_id, ()))
    ]
    return CellSays(
        cell=body["cell"],
        verdict=body["verdict"],
        decision=says.decision_says(shelf.standing.decisions.get(cell_id)),
        history=history,
        provenance={k: facts.get(k) for k in ("model_id", "config_id", "mpp")},
    )


@read_router.get(
    "/slides/{slide_id}/cells/{cell_id}/image", response_class=Response, responses=_JPEG
)
def image(
    shelf: Shelf, cell_id: CellId, parts: Having, form: Literal["jpeg", "png"] = "jpeg"
) -> Response:
    """The cell in its 36 um square; as PNG it is what the classifier was given, without loss."""
    found = cell_of(shelf, cell_id)
    picture = (
        parts.crops.jpeg(shelf.slide_id, found)
        if form == "jpeg"
        else parts.crops.png(shelf.slide_id, found)
    )
    return Response(picture, media_type=f"image/{form}", headers={"Cache-Control": LATER})


@read_router.get("/slides/{slide_id}/cells/{cell_id}/reasons")
def reasons(shelf: Shelf, cell_id: CellId, parts: Having) -> JsonObject:
    """Heat maps and counterfactuals: what is evidence for a class, and the cell as that class; 404
    where there are none.
    """
    return parts.reasons.explain(
        cell_id, parts.crops.pixels(shelf.slide_id, cell_of(shelf, cell_id))
    )


@read_router.get("/slides/{slide_id}/cells/{cell_id}/nearest")
def nearest_cells(shelf: Shelf, cell_id: CellId, parts: Having) -> JsonObject:
    """The nearest known cells of each class; 404 where none are known."""
    return parts.reasons.nearest(
        cell_id, parts.crops.pixels(shelf.slide_id, cell_of(shelf, cell_id))
    )


@read_router.get(
    "/slides/{slide_id}/tiles/{level}/{column}/{row}", response_class=Response, responses=_JPEG
)
def tile(
    shelf: Shelf,
    parts: Having,
    level: Annotated[int, Path(ge=0, le=32)],
    column: Annotated[int, Path(ge=0, le=2**24)],
    row: Annotated[int, Path(ge=0, le=2**24)],
) -> Response:
    """A tile of the slide: at the last level a pixel is a level-0 px, each level before has
    half of it.
    """
    slide = shown_slide(shelf, parts)
    try:
        picture = parts.viewer.tile(slide, level, column, row)
    except CytostreamError as error:
        _log.warning("%s: tile %d/%d/%d: %s", slide.slide_id, level, column, row, error)
        raise HTTPException(404, "this place of the slide cannot be shown") from error
    return Response(
        picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"}
    )


@read_router.get("/slides/{slide_id}/beside/{name}", response_class=Response, responses=_JPEG)
def associated(shelf: Shelf, parts: Having, name: Literal["label", "macro"]) -> Response:
    """The label or macro image of the slide, only where the config shows them: they often
    name the patient.
    """
    if not parts.config.review.show_label_images:
        raise HTTPException(404, "not shown")
    slide = shown_slide(shelf, parts)
    try:
        return Response(parts.viewer.beside(slide, name), media_type="image/jpeg")
    except CytostreamError as error:
        raise HTTPException(404, f"no {name} image") from error


@read_router.get("/slides/{slide_id}/trail")
def trail(
    shelf: Shelf, parts: Having, after: Annotated[int, Query(ge=0, le=2**53)] = 0
) -> list[JsonObject]:
    """The audit trail of the slide, oldest first."""
    reviews = parts.library.trail.reviews(shelf.slide_id, after)
    return [
        {"at": r.at.isoformat(), **r.data.model_dump(mode="json", exclude_none=True)}
        for r in reviews
    ]
