"""A proxy in front of the page: with another Host, under a path, with TLS that ends there."""

import re

import pytest
from pydantic import ValidationError

from stream.config import ReviewSettings

PASSWORD = "correct horse battery"
LOGIN = {"name": "ada", "password": PASSWORD}
HOSTS = ("lab.example", "127.0.0.1")


@pytest.fixture
def enter(open_lab):
    """Sends a login with headers, to a page that is configured."""

    def enter(headers, **review):
        lab = open_lab("accounts", **review)
        lab.accounts.set("ada", "reviewer", PASSWORD)
        return lab.person().http.post("/api/login", json=LOGIN, headers=headers)

    return enter


def test_another_host_is_refused_and_says_what_to_set(enter):
    answer = enter({"Origin": "http://lab.example"})
    assert answer.status_code == 403
    assert (
        "proxy_set_header Host" in answer.json()["hint"] and "review.hosts" in answer.json()["hint"]
    )


@pytest.mark.parametrize(
    "origin", ["https://lab.example", "http://lab.example:8080", "http://LAB.example"]
)
def test_a_host_of_the_config_is_ours(enter, origin):
    assert enter({"Origin": origin}, hosts=HOSTS).status_code == 200


def test_what_the_browser_calls_the_same_site_is_ours(enter):
    assert (
        enter({"Origin": "https://lab.example", "Sec-Fetch-Site": "same-origin"}).status_code == 200
    )


def test_another_site_stays_out_behind_a_proxy(enter):
    answer = enter({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, hosts=HOSTS)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("headers", "secure"),
    [
        ({}, False),
        ({"X-Forwarded-Proto": "https"}, True),
        ({"Origin": "https://127.0.0.1"}, True),
        ({"Origin": "http://127.0.0.1"}, False),
    ],
)
def test_the_session_is_sent_back_over_tls_only_where_it_came_by_tls(enter, headers, secure):
    cookie = enter(headers).headers["set-cookie"]
    assert ("Secure" in cookie) == secure and "HttpOnly" in cookie


def test_no_page_links_to_the_root_of_the_host(open_lab):
    lab = open_lab()
    for path in (
        "/",
        f"/slides/{lab.made.slide.slide_id}",
        f"/slides/{lab.made.slide.slide_id}/report",
        "/slides/0123456789ab",
    ):
        page = lab.one.get(path).text
        assert re.findall(r'(?:href|src)="(/[^"]*)', page) == []
        assert re.findall(r'(?:href|src)="([^"]*)app.css', page) == [
            "./" + "../" * (path.count("/") - 1) + "static/"
        ]


@pytest.mark.parametrize("folder", ["", "/smears"])
def test_a_proxy_may_leave_the_folder_in_the_path(open_lab, folder):
    lab = open_lab(folder="/smears")
    for path in ("/", "/api/slides", "/static/app.css", lab.slide):
        assert lab.one.get(folder + path).status_code == 200, path


def test_to_the_login_by_a_way_that_holds_under_a_path(open_lab):
    lab = open_lab("accounts")
    sent = lab.one.get(f"/slides/{lab.made.slide.slide_id}", follow_redirects=False)
    assert sent.status_code == 303 and sent.headers["location"] == "./../login"


@pytest.mark.parametrize("folder", ["smears", "/smears/", "https://lab.example/smears", "/a b"])
def test_a_folder_that_is_none_is_refused(folder):
    with pytest.raises(ValidationError):
        ReviewSettings(folder=folder)
