"""Coming in and going out, and what only an admin may see."""

from itertools import islice
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from stream.events import JsonObject
from stream.store import ACCOUNT_NAME

from .accounts import BusyError, Preferences
from .auth import check_origin
from .dependencies import CHANGES, REFUSALS, Administering, Having, Viewing

session_router = APIRouter(prefix="/api")


class Login(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(pattern=f"^{ACCOUNT_NAME}$")]
    password: Annotated[str, StringConstraints(max_length=256)]


class Welcome(BaseModel):
    name: str
    role: str


@session_router.post("/login", responses=CHANGES)
def login(wish: Login, request: Request, response: Response, parts: Having) -> Welcome:
    """Begins a session. A name has a few failed tries a minute from an address; a right
    password uses up none.
    """
    doors = parts.doors
    check_origin(request, doors.config.hosts)
    if doors.mode != "accounts":
        raise HTTPException(400, "there is no login here")
    address = doors.address(request.scope)
    if wait := parts.logins.take(address, wish.name):
        raise HTTPException(
            429, "too many failed tries: wait a minute", {"Retry-After": str(int(wait) + 1)}
        )
    try:
        person = doors.accounts.check(wish.name, wish.password)
    except BusyError:
        parts.logins.give_back(address, wish.name)
        raise
    if person is None:
        parts.note("login_failed", wish.name, "", address)
        raise HTTPException(401, "name or password is wrong")
    parts.logins.give_back(address, wish.name)
    parts.note("login", person.name, person.name, address)
    doors.give_cookie(request, response, doors.accounts.begin(person, doors.config.session_hours))
    return Welcome(name=person.name, role=person.role)


@session_router.post("/logout", status_code=204, responses=CHANGES)
def logout(request: Request, person: Viewing, parts: Having) -> Response:
    """Ends the session."""
    parts.doors.accounts.end(request.cookies.get(parts.doors.cookie, ""))
    parts.note("logout", person.name, person.name, parts.doors.address(request.scope))
    response = Response(status_code=204)
    parts.doors.take_cookie(response)
    return response


@session_router.get("/preferences", responses=REFUSALS)
def preferences(person: Viewing, parts: Having) -> Preferences:
    """How this person has set up the page."""
    return parts.doors.accounts.preferences(person.name)


@session_router.post("/preferences", responses=CHANGES)
def prefer(wish: Preferences, person: Viewing, parts: Having) -> Preferences:
    """Keeps how this person has set up the page."""
    parts.doors.accounts.prefer(person.name, wish)
    return wish


@session_router.get("/audit", responses=REFUSALS)
def audit_entries(
    person: Administering, parts: Having, after: Annotated[int, Query(ge=0, le=2**53)] = 0
) -> list[JsonObject]:
    """The next thousand entries of the whole audit trail."""
    entries = islice(parts.library.trail.entries(after), 1000)
    return [
        {"at": e.time.isoformat(), **e.payload().model_dump(mode="json", exclude_none=True)}
        for _, e in entries
    ]


@session_router.get("/accounts", responses=REFUSALS)
def accounts(person: Administering, parts: Having) -> list[Welcome]:
    """Who may come in; they are made with `cytostream accounts` on the machine itself."""
    return [Welcome(name=p.name, role=p.role) for p in parts.doors.accounts.people()]
