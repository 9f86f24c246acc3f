"""HTTP interface of the intake: scanners and laboratory systems announce slides with `POST
/slides`.
"""

import hashlib
import hmac
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.datastructures import Headers
from starlette.types import Scope

from ingest import CytostreamError, SlideFiles, slide_at
from stream.events import JsonObject
from stream.http import (
    Bucket,
    Caller,
    Limits,
    Shield,
    client_address,
    host_and_port,
    is_own_host,
    serving,
)
from stream.identity import Claim, Identity, identity_of_body
from stream.store import STAT, Backlog, Job

BODY_BYTES = 10_000
REQUESTS_PER_S = 50.0
_BURST_S = 4.0
NUMBER_MAX = 2**53
TOKEN_FILE = "intake.token"  # noqa: S105 the name of a file, not a token
TOKEN_BYTES = 32
TOKEN_LETTERS_MIN = 16
REASONS = {  # a stored reason names files, and so patients
    "waiting": "it is tried again later; the terminal says why",
    "partial": "some of it could not be read; the review page says what",
    "failed": "it could not be done; the terminal says why",
}


Code = Annotated[str, StringConstraints(strip_whitespace=True, max_length=64, pattern=r"^[ -~]*$")]


class Specimen(BaseModel):
    """Whose slide it is, as the caller knows it; what the slide itself states must agree."""

    model_config = ConfigDict(extra="forbid")
    accession: Code = ""
    container: Code = ""
    barcode: Code = ""
    order: Code = ""
    patient_id: Code = ""

    def body(self) -> str | None:
        """As the backlog keeps it; None where nothing is stated."""
        return Identity(**self.model_dump()).body() if any(self.model_dump().values()) else None


class Announcement(BaseModel):
    """A slide that is whole: its path as this machine sees it."""

    model_config = ConfigDict(extra="forbid")
    path: Path
    priority: Literal["routine", "stat"] = "routine"
    mpp: float | None = Field(
        None, gt=0.02, lt=5.0, description="um per level-0 px, where the file does not say"
    )
    specimen: Specimen = Field(Specimen(), description="codes of the specimen")


class JobPlace(BaseModel):
    """A slide of the backlog; `reason` names no file."""

    number: int
    state: Literal["waiting", "running", "done", "partial", "failed"]
    tries: int
    slide_id: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Served:
    """The folders whose slides may be announced, and folders of which nothing is ever taken."""

    roots: tuple[Path, ...]
    closed: tuple[Path, ...] = ()


def intake_router(backlog: Backlog, served: Served) -> APIRouter:
    """`POST /slides` and `GET /slides/{number}`, for an application that sees to who may call."""
    router = APIRouter(tags=["slides"])

    @router.post("/slides", status_code=202, responses={403: {}, 404: {}})
    def announce(slide: Announcement) -> JobPlace:
        """Queue a slide; one that is known already keeps its place."""
        root, found = allowed(slide.path, served)
        priority = STAT if slide.priority == "stat" else 0
        body = slide.specimen.body()
        queued = Job(found.path, priority, slide.mpp, found.set_id, announced=body, root=root)
        backlog.add([queued])
        place = backlog.place(found.path)
        if body and place["slide_id"]:
            keep_specimen(backlog, place["slide_id"], found.path, body)
        return _place_of(place)

    @router.get("/slides/{number}", responses={404: {}})
    def ask(number: Annotated[int, PathParameter(ge=1, le=NUMBER_MAX)]) -> JobPlace:
        """How far a slide is."""
        if found := backlog.place_of(number):
            return _place_of(found)
        raise HTTPException(404, "no such slide")

    return router


def keep_specimen(backlog: Backlog, slide_id: str, path: Path, body: str) -> None:
    """Keeps what was stated of a slide that is done already."""
    with backlog.outbox.transaction() as tx:
        tx.set_claims(slide_id, "intake", str(path), [Claim("intake", identity_of_body(body))])


def _place_of(row: JsonObject) -> JobPlace:
    """A row of the backlog as a caller may see it."""
    reason = REASONS.get(row["state"]) if row["reason"] else None
    return JobPlace(**{**row, "reason": reason})


def allowed(path: Path, served: Served) -> tuple[Path, SlideFiles]:
    """The slide at a path, by its real path, and the folder that it is served from.

    Raises:
        HTTPException: 403 outside of the folders, whatever is there; 404 where no slide is.
    """
    try:
        real = path.resolve()
        roots = [root for root in served.roots if real.is_relative_to(root)]
        closed = any(real.is_relative_to(folder) for folder in served.closed)
        is_file = bool(roots) and real.is_file()
    except (OSError, ValueError, RuntimeError):  # names that no file can have
        roots = []
        closed = False
        is_file = False
    if not (roots and path.is_absolute()) or closed:
        raise HTTPException(403, "not in a folder whose slides may be announced")
    found = slide_at(real) if is_file else None
    if found is None:
        raise HTTPException(404, "no slide is there: is the share mounted here?")
    return roots[0], found


class Guard:
    """Who may call: whoever shows the token, under a name of this machine, and no web page."""

    def __init__(self, token: str, hosts: Sequence[str]):
        self._digest = _digest_of(f"Bearer {token}")
        self._hosts = {host.casefold() for host in hosts}

    def refused(self, scope: Scope) -> tuple[int, str] | None:
        """Status and sentence for a request that is not answered."""
        headers = Headers(scope=scope)
        if not is_own_host(headers.get("host", ""), self._hosts):
            return 400, "this host name is not served here"
        if "origin" in headers or headers.get("sec-fetch-site", "none") != "none":
            return 403, "no web page may call this"
        if not self.is_known(scope):
            return 401, "show the token: Authorization: Bearer ..."
        return None

    def is_known(self, scope: Scope) -> bool:
        shown = Headers(scope=scope).get("authorization", "")
        return hmac.compare_digest(_digest_of(shown), self._digest)

    def caller(self, scope: Scope) -> Caller:
        return Caller(client_address(scope), self.is_known(scope))


def _digest_of(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace")).digest()


def make_intake_app(backlog: Backlog, served: Served, guard: Guard) -> FastAPI:
    """The application: no pages that describe it, and no answer that repeats what was sent."""
    app = FastAPI(title="cytostream intake", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(intake_router(backlog, served))
    app.add_exception_handler(RequestValidationError, refuse_invalid)
    bucket = Bucket(REQUESTS_PER_S, REQUESTS_PER_S * _BURST_S)
    limits = Limits(bucket, BODY_BYTES)
    app.add_middleware(Shield, limits=limits, caller=guard.caller, refused=guard.refused)
    return app


async def refuse_invalid(request: Request, error: Exception) -> JSONResponse:
    """422 with the place and the rule of the first fault, without the value."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    place = ".".join(str(part) for part in first.get("loc", ()))
    detail = f"{place}: {first.get('msg', 'not valid')}"
    shown = detail[:200].encode("ascii", "backslashreplace").decode()
    return JSONResponse({"detail": shown, "hint": ""}, 422)


@contextmanager
def open_intake(
    address: str,
    backlog: Backlog,
    served: Served,
    token: str,
    hosts: Sequence[str] = (),
) -> Iterator[str]:
    """Serves the interface at HOST:PORT in a thread; its URL. `hosts` are further names by which
    this machine is called.

    Raises:
        CytostreamError: no such address, or one that cannot be listened on.
    """
    host, _ = host_and_port(address)
    own = (host, "localhost", socket.gethostname(), socket.getfqdn(), *hosts)
    app = make_intake_app(backlog, served, Guard(token, own))
    with serving(app, address, "intake"):
        yield f"http://{address}"


def intake_token(given: Path | None, store: Path, on_made: Callable[[Path, str], None]) -> str:
    """The token that callers must show: of the file that was given, else of the store's own, which
    is made where there is none; `on_made` is called with it once.

    Raises:
        CytostreamError: the file cannot be read or made, or holds too short a token.
    """
    if given:
        return read_token(given)
    path = store / TOKEN_FILE
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return read_token(path)
    except OSError as error:
        raise CytostreamError(
            f"{path}: cannot be made: {error.strerror}", "choose another --store"
        ) from error
    token = secrets.token_hex(TOKEN_BYTES)
    with os.fdopen(handle, "w") as file:
        file.write(f"{token}\n")
    on_made(path, token)
    return token


def read_token(path: Path) -> str:
    try:
        token = path.read_text().strip()
    except (OSError, ValueError) as error:
        raise CytostreamError(
            f"{path}: cannot be read: {error}", "give a file with the token"
        ) from error
    if len(token) < TOKEN_LETTERS_MIN:
        what = f"{path}: a token of fewer than {TOKEN_LETTERS_MIN} characters"
        raise CytostreamError(what, "openssl rand -hex 32")
    return token
