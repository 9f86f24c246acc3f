"""Signing in by an OpenID Connect provider: to it, back from it, and the end of its session."""

import secrets
from time import time

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from stream.oauth import OpenIdProvider, SignedIn, SignInError, SignInRequest, role_of
from stream.store import ProvidedPerson

from .accounts import Accounts
from .auth import Authenticator, came_by_tls, local_name
from .dependencies import Having
from .routes_pages import base_of, templates

SIGN_IN_S = 600.0  # from the start to the answer of the provider
_COOKIE = "cytostream_signin"
signin_router = APIRouter(prefix="/login", include_in_schema=False)


@signin_router.get("/start")
def start(request: Request, parts: Having) -> Response:
    """To the provider. The cookie says which browser has asked; it comes back with a link from
    another site, which the session itself does not.
    """
    doors = parts.doors
    if doors.provider is None:
        return RedirectResponse(base_of(request), 303)
    handle = f"{int(time())}-{secrets.token_urlsafe(32)}"
    try:
        where = doors.provider.address(request_of(doors.accounts, handle))
    except SignInError as error:
        return closed(request, error, 503)
    response = RedirectResponse(where, 303)
    secure = doors.secure or came_by_tls(request)
    response.set_cookie(
        cookie_of(doors),
        handle,
        max_age=int(SIGN_IN_S),
        path="/",
        httponly=True,
        samesite="lax",
        secure=secure,
    )
    return response


@signin_router.get("/back")
def back(request: Request, parts: Having) -> Response:
    """What the provider says of who was sent to it; it counts once, for the browser that asked. A
    page of this site leads on, since a browser holds the session back from what another site began.
    """
    doors = parts.doors
    if doors.provider is None:
        return closed(request, SignInError("there is no sign-in by a provider here"), 403)
    address = doors.address(request.scope)
    if wait := parts.logins.take(address, _COOKIE):
        refused = SignInError("too many failed tries", "wait a minute")
        response = closed(request, refused, 429)
        response.headers["Retry-After"] = str(int(wait) + 1)
        return response
    one: SignedIn | None = None
    try:
        one = signed_in(request, doors, doors.provider)
        person = admitted(doors.accounts, one, doors)
    except SignInError as error:
        parts.note("login_failed", one.name[:64] if one else "", "", address, subject_of(one))
        response = closed(request, error, 403)
    else:
        parts.logins.give_back(address, _COOKIE)
        parts.note("login", person.name, person.name, address, subject_of(one))
        response = templates.TemplateResponse(request, "entered.html", {})
        token = doors.accounts.begin_provided(person.name, doors.config.session_hours)
        doors.give_cookie(request, response, token)
    response.delete_cookie(cookie_of(doors), path="/", httponly=True, secure=doors.secure)
    return response


@signin_router.get("/end")
def end(request: Request, parts: Having) -> Response:
    """To where the provider ends its own session, after that of this page has ended."""
    if parts.doors.provider is None:
        return RedirectResponse(base_of(request), 303)
    try:
        where = parts.doors.provider.end_address()
    except SignInError:
        where = ""
    return RedirectResponse(where or f"{base_of(request)}login", 303)


def signed_in(request: Request, doors: Authenticator, provider: OpenIdProvider) -> SignedIn:
    """Whom the provider names in an answer to this browser.

    Raises:
        SignInError: it is too late, a second time, of another browser, or not what it must be.
    """
    handle = request.cookies.get(cookie_of(doors), "")
    begun = handle.partition("-")[0]
    if not begun.isdecimal() or not 0 <= time() - int(begun[:20]) <= SIGN_IN_S:
        raise SignInError("this sign-in was not begun here, or is too old", "sign in again")
    return provider.finish(request_of(doors.accounts, handle), dict(request.query_params))


def admitted(accounts: Accounts, one: SignedIn, doors: Authenticator) -> ProvidedPerson:
    """The person, where a group of theirs has a role. Of one who is known the groups are kept in
    any case: sessions without a role end.

    Raises:
        SignInError: no group has a role, or the name is another's.
    """
    role = role_of(one.groups, doors.config.oidc.roles)
    known = accounts.provided.known(one.issuer, one.subject)
    kept = accounts.provided.admit(one, local_name()) if role or known else None
    if not role or not kept:
        raise SignInError(
            "none of your groups may use this page",
            "ask the administrator for a group that has a role here",
        )
    return kept


def request_of(accounts: Accounts, handle: str) -> SignInRequest:
    """What a sign-in was begun with: only this server can make it of the browser's handle."""
    made = [accounts.derived(word, handle) for word in ("state", "nonce", "verifier")]
    return SignInRequest(*made)


def cookie_of(doors: Authenticator) -> str:
    """As the session's; behind TLS no other host can set it."""
    return f"__Host-{_COOKIE}" if doors.secure else _COOKIE


def subject_of(one: SignedIn | None) -> str:
    return f"{one.issuer} {one.subject}" if one else ""


def closed(request: Request, error: SignInError, status: int) -> Response:
    said = {"why": error.what, "hint": error.hint, "again": True}
    return templates.TemplateResponse(request, "closed.html", said, status)
