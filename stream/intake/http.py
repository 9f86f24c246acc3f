"""A small HTTP door: scanners and laboratory systems announce slides with `POST /slides`."""

import hmac
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from ingest import CytostreamError
from stream.store import STAT, Backlog, Job

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Announcement(BaseModel):
    """A slide that is whole: its path as this machine sees it."""

    model_config = ConfigDict(extra="forbid")
    path: Path
    priority: Literal["routine", "stat"] = "routine"
    mpp: float | None = Field(
        None, gt=0.02, lt=5.0, description="um per level-0 px, where the file does not say"
    )


class Place(BaseModel):
    """A slide of the backlog."""

    number: int
    state: Literal["waiting", "running", "done", "partial", "failed"]
    tries: int
    slide_id: str | None
    reason: str | None


def door_router(backlog: Backlog, roots: Sequence[Path]) -> APIRouter:
    """`POST /slides` and `GET /slides/{number}`, for an app that sees to who may call. Only slides
    below `roots` are taken.
    """
    router = APIRouter(tags=["slides"])

    @router.post("/slides", status_code=202, responses={403: {}, 404: {}})
    def announce(slide: Announcement) -> Place:
        """Queue a slide; one that is known already keeps its place."""
        path = allowed(slide.path, roots)
        backlog.add([Job(path, STAT if slide.priority == "stat" else 0, slide.mpp)])
        return Place(**backlog.place(path))

    @router.get("/slides/{number}", responses={404: {}})
    def ask(number: int) -> Place:
        """How far a slide is."""
        if found := backlog.place_of(number):
            return Place(**found)
        raise HTTPException(404, "no such slide")

    return router


def allowed(path: Path, roots: Sequence[Path]) -> Path:
    """The path, if it is a file below one of the roots, links followed; where it is not, nothing is
    told of what is there.

    Raises:
        HTTPException: 403 outside of the roots, 404 where there is no file.
    """
    try:
        real = path.resolve()
        inside = path.is_absolute() and any(real.is_relative_to(root.resolve()) for root in roots)
        there = inside and real.is_file()
    except (OSError, ValueError, RuntimeError):  # names that no file can have
        inside = there = False
    if not inside:
        raise HTTPException(403, "not in a folder that this door serves")
    if not there:
        raise HTTPException(404, "no such file: is the share mounted here?")
    return path


def token_guard(token: str):
    """A dependency that lets in who shows `Authorization: Bearer TOKEN`."""

    def guard(authorization: Annotated[str, Header()] = "") -> None:
        if not hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "show the token: Authorization: Bearer ...")

    return guard


@contextmanager
def open_door(
    address: str, backlog: Backlog, roots: Sequence[Path], token_file: Path | None
) -> Iterator[str]:
    """Serves the door in a thread; its URL.

    Raises:
        CytostreamError: an address off the loopback without a token, or one that cannot be listened
        on.
    """
    host, _, port = address.rpartition(":")
    token = read_token(token_file) if token_file else None
    if host not in LOOPBACK and not token:
        raise CytostreamError(
            f"{address}: a door off the loopback needs a token", "give --door-token FILE"
        )
    app = FastAPI(
        title="cytostream door", dependencies=[Depends(token_guard(token))] if token else []
    )
    app.include_router(door_router(backlog, roots))
    server = uvicorn.Server(
        uvicorn.Config(app, host or "127.0.0.1", int(port), log_level="warning")
    )
    server.install_signal_handlers = lambda: None  # the command has its own
    thread = threading.Thread(target=serve, args=(server,), name="door", daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.05)
        if not thread.is_alive():
            raise CytostreamError(
                f"{address}: cannot be listened on",
                "is the port free, and the address this machine's?",
            )
    try:
        yield f"http://{address}"
    finally:
        server.should_exit = True
        thread.join()


def serve(server: uvicorn.Server) -> None:
    try:
        server.run()
    except SystemExit:
        return  # it has logged why; the caller sees that it has not started


def read_token(path: Path) -> str:
    try:
        token = path.read_text().strip()
    except (OSError, ValueError) as error:
        raise CytostreamError(
            f"{path}: cannot be read: {error}", "give a file with the token"
        ) from error
    if len(token) < 16:
        raise CytostreamError(
            f"{path}: a token of fewer than 16 characters", "openssl rand -hex 32"
        )
    return token
