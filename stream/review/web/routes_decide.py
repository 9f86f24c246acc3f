"""What a person does: decide on cells, acknowledge, comment, undo, sign, amend. Every answer
is what changed.
"""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ingest import CytostreamError
from stream.review.report import (
    SlideReport,
    check_letters,
    check_printable,
    printable_letters,
    report_of,
)
from stream.review.review_state import Signature
from stream.review.slides import SlideView
from stream.review.texts import Language
from stream.store import ACCOUNT_NAME

from .accounts import BusyError
from .dependencies import CHANGES, ID, Having, Parts, Reviewing, Shelf, language_of
from .responses import Changes
from .routes_read import changes_of, shown_slide

_log = logging.getLogger(__name__)
decide_router = APIRouter(prefix="/api/slides/{slide_id}", responses=CHANGES)
OneId = Annotated[str, StringConstraints(pattern=ID)]
_PLAIN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"  # no control characters but tabs and line ends
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=_PLAIN)
]
PlacePx = Annotated[int, Field(ge=0, le=2**31)]
Number = Annotated[int, Field(ge=0, le=2**53)]


class Wish(BaseModel):
    """`saw` and `row` are the last entry of the trail and the last row of the journal that
    the page has shown.
    """

    model_config = ConfigDict(extra="forbid")

    saw: Number
    row: Number = 0


class Decide(Wish):
    action: Literal["reclassify", "confirm", "unidentified"]
    cell_ids: Annotated[list[OneId], Field(min_length=1, max_length=5000)]
    label: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None, description="for reclassify"
    )


class MarkCell(Wish):
    box_px0: tuple[PlacePx, PlacePx, PlacePx, PlacePx] = Field(
        description="x0, y0, x1, y1 in level-0 px; of no size where the person has clicked"
    )


class Assign(Wish):
    assignee: Annotated[str, StringConstraints(pattern=f"^({ACCOUNT_NAME})?$")] = ""
    stat: bool = False


class SecondRead(Wish):
    cell_ids: Annotated[list[OneId], Field(min_length=1, max_length=5000)]
    label: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None, description="as the machine calls the cells, where it is empty"
    )


class Acknowledge(Wish):
    alert_ids: Annotated[list[OneId], Field(min_length=1, max_length=5000)]
    comment: Text | None = None


class Say(Wish):
    text: Text
    cell_id: OneId | None = None
    place_px0: tuple[PlacePx, PlacePx] | None = Field(
        None, description="x, y: a place of the slide, in level-0 px"
    )


class Sign(Wish):
    comment: Text | None = None
    password: Annotated[str, StringConstraints(max_length=256)] = Field(
        "", description="once more, where there are accounts"
    )
    name: Annotated[str, StringConstraints(max_length=64)] = Field(
        "", description="the signer's, where there are no accounts"
    )
    identity: Annotated[str, StringConstraints(pattern=ID)] | None = Field(
        None, description="digest of whose slide the page has shown it to be"
    )


class Amend(Wish):
    reason: Text


@decide_router.post("/decisions")
def decide(shelf: Shelf, wish: Decide, person: Reviewing, parts: Having) -> Changes:
    """Reclassify, confirm, or call unidentified: one act on one or many cells."""
    done = parts.desk.decide(
        shelf.slide_id, person.name, wish.action, wish.cell_ids, wish.label, wish.saw
    )
    return changes_of(done, parts, person.name, wish.row, wish.saw)


@decide_router.post("/marks")
def mark(shelf: Shelf, wish: MarkCell, person: Reviewing, parts: Having) -> Changes:
    """A cell that no run has found: it is cut out of the slide, classified and counted."""
    slide = shown_slide(shelf, parts)
    try:
        cell = parts.viewer.marked_cell(slide, wish.box_px0)
    except CytostreamError as error:
        _log.warning("%s: mark at %s: %s", slide.slide_id, wish.box_px0, error)
        raise HTTPException(400, f"no cell can be cut out here: {error.what}") from error
    shown_slide(shelf, parts)  # the file is still the one that was read
    judged = parts.reasons.judge(cell, parts.library.taught)
    done = parts.desk.mark(shelf.slide_id, person.name, slide, judged, wish.saw)
    return changes_of(done, parts, person.name, wish.row, wish.saw)


@decide_router.post("/assignment")
def assign(shelf: Shelf, wish: Assign, person: Reviewing, parts: Having) -> Changes:
    """Who is to review the slide, and whether its result is waited for."""
    done = parts.desk.assign(shelf.slide_id, person.name, wish.assignee, wish.stat, wish.saw)
    return changes_of(done, parts, person.name, wish.row, wish.saw)


@decide_router.post("/second-reading")
def second_read(shelf: Shelf, wish: SecondRead, person: Reviewing, parts: Having) -> Changes:
    """What a second reader calls cells; the count stays as it is."""
    done = parts.desk.second_read(shelf.slide_id, person.name, wish.cell_ids, wish.label, wish.saw)
    return changes_of(done, parts, person.name, wish.row, wish.saw)


@decide_router.post("/acknowledgements")
def acknowledge(shelf: Shelf, wish: Acknowledge, person: Reviewing, parts: Having) -> Changes:
    """These alerts have been looked at."""
    done = parts.desk.acknowledge(shelf.slide_id, person.name, wish.alert_ids, wish.comment)
    return changes_of(done, parts, person.name, wish.row, wish.saw)


@decide_router.post("/comments")
def comment(shelf: Shelf, wish: Say, person: Reviewing, parts: Having) -> Changes:
    """Says something about a cell, a place of the slide, or the slide."""
    letters = printable_letters([Path(font) for font in parts.config.review.fonts])
    check_letters([wish.text], letters)
    about = wish.text, wish.cell_id, wish.place_px0
    done = parts.desk.comment(shelf.slide_id, person.name, *about)
    return changes_of(done, parts, person.name, wish.row, wish.saw)


@decide_router.post("/undo")
def undo(shelf: Shelf, wish: Wish, person: Reviewing, parts: Having) -> Changes:
    """Takes back one's own last act."""
    done = parts.desk.undo(shelf.slide_id, person.name)
    return changes_of(done, parts, person.name, wish.row, wish.saw)


@decide_router.post("/signatures")
def sign(shelf: Shelf, wish: Sign, person: Reviewing, request: Request, parts: Having) -> Changes:
    """Signs the count as it stands; the slide is locked."""
    confirm(parts, person.name, wish, request.cookies.get(parts.doors.cookie, ""))
    language = language_of(request, parts)
    check_printable(unsigned_report(parts, shelf, wish, person.name, language))
    about = wish.comment, wish.saw, wish.identity, language
    done = parts.desk.sign(shelf.slide_id, person.name, *about)
    return changes_of(done, parts, person.name, wish.row, wish.saw)


@decide_router.post("/amendments")
def amend(shelf: Shelf, wish: Amend, person: Reviewing, parts: Having) -> Changes:
    """Opens the next version of a signed slide; the signed one stays."""
    done = parts.desk.amend(shelf.slide_id, person.name, wish.reason)
    return changes_of(done, parts, person.name, wish.row, wish.saw)


def unsigned_report(
    parts: Parts, shelf: SlideView, wish: Sign, by: str, language: Language
) -> SlideReport:
    """The report as the signature would make it."""
    name = parts.board.name(shelf.slide_id, shelf.facts())
    report = report_of(parts.library, shelf, name, language=language)
    pending = Signature(report.version, by, datetime.now(UTC), 0, 0, {}, wish.comment)
    return replace(report, signature=pending)


def confirm(parts: Parts, name: str, wish: Sign, token: str) -> None:
    """A signature is the person's own, not that of whoever sits at an open page. Failed tries count
    for the session alone.

    Raises:
        HTTPException: 403, not confirmed; 429, too many failed tries.
    """
    if parts.doors.mode != "accounts":
        if wish.name != name:
            raise HTTPException(403, f"confirm the signature: your name once more, {name}")
        return
    key = f"{name} {token}"
    if wait := parts.signatures.take(key):
        raise HTTPException(
            429, "too many failed tries: wait a minute", {"Retry-After": str(int(wait) + 1)}
        )
    try:
        right = parts.doors.accounts.check(name, wish.password) is not None
    except BusyError:
        parts.signatures.give_back(key)
        raise
    if not right:
        raise HTTPException(403, "the password is wrong")
    parts.signatures.give_back(key)
