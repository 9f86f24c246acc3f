"""Whose slide it is: what the sources state, the orders that fit, and what a person states."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, StringConstraints

from stream.identity import FIELDS, Identity, Resolution, identity_from, is_sufficient
from stream.review.report import check_letters, printable_letters
from stream.review.slides import SlideView

from .dependencies import CHANGES, REFUSALS, Having, Parts, Reviewing, Shelf, Viewing
from .routes_decide import Wish

identity_router = APIRouter(prefix="/api/slides/{slide_id}/identity", responses=REFUSALS)
_PLAIN = r"^[^\x00-\x1f\x7f-\x9f]*$"
StatedCode = Annotated[str, StringConstraints(max_length=64, pattern=_PLAIN)]
StatedName = Annotated[str, StringConstraints(max_length=200, pattern=_PLAIN)]
StatedDate = Annotated[str, StringConstraints(pattern=r"^(\d{4}-\d\d-\d\d)?$")]


class StatedIdentity(Wish):
    """Whose slide it is, as a person states it; empty where it is not known."""

    accession: StatedCode = ""
    container: StatedCode = ""
    barcode: StatedCode = ""
    order: StatedCode = ""
    patient_id: StatedCode = ""
    patient_name: StatedName = ""
    birth_date: StatedDate = ""


class ClaimResponse(BaseModel):
    source: str
    fields: dict[str, str]


class IdentityResponse(BaseModel):
    """`status` is unknown, identified, matched, conflict or signed; `missing` is what prevents a
    signature; `digest` goes back with one.
    """

    status: str
    fields: dict[str, str]
    problems: list[str]
    claims: list[ClaimResponse]
    orders: list[dict[str, str]]
    stated_by: str | None
    missing: str
    digest: str
    number: int


@identity_router.get("")
def identity_of_slide(shelf: Shelf, parts: Having, person: Viewing) -> IdentityResponse:
    """Whose slide it is, and who says so."""
    if not parts.config.identity.shown:
        raise HTTPException(404, "not shown")
    with shelf.lock:
        return identity_says(shelf, parts)


@identity_router.post("", responses=CHANGES)
def state_identity(
    shelf: Shelf, wish: StatedIdentity, person: Reviewing, parts: Having
) -> IdentityResponse:
    """States whose slide it is, in place of what all other sources state."""
    if not parts.config.identity.shown:
        raise HTTPException(404, "not shown")
    stated = identity_from({name: getattr(wish, name) for name in FIELDS})
    if stated == Identity():
        raise HTTPException(400, "state at least one code")
    fonts = [Path(font) for font in parts.config.review.fonts]
    check_letters(stated.known().values(), printable_letters(fonts))
    done = parts.desk.identify(shelf.slide_id, person.name, stated, wish.saw)
    with done.lock:
        return identity_says(done, parts)


def identity_says(shelf: SlideView, parts: Parts) -> IdentityResponse:
    found = shelf.specimen(shelf.standing)
    said = shelf.standing.identified
    return IdentityResponse(
        status=found.status,
        fields=found.identity.known(),
        problems=list(found.problems),
        claims=[
            ClaimResponse(source=claim.source, fields=claim.identity.known())
            for claim in found.claims
        ],
        orders=[order.identity.known() for order in found.candidates],
        stated_by=said.by if said else None,
        missing=missing_identity(found, parts),
        digest=parts.library.identity_digest(shelf.slide_id, found.identity),
        number=shelf.standing.number,
    )


def missing_identity(found: Resolution, parts: Parts) -> str:
    """What of whose slide it is prevents a signature; empty where nothing does."""
    if found.status == "signed":
        return ""
    return is_sufficient(found, parts.config.identity.demand)
