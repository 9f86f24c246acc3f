"""Attacks on who may use the page, each with what it must get."""

import asyncio
import threading
import time
from contextlib import closing
from itertools import product, repeat

import pytest
from argon2 import PasswordHasher, extract_parameters
from starlette.testclient import TestClient

from ingest import CytostreamError
from stream.cli.page_access import mode_of, read_proxy_secret
from stream.cli.page_server import Page, path_of
from stream.config import Config, ReviewSettings
from stream.review.web import accounts as account_rules
from stream.review.web.accounts import AccountError, Accounts, BusyError
from stream.review.web.auth import local_name
from stream.review.web.live_updates import ALL
from tests.stream.review.conftest import AT, PASSWORD, PROXY_SECRET

FOREIGN = [
    "evil.example",
    "127.0.0.1.evil.com",
    "localhost.",
    "",
    "a@127.0.0.1",
    "127.0.0.1:80:80",
    "127.0.0.1/",
    "[::1",
    "192.0.2.1",
]
FORWARDED = [
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "Via",
]

BODIES = [
    b'{"password": "hunter2 hunter2"}',
    b'{"name": "ada", "password": "x", "hunter2 hunter2": 1}',
    b'{"name": "ada", "password": {"a": "hunter2 hunter2"}}',
    b'{"name": "\\ud800", "password": "hunter2 hunter2"}',
    b'{"name": "ada", "password": "x", "\\ud800": 1}',
    b'["hunter2 hunter2"]',
    b"hunter2 hunter2",
]


@pytest.fixture
def accounts(tmp_path):
    with closing(Accounts(tmp_path)) as opened:
        yield opened


def test_another_account_of_the_machine_is_nobody_in_local_mode(lab):
    stranger = lab.stranger()
    for path in (
        "/api/me",
        "/api/slides",
        lab.slide,
        f"{lab.slide}/report.csv",
        "/api/live",
        "/api/audit",
        "/api/openapi.json",
    ):
        assert stranger.get(path).status_code == 401, path
    assert stranger.get("/").status_code == 401 and "printed" in stranger.get("/").text
    for secret in (
        "",
        "x",
        lab.app.state.doors.local_secret[:-1],
        "\udcff".encode("utf-8", "replace").decode(),
    ):
        refused = stranger.get("/open", params={"secret": secret})
        assert refused.status_code == 403 and "set-cookie" not in refused.headers
    stranger.cookies.set("cytostream_session", "planted")
    assert stranger.get("/api/me").status_code == 401


def test_the_printed_address_opens_the_page_once_exchanged(lab):
    stranger, doors = lab.stranger(), lab.app.state.doors
    opened = stranger.get("/" + path_of(doors))
    assert opened.status_code == 303 and opened.headers["location"] == "./"
    assert doors.local_secret not in opened.headers["set-cookie"]
    assert stranger.get("/api/me").json()["role"] == "admin"
    assert doors.local_secret not in stranger.get("/").text


def test_a_proxy_before_a_local_page_is_refused(lab):
    for name, path in product(
        FORWARDED, ("/", "/api/me", "/" + path_of(lab.app.state.doors), "/static/app.css")
    ):
        assert lab.one.get(path, headers={name: "203.0.113.9"}).status_code == 403, (name, path)


def test_a_local_page_has_no_other_name(lab):
    for host in FOREIGN:
        assert lab.one.get("/api/me", headers={"Host": host}).status_code == 400, host
    for host in ("localhost", "127.0.0.1:8765", "[::1]:8765", "LOCALHOST"):
        assert lab.one.get("/api/me", headers={"Host": host}).status_code == 200, host


def test_the_first_account_ends_the_local_mode_of_a_page_that_runs(lab):
    with closing(Accounts(lab.made.store)) as elsewhere:  # as `cytostream accounts add` does
        elsewhere.set("ada", "admin", PASSWORD)
    assert lab.one.get("/api/me").status_code == 401
    assert lab.stranger().get("/" + path_of(lab.app.state.doors)).status_code in (303, 403, 404)
    assert lab.opened().get("/api/me").status_code == 401


def test_the_last_admin_and_the_last_account_stay(accounts):
    accounts.set("ada", "admin", PASSWORD)
    with pytest.raises(AccountError, match="last account"):
        accounts.remove("ada")
    accounts.set("rob", "reviewer", PASSWORD)
    for attempt in (
        lambda: accounts.remove("ada"),
        lambda: accounts.set("ada", "viewer", PASSWORD),
    ):
        with pytest.raises(AccountError, match="last admin"):
            attempt()
    accounts.set("eve", "admin", PASSWORD)
    accounts.remove("ada")
    assert {p.name for p in accounts.people()} == {"eve", "rob"}


def test_a_name_that_was_removed_is_never_given_again(accounts):
    accounts.set("ada", "admin", PASSWORD)
    accounts.set("rob", "reviewer", PASSWORD)
    accounts.remove("rob")
    with pytest.raises(AccountError, match="was removed"):
        accounts.set("rob", "admin", PASSWORD)


def page_of(store, host="127.0.0.1", open_again=False):
    return Page(store, host, [], store, None, [], open_again)


def test_a_store_that_had_accounts_does_not_open_by_itself(accounts, tmp_path):
    assert mode_of(page_of(tmp_path), Config(), accounts) == "local"
    accounts.set("ada", "admin", PASSWORD)
    accounts.set("rob", "admin", PASSWORD)
    accounts.remove("rob")
    accounts._table._state.rows("DELETE FROM accounts")  # by hand, or by an earlier version
    with pytest.raises(CytostreamError, match="had accounts"):
        mode_of(page_of(tmp_path), Config(), accounts)
    assert mode_of(page_of(tmp_path, open_again=True), Config(), accounts) == "local"
    with pytest.raises(CytostreamError, match="other machines"):
        mode_of(page_of(tmp_path, "0.0.0.0", open_again=True), Config(), accounts)  # noqa: S104  refused


def test_a_proxy_needs_a_secret_and_a_name(accounts, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s" * 40)
    secret.chmod(0o600)
    named = {"proxy_header": "X-Remote-User"}
    for review in (named, {**named, "hosts": ("a",)}, {**named, "proxy_secret_file": str(secret)}):
        with pytest.raises(CytostreamError, match="proxy_header is set without"):
            mode_of(page_of(tmp_path), Config(review=ReviewSettings(**review)), accounts)
    config = Config(review=ReviewSettings(**named, hosts=("a",), proxy_secret_file=str(secret)))
    assert (
        mode_of(page_of(tmp_path), config, accounts) == "proxy"
        and read_proxy_secret(config) == "s" * 40
    )
    secret.chmod(0o604)
    with pytest.raises(CytostreamError, match="everybody"):
        read_proxy_secret(config)
    secret.chmod(0o600)
    secret.write_text("short")
    with pytest.raises(CytostreamError, match="fewer than 32"):
        read_proxy_secret(config)


def test_whoever_calls_without_the_secret_is_nobody(open_lab):
    lab = open_lab(
        "proxy", proxy_header="X-Remote-User", proxy_addresses=("testclient",), hosts=("127.0.0.1",)
    )
    wrong = [
        ("alice", None),
        ("alice", ""),
        ("alice", "c" * 39),
        ("alice", "é"),
        (None, PROXY_SECRET),
    ]
    wrong += [(name, PROXY_SECRET) for name in ("=cmd|x", "a" * 65, "alice\tb", "", "-alice")]
    for name, secret in wrong:
        shown = {"X-Remote-User": name, "X-Proxy-Secret": secret}
        raw = {
            header.encode(): value.encode("latin-1")
            for header, value in shown.items()
            if value is not None
        }
        assert lab.stranger().get("/api/me", headers=raw).status_code == 401, (name, secret)


def test_a_proxy_gives_one_name_and_serves_its_hosts_only(open_lab):
    lab = open_lab(
        "proxy", proxy_header="X-Remote-User", proxy_addresses=("testclient",), hosts=("127.0.0.1",)
    )
    right = [("X-Remote-User", "alice"), ("X-Proxy-Secret", PROXY_SECRET)]
    assert lab.stranger().get("/api/me", headers=right).json()["name"] == "alice"
    assert (
        lab.stranger().get("/api/me", headers=[*right, ("X-Remote-User", "bob")]).status_code == 401
    )
    assert (
        lab.stranger().get("/api/me", headers=[*right, ("Host", "evil.example:18767")]).status_code
        == 400
    )


@pytest.mark.parametrize("secret", ["", PROXY_SECRET])
def test_at_the_socket_only_the_proxy_calls(open_lab, secret):
    lab = open_lab(
        "proxy",
        proxy_header="X-Remote-User",
        proxy_socket="/run/review.sock",
        proxy_addresses=("testclient",),
        hosts=("127.0.0.1",),
        proxy_secret=secret,
    )
    named = {"X-Remote-User": "alice"}
    shown = {**named, "X-Proxy-Secret": PROXY_SECRET}
    proxy = TestClient(lab.app, base_url=AT, client=None)
    assert proxy.get("/api/me", headers=shown).json()["name"] == "alice"
    assert proxy.get("/api/me", headers=named).status_code == (401 if secret else 200)
    assert proxy.get("/api/me").status_code == 401
    for headers in (named, shown):  # over TCP, from the proxy's address even
        assert lab.stranger().get("/api/me", headers=headers).status_code == 401


def test_a_socket_is_for_a_proxy_that_names_people_or_for_accounts(accounts, tmp_path):
    at_socket = {"proxy_socket": str(tmp_path / "review.sock")}
    config = Config(review=ReviewSettings(**at_socket))
    with pytest.raises(CytostreamError, match="nobody has an account"):
        mode_of(page_of(tmp_path), config, accounts)
    accounts.set("ada", "admin", PASSWORD)
    assert mode_of(page_of(tmp_path), config, accounts) == "accounts"
    named = ReviewSettings(**at_socket, proxy_header="X-Remote-User", hosts=("a",))
    assert mode_of(page_of(tmp_path), Config(review=named), accounts) == "proxy"
    assert read_proxy_secret(Config(review=named)) == ""


@pytest.mark.parametrize("mode", ["local", "proxy"])
def test_a_signature_is_confirmed_in_every_mode(open_lab, mode):
    lab = open_lab(
        mode,
        proxy_header="X-Remote-User",
        proxy_addresses=("testclient",),
        proxy_roles={"alice": "admin"},
    )
    if mode == "proxy":
        lab.one.http.headers.update({"X-Remote-User": "alice", "X-Proxy-Secret": PROXY_SECRET})
    lab.see_all()
    name = "alice" if mode == "proxy" else local_name()
    for wrong in ("", "eve", name + " "):
        assert lab.sign(name=wrong).status_code == 403
    assert lab.sign(name=name).status_code == 200


def messages(lab, person, name):
    """The stream of a person, as the route makes it."""

    class Request:
        cookies = person.http.cookies
        headers = person.http.headers
        client = None

    from stream.review.web.routes_read import is_still

    parts = lab.app.state.parts
    who = parts.doors.person(Request)
    return parts.hub.listen(name, lambda: is_still(parts, Request, who))


@pytest.mark.parametrize("end", ["remove", "role", "logout"])
def test_a_live_stream_ends_with_the_session(open_lab, end):
    lab = open_lab("accounts")
    lab.accounts.set("ada", "admin", PASSWORD)
    vera = lab.person("vera", "viewer")

    async def follow():
        stream = messages(lab, vera, "vera")
        first = await anext(stream)
        assert lab.app.state.parts.hub.listening("vera") == 1
        {
            "remove": lambda: lab.accounts.remove("vera"),
            "role": lambda: lab.accounts.set("vera", "reviewer", PASSWORD),
            "logout": lambda: vera.post("/api/logout"),
        }[end]()
        lab.app.state.parts.hub._tell("a change with a slide's name")
        return [first, *[message async for message in stream]]

    got = asyncio.run(asyncio.wait_for(follow(), 20))
    assert (
        got == [f"retry: 1000\ndata: {ALL}\n\n"] and lab.app.state.parts.hub.listening("vera") == 0
    )


def test_streams_of_one_person_are_counted(open_lab):
    lab = open_lab("local", streams=2)
    hub = lab.app.state.parts.hub
    hub._listeners = dict(zip(map(str, range(2)), repeat(local_name()), strict=False))
    assert (
        lab.one.get("/api/live").status_code == 429
        and lab.stranger().get("/api/live").status_code == 401
    )


def log_in(http, name, password=PASSWORD):
    return http.post("/api/login", json={"name": name, "password": password}).status_code


def test_strangers_lock_nobody_out(open_lab):
    lab = open_lab("accounts", logins_per_minute=3)
    for name in ("ada", "rob"):
        lab.accounts.set(name, "reviewer", PASSWORD)
    eve = TestClient(lab.app, base_url=AT, client=("203.0.113.9", 1))
    assert [log_in(eve, "ada", f"wrong {n}") for n in range(5)] == [401, 401, 401, 429, 429]
    at_home = TestClient(lab.app, base_url=AT)
    assert [log_in(at_home, name) for name in ("ada", "rob", "ada", "rob", "ada", "ada")] == [
        200
    ] * 6
    assert log_in(eve, "rob") == 200  # the same address, another name


def test_a_signature_has_tries_of_its_own(open_lab):
    lab = open_lab("accounts", logins_per_minute=2)
    lab.one = lab.person("rob")
    lab.see_all()
    assert [log_in(TestClient(lab.app, base_url=AT), "rob", "wrong") for _ in range(3)] == [
        401,
        401,
        429,
    ]
    assert [lab.sign(password="wrong").status_code for _ in range(3)] == [403, 403, 429]
    again = lab.opened()
    again.http.cookies.set("cytostream_session", lab.accounts.begin(lab.accounts.people()[0], 1))
    lab.one = again
    assert lab.sign(password=PASSWORD).status_code == 200


def test_thirty_logins_at_once_take_the_memory_of_two(accounts, monkeypatch):
    accounts.set("ada", "admin", PASSWORD)
    most, now, lock, go = 0, 0, threading.Lock(), threading.Event()

    class Slow:
        def verify(self, made, password):
            nonlocal most, now
            with lock:
                now += 1
                most = max(most, now)
            go.wait(5)
            with lock:
                now -= 1
            return True

    accounts._hasher = Slow()
    refused = []

    def log_in(name):
        try:
            accounts.check(name, PASSWORD)
        except BusyError:
            refused.append(name)

    threads = [threading.Thread(target=log_in, args=(f"nobody {n}",)) for n in range(30)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 10
    while len(refused) < 30 - account_rules._WAITING and time.monotonic() < end:
        time.sleep(0.001)
    go.set()
    for thread in threads:
        thread.join()
    assert most == 2 and len(refused) == 30 - account_rules._WAITING


@pytest.fixture
def accounts_as_shipped(tmp_path, monkeypatch):
    """With hashes that cost what the product's do."""
    monkeypatch.setattr(account_rules, "PasswordHasher", PasswordHasher)
    with closing(Accounts(tmp_path)) as opened:
        yield opened


def test_an_unknown_name_costs_what_a_known_one_does(accounts_as_shipped):
    accounts = accounts_as_shipped
    accounts.set("ada", "admin", PASSWORD)
    made = accounts._table.accounts()[0].password_hash
    assert (
        extract_parameters(account_rules._NOBODY)
        == extract_parameters(made)
        == extract_parameters(PasswordHasher().hash("x"))
    )
    assert (
        accounts.check("nobody", PASSWORD) is None
        and accounts.check("ada", PASSWORD).role == "admin"
    )


def test_behind_tls_the_cookie_goes_nowhere_else(open_lab):
    lab = open_lab("accounts", secure_cookies=True)
    lab.accounts.set("ada", "admin", PASSWORD)
    http = TestClient(lab.app, base_url="https://review.lab.example")
    entered = http.post("/api/login", json={"name": "ada", "password": PASSWORD})
    cookie = entered.headers["set-cookie"]
    assert cookie.startswith("__Host-cytostream_session=")
    assert (
        "; Secure" in cookie
        and "Path=/;" in cookie
        and "HttpOnly" in cookie
        and "Domain" not in cookie
    )
    assert "max-age" in entered.headers["strict-transport-security"]
    stamp = {"X-CSRF-Token": http.get("/api/me").json()["csrf"]}
    assert (
        http.post("/api/logout", headers=stamp).status_code == 204
        and http.get("/api/me").status_code == 401
    )


def test_an_origin_that_is_none_is_another_site(open_lab):
    stranger = open_lab("accounts").stranger()
    for origin in ("http://[", "http://[::1", "null", "https://evil.example"):
        answer = stranger.post(
            "/api/login", json={"name": "ada", "password": PASSWORD}, headers={"Origin": origin}
        )
        assert answer.status_code == 403, origin


def test_a_refusal_repeats_nothing_of_what_was_sent(open_lab):
    stranger = open_lab("accounts").stranger()
    for body in BODIES:
        answer = stranger.post(
            "/api/login", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422 and "hunter2" not in answer.text, body
