"""Models: which there are, what a second one says beside the one that counts, and which new slides
are read with.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from classify import CLASS_NAME, DataError, ModelError, UsedModel
from ingest import StoreError
from stream.config import ConfigError
from stream.review.models import (
    ChosenModel,
    DifferingCell,
    ModelFacts,
    ShadowReport,
    compare_shadow,
    list_models,
    report_facts,
    shadows_of,
)
from stream.review.web.auth import DoorError
from stream.review.web.dependencies import (
    CHANGES,
    REFUSALS,
    Administering,
    Having,
    Parts,
    Viewing,
)
from stream.review.web.routes_pages import base_of, page

from .shadow_page import shadow_values

models_router = APIRouter(prefix="/api/models", responses=REFUSALS)
model_pages_router = APIRouter(include_in_schema=False)
READ_ONLY_STORE = "this store can only be read"
MOST_SLIDES_SHOWN = 100
MOST_CELLS_SHOWN = 120
ModelName = Annotated[str, StringConstraints(pattern=f"^{CLASS_NAME}$", max_length=64)]
ModelId = Annotated[str, StringConstraints(pattern=r"^[\w-]{1,64}$")]
ShadowQuery = Annotated[str, Query(pattern=r"^[\w-]{0,64}$", alias="shadow")]


class UseRequest(BaseModel):
    """A model as the page has shown it: its name, and the id that it had then."""

    model_config = ConfigDict(extra="forbid")

    name: ModelName
    model_id: ModelId


class BackRequest(BaseModel):
    """The kind of model: that of white cells, or of red ones."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["white", "red"] = "white"


@models_router.get("")
def models(parts: Having, person: Viewing) -> list[ModelFacts]:
    """The models of the store, and which new slides are read with."""
    return list_models(choice_of(parts).models, parts.config.shadow)


@models_router.get("/{model_id}/differences")
def differences(
    parts: Having,
    person: Viewing,
    model_id: Annotated[str, Path(pattern=r"^[\w-]{1,64}$")],
) -> dict[str, Any]:
    """Where a second model differs from the one that counts, over the last slides."""
    return report_facts(compared(parts, model_id))


@models_router.post("/use", responses=CHANGES)
def use_model(
    wish: UseRequest, request: Request, person: Administering, parts: Having
) -> UsedModel:
    """Reads new slides with a model from here on; slides that are read keep theirs."""
    check_writable(parts)
    choice = choice_of(parts)
    known = {one.name: one.model_id for one in list_models(choice.models)}
    if wish.name in known and known[wish.name] != wish.model_id:
        raise HTTPException(409, f"{wish.name} is another model by now: load the page again")
    try:
        return choice.use(wish.name, person.name, parts.doors.address(request.scope))
    except (ConfigError, DataError, ModelError) as error:
        raise HTTPException(400, f"{error.what}: {error.hint}") from error


@models_router.post("/back", responses=CHANGES)
def use_model_before(
    wish: BackRequest, request: Request, person: Administering, parts: Having
) -> UsedModel:
    """Reads new slides with the model again that was in use before."""
    check_writable(parts)
    try:
        address = parts.doors.address(request.scope)
        return choice_of(parts).back(wish.kind, person.name, address)
    except (ConfigError, DataError, ModelError) as error:
        raise HTTPException(400, f"{error.what}: {error.hint}") from error


@model_pages_router.get("/models")
def models_page(request: Request, parts: Having, shadow: ShadowQuery = "") -> Response:
    """The models, and the comparison with a second one: the one used last, or the one asked for."""
    try:
        person = parts.doors.person(request)
    except DoorError:
        return page(request, parts, "models.html")
    library = parts.library
    found = shadows_of(library)
    chosen = shadow or next((one.model_id for one in found), "")
    listed = list_models(choice_of(parts).models, parts.config.shadow)
    offered = next((one for one in listed if one.model_id == chosen and not one.is_in_use), None)
    values: dict[str, object] = {
        "models": listed,
        "shadows": found,
        "offered": offered if offered and offered.origin != "a folder" else None,
        "is_admin": person.role == "admin" and not library.is_read_only,
    }
    if chosen:
        base = base_of(request)

        def picture(cell: DifferingCell) -> str:
            return f"{base}api/slides/{cell.slide_id}/cells/{cell.cell_id}/image"

        def name_of(slide_id: str) -> str:
            return parts.board.name(slide_id, library.outbox.facts(slide_id))

        values |= shadow_values(compared(parts, chosen), name_of, picture)
    return page(request, parts, "models.html", **values)


def compared(parts: Parts, model_id: str) -> ShadowReport:
    """The comparison over the last slides."""
    try:
        return compare_shadow(parts.library, model_id, MOST_CELLS_SHOWN, MOST_SLIDES_SHOWN)
    except StoreError as error:
        raise HTTPException(404, "no slide that this model has judged") from error


def choice_of(parts: Parts) -> ChosenModel:
    """What chooses the model of new slides."""
    return ChosenModel(parts.library, parts.stamp)


def check_writable(parts: Parts) -> None:
    """Raises HTTPException 423 where the store can only be read."""
    if parts.library.is_read_only:
        raise HTTPException(423, READ_ONLY_STORE)
