"""How long somebody is logged in, and what an account must have."""

from contextlib import closing

import pytest
from starlette.testclient import TestClient

from stream.review.web import accounts as module
from stream.review.web.accounts import PASSWORD_MAX, PASSWORD_MIN, AccountError, Accounts
from tests.stream.review.conftest import AT, PASSWORD


@pytest.fixture
def now(monkeypatch):
    clock = [1_000_000.0]
    monkeypatch.setattr(module, "time", lambda: clock[0])
    return clock


@pytest.mark.parametrize("mode", ["accounts", "local"])
def test_a_login_ends_after_its_hours(open_lab, now, mode):
    lab = open_lab(mode, session_hours=2.0)
    person = lab.person("ada", "admin") if mode == "accounts" else lab.opened()
    now[0] += 2 * 3600 - 1
    assert person.get("/api/me").status_code == 200
    now[0] += 2
    assert person.get("/api/me").status_code == 401


def test_a_session_is_of_its_account_and_ends_alone(tmp_path, now):
    with closing(Accounts(tmp_path)) as accounts:
        for name in ("ada", "rob"):
            accounts.set(name, "admin", PASSWORD)
        people = {person.name: person for person in accounts.people()}
        first, second = accounts.begin(people["ada"], 1), accounts.begin(people["rob"], 2)
        assert (accounts.who(first).name, accounts.who(second).name) == ("ada", "rob")
        assert not accounts.is_local(first) and accounts.who("") is accounts.who("x") is None
        now[0] += 3601
        assert accounts.who(first) is None and accounts.who(second).name == "rob"
        accounts.end(first)
        assert accounts.who(second).name == "rob"
        accounts.end(second)
        assert accounts.who(second) is None


def test_no_script_and_no_other_site_gets_the_session(open_lab):
    lab = open_lab("accounts")
    lab.accounts.set("ada", "admin", PASSWORD)
    http = TestClient(lab.app, base_url=AT)
    entered = http.post("/api/login", json={"name": "ada", "password": PASSWORD})
    parts = {part.strip().lower() for part in entered.headers["set-cookie"].split(";")}
    assert {"httponly", "samesite=strict", "path=/"} <= parts
    hours = lab.app.state.doors.config.session_hours
    assert f"max-age={int(hours * 3600)}" in parts


@pytest.mark.parametrize("length", [0, 1, PASSWORD_MIN - 1, PASSWORD_MAX + 1])
def test_a_password_too_short_or_too_long_is_refused(tmp_path, length):
    with closing(Accounts(tmp_path)) as accounts:
        with pytest.raises(AccountError, match="characters"):
            accounts.set("ada", "admin", "x" * length)
        assert not accounts.has_any() and PASSWORD_MIN >= 10


@pytest.mark.parametrize("name", ["", "a" * 65, "a b", "a/b", "<b>", "a\n", "é\u202e"])
def test_a_name_that_is_none_is_refused(tmp_path, name):
    with closing(Accounts(tmp_path)) as accounts, pytest.raises(AccountError, match="account name"):
        accounts.set(name, "admin", PASSWORD)


@pytest.mark.parametrize("role", ["", "root", "Admin", "viewer "])
def test_a_role_that_is_none_is_refused(tmp_path, role):
    with closing(Accounts(tmp_path)) as accounts, pytest.raises(AccountError, match="no role"):
        accounts.set("ada", role, PASSWORD)
