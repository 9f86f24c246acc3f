"""The application: parts, access and routes put together. It loads no engine, and nothing from
another site.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from classify import SHIPPED
from ingest import CytostreamError, Workers
from stream.config import Config
from stream.events import Provenance
from stream.http import Bucket, Limits, Shield, Tries, UnderFolder
from stream.identity import IdentityError
from stream.oauth import OpenIdProvider
from stream.review.compare import LookAlikes
from stream.review.decisions import DecisionService, DeskError
from stream.review.images import Atlas, Crops, ReasonError, Reasons, Viewer
from stream.review.report import LettersError, ReportError
from stream.review.slides import SlideLibrary
from stream.review.worklist import WorklistView

from . import (
    routes_compare,
    routes_decide,
    routes_export,
    routes_identity,
    routes_pages,
    routes_read,
    routes_red,
    routes_session,
    routes_signin,
    routes_teach,
)
from .accounts import Accounts, BusyError
from .auth import Authenticator, DoorError, Mode, need
from .dependencies import CHANGES, Parts
from .exports import Exports
from .live_updates import Hub, StoreWatch
from .models import model_pages_router, models_router

_log = logging.getLogger(__name__)
_BURST_S = 3.0
ReviewApp = FastAPI
STATUS = {"absent": 404, "locked": 423, "conflict": 409, "early": 409, "wrong": 400}
ROUTERS = (
    routes_read.read_router,
    routes_compare.compare_router,
    routes_decide.decide_router,
    routes_identity.identity_router,
    routes_red.red_router,
    routes_red.red_pages_router,
    routes_export.export_router,
    routes_session.session_router,
    routes_signin.signin_router,
    routes_teach.teach_router,
    models_router,
    model_pages_router,
    routes_pages.pages_router,
)


@dataclass(frozen=True, slots=True)
class Setting:
    """How a page is served: `secure` where it is reached by TLS; `proxy_secret` is what a
    proxy shows; `provider` signs people in; `door` queues slides.
    """

    mode: Mode = "local"
    secure: bool = False
    proxy_secret: str = ""
    provider: OpenIdProvider | None = None
    model: Path = SHIPPED
    nearest: Path | None = None
    door: APIRouter | None = None


def make_app(
    library: SlideLibrary,
    accounts: Accounts,
    workers: Workers,
    config: Config,
    setting: Setting | None = None,
) -> ReviewApp:
    """The application over a store. The caller closes what it opened; the application ends
    its own threads.
    """
    setting = setting or Setting()
    parts = make_parts(library, accounts, workers, config, setting)
    app = FastAPI(
        title="cytostream review",
        version=version("cytostream"),
        lifespan=living,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.parts = parts
    app.state.doors = parts.doors
    for router in ROUTERS:
        app.include_router(router)
    if setting.door:
        app.include_router(
            setting.door,
            prefix="/api/door",
            dependencies=[Depends(need("reviewer"))],
            responses=CHANGES,
        )
    app.mount("/static", StaticFiles(directory=routes_pages.HERE / "static"))
    if folder := routes_pages.leaflet_folder():
        app.mount("/vendor/leaflet", StaticFiles(directory=folder))
    answer_errors(app)
    review = config.review
    bucket = Bucket(review.requests_per_s, review.requests_per_s * _BURST_S)
    limits = Limits(bucket, review.body_bytes, strict_transport=parts.doors.secure)
    if review.folder:
        app.add_middleware(UnderFolder, folder=review.folder)
    app.add_middleware(
        Shield, limits=limits, caller=parts.doors.caller, refused=parts.doors.refused
    )
    return app


def make_parts(
    library: SlideLibrary, accounts: Accounts, workers: Workers, config: Config, setting: Setting
) -> Parts:
    review = config.review
    board = WorklistView(library)
    stamp = Provenance(config.source, versions={"cytostream": version("cytostream")})
    return Parts(
        config,
        library,
        board,
        DecisionService(library, stamp),
        Crops(library.store, library.queries, library.trail.marked),
        Viewer(workers, review.tile_s, config.reading.survey_limit_s),
        Reasons(setting.model, review.reasons_s, setting.nearest),
        Hub(StoreWatch(library, board), review.look_s),
        Authenticator(
            setting.mode,
            accounts,
            review,
            setting.secure or review.secure_cookies or review.oidc.address.startswith("https:"),
            setting.proxy_secret,
            setting.provider,
        ),
        Tries(review.logins_per_minute),
        Bucket(review.logins_per_minute / 60, review.logins_per_minute),
        Exports(),
        stamp,
        LookAlikes(library),
        Atlas(setting.model, Path(review.atlas) if review.atlas else None),
    )


@asynccontextmanager
async def living(app: FastAPI) -> AsyncIterator[None]:
    parts: Parts = app.state.parts
    looking = asyncio.create_task(parts.hub.run())
    try:
        yield
    finally:
        parts.hub.close()
        await looking
        parts.close()


def answer_errors(app: FastAPI) -> None:
    """Every refusal is JSON with what is wrong and what to do next."""

    @app.exception_handler(DoorError)
    def at_the_door(request: Request, error: DoorError) -> JSONResponse:
        return JSONResponse({"detail": error.detail, "hint": error.hint}, error.status)

    @app.exception_handler(DeskError)
    def at_the_desk(request: Request, error: DeskError) -> JSONResponse:
        return JSONResponse(
            {"detail": error.what, "hint": error.hint, "kind": error.kind}, STATUS[error.kind]
        )

    @app.exception_handler(ReportError)
    @app.exception_handler(ReasonError)
    def of_the_rooms(request: Request, error: CytostreamError) -> JSONResponse:
        return JSONResponse({"detail": error.what, "hint": error.hint}, 404)

    @app.exception_handler(LettersError)
    @app.exception_handler(IdentityError)
    def of_letters(request: Request, error: CytostreamError) -> JSONResponse:
        return JSONResponse({"detail": error.what, "hint": error.hint}, 400)

    @app.exception_handler(CytostreamError)
    def of_the_house(request: Request, error: CytostreamError) -> JSONResponse:
        _log.warning(
            "%s: %s", request.url.path, error
        )  # the text may name a file, and so a patient
        return JSONResponse(
            {
                "detail": "the store cannot be used now",
                "hint": "try again; the log of the server says why",
            },
            503,
        )

    @app.exception_handler(BusyError)
    def of_many(request: Request, error: BusyError) -> JSONResponse:
        return JSONResponse({"detail": error.what, "hint": error.hint}, 429, {"Retry-After": "2"})

    @app.exception_handler(RequestValidationError)
    def of_the_shape(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": [shape_error(one) for one in error.errors()]}, 422)

    @app.exception_handler(HTTPException)
    def plain(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"detail": error.detail, "hint": ""}, error.status_code, error.headers)


def shape_error(error: Mapping[str, Any]) -> dict[str, str | list[str | int]]:
    """Where a request is not as it must be, and why; nothing of what was sent, which may be a
    password.
    """
    known = list(error["loc"])[
        : -1 if error["type"] == "extra_forbidden" else None
    ]  # the last is the sender's own word
    return {"loc": known, "msg": error["msg"], "type": error["type"]}
