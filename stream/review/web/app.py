"""The application: rooms, doors and routes put together. It loads no engine, and nothing from another site."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from classify import SHIPPED
from ingest import CytostreamError, Workers
from stream.config import Config
from stream.events.event import Stamp
from stream.review.decisions import Desk, DeskError
from stream.review.images.crops import Crops
from stream.review.images.explanations import ReasonError, Reasons
from stream.review.images.slide_tiles import Viewer
from stream.review.report.report import ReportError
from stream.review.slides import Library
from stream.review.worklist import Board

from . import routes_decide, routes_export, routes_pages, routes_read
from . import routes_session as routes_enter
from .accounts import Accounts
from .auth import DoorError, Doors, need
from .dependencies import CHANGES, Parts
from .live_updates import Hub, Watch
from .middleware import Bucket, Shield

log = logging.getLogger(__name__)
BURST_S = 3.0
LOCAL_HOSTS = ["localhost", "127.0.0.1", "::1", "[::1]"]
STATUS = {"absent": 404, "locked": 423, "conflict": 409, "early": 409, "wrong": 400}


@dataclass(frozen=True, slots=True)
class Setting:
    """How a page is served: `mode` is local, accounts or proxy; `secure` where it is reached by TLS; `door` queues slides."""

    mode: str = "local"
    secure: bool = False
    model: Path = SHIPPED
    nearest: Path | None = None
    door: APIRouter | None = None


def make_app(library: Library, accounts: Accounts, workers: Workers, config: Config, setting: Setting | None = None) -> FastAPI:
    """The application over a store. The caller closes what it opened; the application ends its own threads."""
    setting = setting or Setting()
    parts = make_parts(library, accounts, workers, config, setting)
    app = FastAPI(
        title="cytostream review", version=version("cytostream"), lifespan=living, docs_url=None, redoc_url=None,
        openapi_url="/api/openapi.json",
    )  # fmt: skip
    app.state.parts, app.state.doors = parts, parts.doors
    for routes in (routes_read, routes_decide, routes_export, routes_enter, routes_pages):
        app.include_router(routes.router)
    if setting.door:
        app.include_router(setting.door, prefix="/api/door", dependencies=[Depends(need("reviewer"))], responses=CHANGES)
    app.mount("/static", StaticFiles(directory=routes_pages.HERE / "static"))
    if folder := routes_pages.leaflet_folder():
        app.mount("/vendor/leaflet", StaticFiles(directory=folder))
    answer_errors(app)
    review = config.review
    bucket = Bucket(review.requests_per_s, review.requests_per_s * BURST_S)
    app.add_middleware(Shield, body_bytes=review.body_bytes, bucket=bucket, secure=setting.secure)
    if setting.mode == "local":  # another site's name that points here must not reach a page without a login
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOCAL_HOSTS)
    return app


def make_parts(library: Library, accounts: Accounts, workers: Workers, config: Config, setting: Setting) -> Parts:
    review, board = config.review, Board(library)
    stamp = Stamp(config.source, versions={"cytostream": version("cytostream")})
    return Parts(
        config, library, board, Desk(library, stamp), Crops(library.store, library.state), Viewer(workers, review.tile_s),
        Reasons(setting.model, review.reasons_s, setting.nearest), Hub(Watch(library, board), review.look_s),
        Doors(setting.mode, accounts, review, setting.secure), Bucket(review.logins_per_minute / 60, review.logins_per_minute),
    )  # fmt: skip


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
        return JSONResponse({"detail": error.detail, "hint": ""}, error.status)

    @app.exception_handler(DeskError)
    def at_the_desk(request: Request, error: DeskError) -> JSONResponse:
        return JSONResponse({"detail": error.what, "hint": error.hint, "kind": error.kind}, STATUS[error.kind])

    @app.exception_handler(ReportError)
    @app.exception_handler(ReasonError)
    def of_the_rooms(request: Request, error: CytostreamError) -> JSONResponse:
        return JSONResponse({"detail": error.what, "hint": error.hint}, 404)

    @app.exception_handler(CytostreamError)
    def of_the_house(request: Request, error: CytostreamError) -> JSONResponse:
        log.warning("%s: %s", request.url.path, error)  # the text may name a file, and so a patient
        return JSONResponse({"detail": "the store cannot be used now", "hint": "try again; the log of the server says why"}, 503)

    @app.exception_handler(HTTPException)
    def plain(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"detail": error.detail, "hint": ""}, error.status_code, error.headers)


