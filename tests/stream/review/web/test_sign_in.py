"""The review page with people whom an OpenID Connect provider signs in."""

import time
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from stream.cli.app import app as command
from stream.events.payloads import AccessData
from stream.review.web import local_name, routes_signin
from tests.oidc_provider import ADA, query_of
from tests.stream.review.conftest import AT, PASSWORD, Client


@pytest.fixture
def page(provider, open_lab):
    """A page that this provider signs people in to."""
    return open_lab("oidc", oidc=provider.settings())


def browser(page):
    return TestClient(page.app, base_url=AT, follow_redirects=False)


def sign_in(page, provider, person=None, http=None):
    """The browser, and the answer to what the provider has sent it back with."""
    http = http or browser(page)
    sent = http.get("/login/start").headers["location"]
    return http, http.get(provider.approve(sent, person))


def trail(page):
    said = [entry.payload() for _, entry in page.library.trail.entries(0)]
    return [(p.action, p.account, p.subject) for p in said if isinstance(p, AccessData)]


def test_a_person_signs_in_signs_and_leaves(page, provider):
    http, entered = sign_in(page, provider)
    assert entered.status_code == 200, entered.text
    assert 'content="0;url=./../"' in entered.text
    page.one = Client(http)
    me = http.get("/api/me").json()
    assert (me["name"], me["role"], me["mode"]) == ("ada", "reviewer", "oidc")
    assert "Ada Ito, ada (reviewer)" in http.get("/").text
    page.see_all()
    assert page.sign(name="Ada Ito").status_code == 403
    assert page.sign(name="ada").json()["standing"]["signatures"][0]["by"] == "ada"
    said = CliRunner().invoke(command, ["accounts", "list", "--store", str(page.made.store)])
    assert said.output == f"ada\t{provider.issuer} u-1\n"
    assert page.one.post("/api/logout").status_code == 204
    assert http.get("/api/me").status_code == 401
    assert http.get("/").headers["location"] == "./login"
    leaving = http.get("/login/end").headers["location"]
    assert leaving.startswith(f"{provider.issuer}/end_session?")
    assert query_of(leaving)["post_logout_redirect_uri"] == f"{AT}/login"
    subject = f"{provider.issuer} u-1"
    assert trail(page) == [("login", "ada", subject), ("logout", "ada", "")]


def test_what_must_not_get_in(page, provider, monkeypatch):
    """One page, since a store is slow to make: each try is in a browser of its own."""
    provider.claims = {"nonce": "x" * 64}
    wrong_token = sign_in(page, provider)
    provider.claims = {}
    no_role = sign_in(page, provider, {**ADA, "groups": ["visitors"]})
    assert "None of your groups" in no_role[1].text
    own = sign_in(page, provider, {**ADA, "preferred_username": local_name()})
    attacker, victim = browser(page), browser(page)
    theirs = provider.approve(attacker.get("/login/start").headers["location"])
    stranger = victim, victim.get(theirs)
    victim.get("/login/start")
    mixed = victim, victim.get(theirs)
    late = browser(page)
    back = provider.approve(late.get("/login/start").headers["location"])
    later = time.time() + routes_signin.SIGN_IN_S + 1
    with monkeypatch.context() as patched:
        patched.setattr(routes_signin, "time", lambda: later)
        too_late = late, late.get(back)
    forged = browser(page)
    handles = ("", "-", "9-x", "99999999999999999999999-x", "x", f"{time.time():.0f}-x")
    made = []
    for handle in handles:
        forged.cookies.set("cytostream_signin", handle)
        made.append((forged, forged.get(back)))
    tries = [wrong_token, no_role, own, stranger, mixed, too_late, *made]
    for http, answer in tries:
        assert answer.status_code in (403, 429)
        assert "cytostream_session" not in http.cookies
        assert http.get("/api/me").status_code == 401
    noted = [(action, name) for action, name, _ in trail(page)]
    assert noted[:3] == [("login_failed", name) for name in ("", "ada", local_name())]
    assert {action for action, _ in noted} == {"login_failed"}
    assert page.accounts.provided.everyone() == []
    page.accounts.set("root", "admin", PASSWORD)
    login = {"name": "root", "password": PASSWORD}
    assert browser(page).post("/api/login", json=login).status_code == 400


def test_an_answer_counts_once_and_a_role_as_long_as_its_group(page, provider):
    http = browser(page)
    started = http.get("/login/start")
    cookie = started.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie
    sent = started.headers["location"]
    cookies = dict(http.cookies)
    back = provider.approve(sent)
    assert http.get(back).status_code == 200
    thief = TestClient(page.app, base_url=AT, cookies=cookies)
    assert thief.get(back).status_code == 403  # the same answer
    fresh = provider.approve(sent)
    assert thief.get(fresh).status_code == 403  # the same state, a code that was not used
    assert thief.get("/api/me").status_code == 401
    assert http.get("/api/me").status_code == 200
    sign_in(page, provider, {**ADA, "groups": []})
    assert http.get("/api/me").status_code == 401  # that session too


def test_failed_answers_are_counted(provider, open_lab):
    page = open_lab("oidc", oidc=provider.settings(), logins_per_minute=2)
    tries = [browser(page).get("/login/back?code=x&state=y") for _ in range(3)]
    assert [one.status_code for one in tries] == [403, 403, 429]
    assert len(trail(page)) == 2 and tries[-1].headers["retry-after"].isdecimal()


def test_a_name_stays_and_is_nobody_elses(page, provider):
    first, _ = sign_in(page, provider)
    renamed, _ = sign_in(page, provider, {**ADA, "preferred_username": "lovelace", "name": "A. L."})
    assert first.get("/api/me").json()["name"] == renamed.get("/api/me").json()["name"] == "ada"
    assert "A. L., ada" in renamed.get("/").text
    for name in ("ada", "ADA"):
        _, other = sign_in(page, provider, {**ADA, "sub": "u-9", "preferred_username": name})
        assert other.status_code == 403 and "somebody else" in other.text
    (kept,) = page.accounts.provided.everyone()
    assert (kept.subject, kept.name) == ("u-1", "ada")


def test_cookies_are_for_tls_where_the_address_is(provider, open_lab):
    page = open_lab("oidc", oidc=provider.settings(address="https://lab.example"))
    http = TestClient(page.app, base_url="https://lab.example", follow_redirects=False)
    sent = http.get("/login/start")
    assert sent.headers["set-cookie"].startswith("__Host-cytostream_signin=")
    entered = http.get(
        urlsplit(provider.approve(sent.headers["location"]))._replace(scheme="", netloc="").geturl()
    )
    assert "__Host-cytostream_session=" in entered.headers["set-cookie"]
    assert all("secure" in line.lower() for line in entered.headers.get_list("set-cookie"))
