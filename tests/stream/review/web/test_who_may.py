"""Every route, asked by everybody in every mode: who may do what (`pytest -s` prints the table)."""

import re

import pytest
from starlette.routing import Mount
from starlette.testclient import TestClient

from stream.review.web.accounts import ROLES
from tests.stream.review.conftest import AT, PASSWORD, PROXY_SECRET

# the least role of each route; ANYONE is let in without a session
ANYONE = "anyone"
MAY = {
    "GET /": "viewer",
    "GET /slides/{slide_id}": "viewer",
    "GET /slides/{slide_id}/report": "viewer",
    "GET /login": ANYONE,
    "GET /login/start": ANYONE,
    "GET /login/back": "whom the provider has signed in",
    "GET /login/end": ANYONE,
    "GET /open": "who has the secret",
    "GET /favicon.ico": ANYONE,
    "GET /static": ANYONE,
    "GET /vendor/leaflet": ANYONE,
    "GET /api/openapi.json": "viewer",
    "GET /api/me": "viewer",
    "GET /api/slides": "viewer",
    "GET /api/live": "viewer",
    "GET /api/slides/{slide_id}": "viewer",
    "GET /api/slides/{slide_id}/changes": "viewer",
    "GET /api/slides/{slide_id}/before-signing": "viewer",
    "GET /api/slides/{slide_id}/review-order": "viewer",
    "GET /api/slides/{slide_id}/seen": "viewer",
    "POST /api/slides/{slide_id}/seen": "viewer",
    "GET /api/slides/{slide_id}/identity": "viewer",
    "POST /api/slides/{slide_id}/identity": "reviewer",
    "GET /slides/{slide_id}/red": "viewer",
    "GET /api/slides/{slide_id}/red": "viewer",
    "GET /api/slides/{slide_id}/red/figures": "viewer",
    "GET /api/slides/{slide_id}/red/{cell_id}/image": "viewer",
    "GET /api/slides/{slide_id}/cells/{cell_id}": "viewer",
    "GET /api/slides/{slide_id}/cells/{cell_id}/image": "viewer",
    "GET /api/slides/{slide_id}/cells/{cell_id}/reasons": "viewer",
    "GET /api/slides/{slide_id}/cells/{cell_id}/nearest": "viewer",
    "GET /api/slides/{slide_id}/cells/{cell_id}/like": "viewer",
    "GET /api/slides/{slide_id}/cells/{cell_id}/words": "viewer",
    "GET /api/atlas": "viewer",
    "GET /api/atlas/{name}/{number}": "viewer",
    "GET /api/slides/{slide_id}/tiles/{level}/{column}/{row}": "viewer",
    "GET /api/slides/{slide_id}/beside/{name}": "viewer",
    "GET /api/slides/{slide_id}/trail": "viewer",
    "GET /api/slides/{slide_id}/report.{ending}": "viewer",
    "POST /api/slides/{slide_id}/decisions": "reviewer",
    "POST /api/slides/{slide_id}/marks": "reviewer",
    "POST /api/slides/{slide_id}/assignment": "reviewer",
    "POST /api/slides/{slide_id}/second-reading": "reviewer",
    "GET /api/slides/{slide_id}/agreement": "viewer",
    "GET /api/slides/{slide_id}/versions": "viewer",
    "POST /api/slides/{slide_id}/acknowledgements": "reviewer",
    "POST /api/slides/{slide_id}/comments": "reviewer",
    "POST /api/slides/{slide_id}/undo": "reviewer",
    "POST /api/slides/{slide_id}/signatures": "reviewer",
    "POST /api/slides/{slide_id}/amendments": "reviewer",
    "GET /models": "viewer",
    "GET /api/models": "viewer",
    "GET /api/models/{model_id}/differences": "viewer",
    "POST /api/models/use": "admin",
    "POST /api/models/back": "admin",
    "GET /api/taught": "viewer",
    "POST /api/taught": "reviewer",
    "POST /api/taught/{name}/lesson": "reviewer",
    "POST /api/taught/{name}/switch": "reviewer",
    "GET /api/preferences": "viewer",
    "POST /api/preferences": "viewer",
    "POST /api/login": ANYONE,
    "POST /api/logout": "viewer",
    "GET /api/audit": "admin",
    "GET /api/accounts": "admin",
    "POST /api/door/slides": "reviewer",
    "GET /api/door/slides/{number}": "reviewer",
}
SOCKET = "proxy at a socket"
PEOPLE = {
    "local": ("nobody", "admin"),
    "accounts": ("nobody", *ROLES),
    "oidc": ("nobody", *ROLES),
    "proxy": ("nobody", *ROLES),
    SOCKET: ("nobody", *ROLES),
}


def routes_of(router, prefix=""):
    """Method and path of every route, those of included routers and mounted folders too."""
    for route in router.routes:
        if isinstance(route, Mount):
            yield f"GET {prefix}{route.path}"
        elif hasattr(route, "original_router"):
            yield from routes_of(route.original_router, prefix + route.include_context.prefix)
        else:
            yield from (f"{method} {prefix}{route.path}" for method in route.methods - {"HEAD"})


def asking(lab, mode, person, provider):
    client = None if mode == SOCKET else ("testclient", 50000)
    http = TestClient(lab.app, base_url=AT, follow_redirects=False, client=client)
    if person == "nobody":
        return http
    if mode == "local":
        http.get(f"/open?secret={lab.app.state.doors.local_secret}")
    elif mode == "oidc":
        sent = http.get("/login/start").headers["location"]
        somebody = {"sub": person, "preferred_username": person, "groups": [f"{person}s"]}
        assert http.get(provider.approve(sent, somebody)).is_success
    elif mode == "proxy":
        http.headers.update({"X-Remote-User": person, "X-Proxy-Secret": PROXY_SECRET})
    elif mode == SOCKET:
        http.headers["X-Remote-User"] = person
    else:
        assert http.post("/api/login", json={"name": person, "password": PASSWORD}).is_success
    http.headers["X-CSRF-Token"] = http.get("/api/me").json()["csrf"]
    return http


def is_let_in(lab, http, route, cell):
    method, path = route.split(" ")
    names = {
        "slide_id": lab.made.slide.slide_id,
        "cell_id": cell,
        "ending": "csv",
        "name": "label",
        "model_id": "m1",
    }
    names |= {"level": "10", "column": "0", "row": "0", "number": "1"}
    path = re.sub(r"{(\w+)}", lambda name: names[name[1]], path)
    files = {
        "/open": "/open?secret=x",
        "/static": "/static/app.css",
        "/vendor/leaflet": "/vendor/leaflet/leaflet.js",
    }
    answer = http.request(method, files.get(path, path), json={} if method == "POST" else None)
    assert answer.status_code < 500, (route, answer.text)
    leads_to = answer.next_request.url.path if answer.next_request else None  # links are relative
    return answer.status_code not in (401, 403) and leads_to != "/login"


@pytest.mark.parametrize("mode", PEOPLE)
def test_who_may_do_what(open_lab, monkeypatch, tmp_path, mode, provider):
    lab = open_lab(
        "proxy" if mode == SOCKET else mode,
        proxy_secret="" if mode == SOCKET else PROXY_SECRET,
        scans=[tmp_path / "scans"],
        proxy_socket="/run/review.sock" if mode == SOCKET else "",
        proxy_header="X-Remote-User",
        proxy_addresses=("testclient",),
        proxy_roles={role: role for role in ROLES},
        oidc=provider.settings(roles={f"{role}s": role for role in ROLES}),
    )
    parts = lab.app.state.parts
    parts.reasons._folder = tmp_path  # no model, so no engine is loaded

    async def at_once(*_):
        yield "data: {}\n\n"

    monkeypatch.setattr(parts.hub, "listen", at_once)
    if mode == "accounts":
        for role in ROLES:
            lab.accounts.set(role, role, PASSWORD)
    (cell,) = list(lab.made.labels())[:1]
    found = sorted(set(routes_of(lab.app)))
    assert set(found) == set(MAY), "a new route: say who may use it; one that went: take it out"
    people = PEOPLE[mode]
    sessions = {person: asking(lab, mode, person, provider) for person in people}
    print(f"\n{mode}: {' '.join(people)}")
    for route in sorted(found, key=lambda route: route == "POST /api/logout"):  # it ends sessions
        let_in = [is_let_in(lab, sessions[person], route, cell) for person in people]
        print(f"{route:<60} {' '.join('yes' if one else '-' for one in let_in)}")
        least = MAY[route]
        ranks = [ROLES.index(person) if person in ROLES else -1 for person in people]
        wanted = [least == ANYONE or (least in ROLES and r >= ROLES.index(least)) for r in ranks]
        assert let_in == wanted, (mode, route)
