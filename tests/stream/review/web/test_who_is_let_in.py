"""Who a request is of and what it may do, case by case, and every refusal of an account, whole;
without a server.
"""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from starlette.requests import Request
from starlette.responses import Response

from ingest import CytostreamError
from stream.config import ReviewSettings
from stream.oauth import SignedIn
from stream.review.seen_area import SeenGrid
from stream.review.web import accounts as module
from stream.review.web import auth
from stream.review.web.accounts import AT_ONCE, Accounts, BusyError, Person, Preferences
from stream.review.web.auth import Authenticator, DoorError, came_by_tls, check_origin, need
from tests.approved import approved


@pytest.fixture
def now(monkeypatch):
    clock = SimpleNamespace(s=1_000_000.0)
    monkeypatch.setattr(module, "time", lambda: clock.s)
    return clock


@pytest.fixture
def accounts(tmp_path, now):
    made = Accounts(tmp_path)
    yield made
    made.close()


def told(call, *given):
    try:
        return repr(call(*given))
    except DoorError as error:
        return f"{error.status} {error.detail} -> {error.hint}"
    except CytostreamError as error:
        return f"{error.what} -> {error.hint}"


def test_every_change_of_accounts(accounts, now):
    word = "a horse of ada"
    lines = [
        f"{name} {role} {len(password)}: {told(accounts.set, name, role, password)}"
        for name, role, password in (
            ("a b", "admin", word),
            ("ada", "chief", word),
            ("ada", "admin", "x" * 9),
            ("ada", "admin", "x" * 257),
            ("ada", "reviewer", word),
            ("ada", "admin", "x" * 10),
            ("ada", "admin", "x" * 256),
            ("ada", "viewer", word),
            ("bob", "admin", word),
            ("ada", "viewer", word),
        )
    ]
    lines += [f"{accounts.had_any()} {accounts.has_any()} {accounts.people()}"]
    accounts.provided.admit(SignedIn("https://id", "u-1", "eve", "Eve", ()))
    for name in ("nobody", "bob", "ada", "eve"):
        lines.append(f"remove {name}: {told(accounts.remove, name)}")
    lines.append(f"eve: {told(accounts.set, 'eve', 'admin', word)}")
    lines.append(f"ada: {told(accounts.set, 'ada', 'admin', word)}")
    accounts.provided.admit(SignedIn("https://id", "u-2", "joe", "Joe", ()))
    lines.append(f"joe: {told(accounts.set, 'joe', 'admin', word)}")
    lines.append(f"{accounts.had_any()} {accounts.has_any()} {accounts.people()}")
    approved(__file__, "accounts", "\n".join(lines))


def test_an_account_that_was_the_only_one(accounts):
    assert not accounts.had_any()
    accounts.set("ada", "admin", "a horse of ada")
    assert told(accounts.remove, "ada") == "'ada' is the last account -> make another admin first"
    accounts.set("bob", "viewer", "a horse of bob")
    assert told(accounts.remove, "ada") == "'ada' is the last admin -> make another admin first"
    accounts.remove("bob")
    assert [one.name for one in accounts.people()] == ["ada"]


def test_passwords_and_sessions(accounts, now):
    accounts.set("ada", "reviewer", "a horse of ada")
    assert accounts.check("ada", "a horse of ada") == Person("ada", "reviewer")
    assert accounts.check("ada", "another") is None
    token = accounts.begin(Person("ada", "reviewer"), 2)
    assert len(token) == 43 and accounts.who(token) == Person("ada", "reviewer")
    assert not accounts.is_local(token)
    now.s += 7199
    assert accounts.who(token)
    now.s += 1
    assert accounts.who(token) is None
    local = accounts.begin_local(1)
    assert accounts.is_local(local) and accounts.who(local) is None
    accounts.end(local)
    assert not accounts.is_local(local)
    local = accounts.begin_local(1)
    accounts.set("ada", "admin", "a horse of ada")
    assert not accounts.is_local(local)
    stamps = {accounts.stamp(one) for one in ("a", "b")}
    keys = {accounts.derived(*one) for one in (("a", "b"), ("a", "c"), ("b", "b"))}
    assert len(stamps) == 2 and len(keys) == 3 and {len(one) for one in stamps | keys} == {64}
    assert accounts.stamp("a") == accounts.stamp("a") and accounts.derived("a", "\udcff")


def test_only_so_many_passwords_are_checked_at_once(accounts):
    assert AT_ONCE == 2 and accounts._hashing._initial_value == 2
    assert accounts._waiting._initial_value == 16
    for _ in range(16):
        accounts._waiting.acquire()
    with pytest.raises(BusyError) as busy:
        accounts.check("ada", "x")
    assert (busy.value.what, busy.value.hint) == (
        "too many log in at once",
        "try again in a few seconds",
    )
    accounts._waiting.release()
    asked = []
    accounts._hasher = SimpleNamespace(verify=lambda made, word: not asked.append((made, word)))
    for _ in range(3):
        assert accounts.check("bob", "x") is None
    assert asked == [(module._NOBODY, "x")] * 3
    assert module._NOBODY.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_whom_a_provider_has_signed_in(accounts, now):
    oidc = SimpleNamespace(issuer="https://id", roles={"doctors": "reviewer"})
    accounts.provided.admit(SignedIn("https://id", "u-1", "eve", "Eve It", ("doctors",)))
    accounts.provided.admit(SignedIn("https://id", "u-2", "joe", "Joe", ()))
    eve, joe = (accounts.begin_provided(name, 1) for name in ("eve", "joe"))
    assert accounts.who_provided(eve, oidc) == Person("eve", "reviewer", "Eve It")
    assert accounts.who_provided(joe, oidc) is None and accounts.who_provided("x", oidc) is None
    assert accounts.who(eve) is None and not accounts.is_local(eve)
    other = SimpleNamespace(issuer="https://other", roles=oidc.roles)
    assert accounts.who_provided(eve, other) is None
    assert accounts.who_provided(accounts.begin_local(1), oidc) is None
    accounts.remove("eve")
    assert accounts.who_provided(eve, oidc) is None


def test_what_a_person_has_chosen_and_seen(accounts):
    plain = Preferences()
    assert plain.model_dump() == {"keys": {}, "goal": 100, "language": None}
    chosen = Preferences(keys={"blast": "b"}, goal=0, language="de")
    accounts.prefer("ada", chosen)
    assert accounts.preferences("ada") == chosen and accounts.preferences("bob") == plain
    accounts._preferences.put("ada", '{"none": 1}')
    assert accounts.preferences("ada") == plain
    for wrong in ({"goal": -1}, {"goal": 10_001}, {"keys": {"a": "b", "c": "b"}}, {"x": 1}):
        with pytest.raises(ValueError, match="validation error"):
            Preferences(**wrong)
    assert Preferences(goal=10_000).goal == 10_000
    grid = SeenGrid(64, 4, 2)
    one, two = (grid.text(np.arange(8) == number) for number in (1, 6))
    assert accounts.seen("ada", "s1", grid) == grid.text(grid.squares(""))
    assert accounts.see("ada", "s1", grid, one) == one
    assert accounts.see("ada", "s1", grid, two) == grid.joined(one, two)
    assert accounts.seen("ada", "s1", grid) == grid.joined(one, two)
    assert accounts.seen("bob", "s1", grid) == accounts.seen("ada", "s2", grid)
    larger = SeenGrid(64, 40, 20)
    assert not larger.squares(accounts.seen("ada", "s1", larger)).any()


def request(headers=(), client=("9.9.9.9", 1), method="GET", scheme="http", doors=None):
    raw = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": "http", "method": method, "headers": raw, "client": client, "path": "/"}
    scope |= {"scheme": scheme, "server": ("here", 80), "query_string": b"", "root_path": ""}
    if doors:
        scope["app"] = SimpleNamespace(state=SimpleNamespace(doors=doors))
    return Request(scope)


class Known:
    """Accounts that know a token a way to sign in."""

    def __init__(self, has_any=False):
        self.has_any = lambda: has_any
        self.who = lambda token: Person("ada", "reviewer") if token == "ada" else None
        self.who_provided = lambda token, oidc: Person("eve", "viewer") if token == "eve" else None
        self.is_local = lambda token: token == "local"
        self.begin_local = lambda hours: f"local for {hours} h"
        self.stamp = lambda token: f"stamp of {token}"


def doors_of(mode, secure=False, has_any=False, secret="", **config):
    settings = ReviewSettings.model_construct(**{**ReviewSettings().model_dump(), **config})
    return Authenticator(mode, Known(has_any), settings, secure, secret, None, "printed")


def test_who_asks(monkeypatch):
    monkeypatch.setattr(auth, "local_name", lambda: "me")
    lines = []
    for mode, has_any in (("local", False), ("local", True), ("accounts", True), ("oidc", False)):
        for secure in (False, True):
            doors = doors_of(mode, secure, has_any)
            for token in ("local", "ada", "eve", ""):
                cookie = [("cookie", f"{doors.cookie}={token}")]
                said = told(doors.person, request(cookie))
                lines.append(f"{mode} {has_any} {doors.cookie}={token}: {doors.mode} {said}")
    approved(__file__, "who_asks", "\n".join(lines))


PROXY = {
    "proxy_header": "x-user",
    "proxy_secret_header": "x-secret",
    "proxy_addresses": ("10.0.0.1",),
    "proxy_roles": {"ada": "admin"},
    "proxy_socket": "",
}


def test_whom_a_proxy_names():
    lines = []
    user, shown = ("x-user", " ada "), ("x-secret", "s")
    for name, headers, client, own, secret in (
        ("with its secret", [user, shown], "10.0.0.1", {}, "s"),
        ("another secret", [user, ("x-secret", "t")], "10.0.0.1", {}, "s"),
        ("no secret is set", [user, ("x-secret", "")], "10.0.0.1", {}, ""),
        ("another address", [user, shown], "10.0.0.2", {}, "s"),
        ("at a socket", [user], None, {"proxy_socket": "p"}, ""),
        ("at a socket with a secret", [user, shown], None, {"proxy_socket": "p"}, "s"),
        ("at a socket without it", [user], None, {"proxy_socket": "p"}, "s"),
        ("by an address beside the socket", [user, shown], "10.0.0.1", {"proxy_socket": "p"}, "s"),
        ("no address at all", [user, shown], None, {}, "s"),
        ("two names", [user, user, shown], "10.0.0.1", {}, "s"),
        ("no name", [shown], "10.0.0.1", {}, "s"),
        ("a name that is none", [("x-user", "<b>"), shown], "10.0.0.1", {}, "s"),
        ("another name", [("x-user", "LAB\\bob"), shown], "10.0.0.1", {}, "s"),
        ("a long name", [("x-user", "x" * 64), shown], "10.0.0.1", {}, "s"),
        ("too long a name", [("x-user", "x" * 65), shown], "10.0.0.1", {}, "s"),
    ):
        doors = doors_of("proxy", secret=secret, **{**PROXY, **own})
        asked = request(headers, client and (client, 1))
        lines.append(f"{name}: {told(doors.person, asked)}")
        caller = doors.caller(asked.scope)
        lines.append(f"  counted for {caller}")
    approved(__file__, "by_proxy", "\n".join(lines))


def test_hosts_that_are_served():
    lines = []
    for mode, hosts in (("local", ()), ("accounts", ()), ("accounts", ("lab.example",))):
        doors = doors_of(mode, hosts=hosts)
        for host in (
            "localhost",
            "127.0.0.1:80",
            "[::1]:9",
            "LAB.example:1",
            "a b",
            "",
            "x:123456",
        ):
            lines.append(f"{mode} {hosts} {host}: {doors.refused(request([('host', host)]).scope)}")
        for header in ("forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-host"):
            asked = request([("host", "localhost"), (header, "1")])
            lines.append(f"{mode} {hosts} {header}: {doors.refused(asked.scope)}")
    approved(__file__, "hosts", "\n".join(lines))


def cookies(doors, call):
    response = Response()
    call(response)
    return re.sub("expires=[^;]+", "expires=then", response.headers.get("set-cookie", "none"))


def test_sessions_and_changes(monkeypatch):
    lines = []
    for secure, scheme in ((False, "http"), (True, "http"), (False, "https")):
        doors = doors_of("local", secure, session_hours=2.5)
        asked = request(scheme=scheme)
        for secret in ("printed", "another"):
            said = []

            def opened(response, secret=secret, said=said, doors=doors, asked=asked):
                said.append(told(doors.open_local, secret, asked, response))

            lines.append(f"{secret}: {cookies(doors, opened)} {said}")
        lines.append(cookies(doors, doors.take_cookie))
    closed = doors_of("accounts")
    lines.append(told(closed.open_local, "printed", request(), Response()))
    doors = doors_of("accounts", hosts=("lab.example",))
    cookie = ("cookie", f"{doors.cookie}=t")
    for headers in (
        [cookie, ("x-csrf-token", "stamp of t")],
        [cookie, ("x-csrf-token", "stamp of u")],
        [cookie],
        [("x-csrf-token", "stamp of ")],
        [cookie, ("x-csrf-token", "stamp of t"), ("origin", "https://evil.example")],
    ):
        lines.append(f"{headers}: {told(doors.check_change, request(headers, method='POST'))}")
    monkeypatch.setattr(auth.secrets, "token_urlsafe", lambda size: f"random of {size}")
    for mode in ("proxy", "accounts"):
        doors = doors_of(mode)
        for headers in ([cookie], []):
            tokens = []
            asked = request(headers)
            given = cookies(
                doors, lambda r, d=doors, a=asked, t=tokens: t.append(d.anonymous(a, r))
            )
            lines.append(f"{mode} {headers}: {tokens} {given}")
    approved(__file__, "sessions", "\n".join(lines))


def test_where_a_change_comes_from():
    lines = []
    for headers in (
        [],
        [("origin", "http://here")],
        [("origin", "http://HERE")],
        [("origin", "http://evil")],
        [("origin", "http://evil"), ("sec-fetch-site", "same-origin")],
        [("origin", "http://evil"), ("sec-fetch-site", "cross-site")],
        [("origin", "https://lab.example:8443")],
        [("origin", "https://LAB.example")],
        [("origin", "null")],
        [("origin", "http://[")],
    ):
        asked = request([("host", "here"), *headers])
        said = told(check_origin, asked, ("lab.example",))
        lines.append(f"{headers}: {said}, by TLS {came_by_tls(asked)}")
    proto = request([("x-forwarded-proto", "https")])
    assert (
        came_by_tls(proto) and came_by_tls(request(scheme="https")) and not came_by_tls(request())
    )
    assert told(check_origin, request([("host", "a"), ("origin", "http://b")])).startswith("403")
    approved(__file__, "origins", "\n".join(lines))


def test_what_a_role_may():
    doors = doors_of("accounts")
    cookie = ("cookie", f"{doors.cookie}=ada")
    stamp = ("x-csrf-token", "stamp of ada")
    lines = []
    for role in ("viewer", "reviewer", "admin"):
        for method, headers in (
            ("GET", [cookie]),
            ("HEAD", [cookie]),
            ("OPTIONS", [cookie]),
            ("POST", [cookie]),
            ("POST", [cookie, stamp]),
            ("DELETE", [cookie, stamp]),
            ("GET", []),
        ):
            said = told(need(role), request(headers, method=method, doors=doors))
            lines.append(f"{role} {method} {len(headers)}: {said}")
    approved(__file__, "roles", "\n".join(lines))
    assert [Person("a", "reviewer").may(one) for one in module.ROLES] == [True, True, False]


def test_the_name_of_whoever_has_no_account_here(monkeypatch):
    for error in (KeyError("LOGNAME"), OSError("no user")):

        def refuse(error=error):
            raise error

        monkeypatch.setattr(auth.getpass, "getuser", refuse)
        assert auth.local_name() == "local"
    monkeypatch.setattr(auth.getpass, "getuser", lambda: "ada")
    assert auth.local_name() == "ada"
