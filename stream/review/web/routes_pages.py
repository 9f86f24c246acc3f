"""The pages themselves: empty documents that the scripts fill, and the printable report."""

import base64
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

from stream.review.report import document_of, report_of
from stream.review.texts import Texts

from .auth import LOGIN_MODES, DoorError, local_name
from .dependencies import Having, Shelf, SlideId, Viewing, language_of
from .routes_export import Version

HERE = Path(__file__).parent
pages_router = APIRouter(include_in_schema=False)


def base_of(request: Request) -> str:
    """The way from a page to the root of the site. Links are relative, so that a proxy may
    serve the site under any path.
    """
    return "./" + "../" * (request.url.path.count("/") - 1)


def page_facts(request: Request) -> dict[str, object]:
    """What every page needs to know."""
    parts = request.app.state.parts
    texts = Texts(language_of(request, parts))
    return {"base": base_of(request), "read_only": parts.library.is_read_only, "t": texts}


templates = Jinja2Templates(HERE / "templates", context_processors=[page_facts])


def leaflet_folder() -> Path | None:
    """Where the slide viewer's library was installed; None where it was not."""
    spec = find_spec("xstatic") and find_spec("xstatic.pkg.leaflet")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else None
    return folder if folder and (folder / "leaflet.js").is_file() else None


def page(request: Request, parts: Having, name: str, **values: object) -> Response:
    """A page, with the session that its changes need; without one, the login page comes first."""
    mode = parts.doors.mode
    try:
        person = parts.doors.person(request)
    except DoorError as error:
        if mode in LOGIN_MODES:
            return RedirectResponse(f"{base_of(request)}login", 303)
        return templates.TemplateResponse(
            request, "closed.html", {"why": error.detail}, error.status
        )
    response = templates.TemplateResponse(request, name, {"person": person, "mode": mode, **values})
    parts.doors.anonymous(request, response)
    return response


@pages_router.get("/")
def worklist_page(request: Request, parts: Having) -> Response:
    return page(request, parts, "worklist.html")


@pages_router.get("/slides/{slide_id}")
def slide_page(request: Request, slide_id: SlideId, parts: Having) -> Response:
    known = slide_id in parts.library
    if not known:
        return page(request, parts, "absent.html")
    return page(
        request, parts, "slide.html", slide_id=slide_id, viewer=leaflet_folder() is not None
    )


@pages_router.get("/slides/{slide_id}/report")
def report(
    request: Request, shelf: Shelf, parts: Having, person: Viewing, version: Version = None
) -> Response:
    name = parts.board.name(shelf.slide_id, shelf.facts())
    made = report_of(parts.library, shelf, name, version, language=language_of(request, parts))
    pictures = {
        n.cell.cell_id: _inline(parts.crops.jpeg(shelf.slide_id, n.cell)) for n in made.notable
    }
    logo = made.letterhead.logo
    shown = {"report": made, "document": document_of(made), "pictures": pictures}
    return page(request, parts, "report.html", logo=_image(logo) if logo else "", **shown)


@pages_router.get("/open")
def open_page(
    request: Request, parts: Having, secret: Annotated[str, Query(max_length=128)]
) -> Response:
    """The printed address: its secret becomes a session."""
    response = RedirectResponse(base_of(request), 303)
    parts.doors.open_local(secret, request, response)
    parts.note("login", local_name(), local_name(), parts.doors.address(request.scope))
    return response


@pages_router.get("/api/openapi.json")
def openapi(request: Request, person: Viewing) -> JSONResponse:
    """The description of the API, for who may use it."""
    return JSONResponse(request.app.openapi())


@pages_router.get("/login")
def login_page(request: Request, parts: Having) -> Response:
    mode = parts.doors.mode
    if mode not in LOGIN_MODES:
        return RedirectResponse(base_of(request), 303)
    return templates.TemplateResponse(request, "login.html", {"person": None, "mode": mode})


@pages_router.get("/favicon.ico")
def icon() -> Response:
    return RedirectResponse("./static/icon.svg", 303)


def _image(path: Path) -> str:
    kind = "png" if path.suffix.lower() == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _inline(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
