"""The rules of the HTTP intake one by one: which paths, which callers, what is answered, which file
holds the token.
"""

import asyncio
import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError

from ingest import CytostreamError
from stream.config import BacklogSettings
from stream.intake import http
from stream.intake.http import (
    Guard,
    Served,
    Specimen,
    _place_of,
    allowed,
    intake_token,
    make_intake_app,
    open_intake,
    read_token,
    refuse_invalid,
)
from stream.store import Backlog

TOKEN = "0123456789abcdef"


@pytest.fixture
def scans(tmp_path):
    for name in ("scans/a.svs", "scans/closed/b.svs", "other/c.svs", "scans/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("slide")
    return tmp_path / "scans"


def answer(path, served):
    try:
        root, found = allowed(path, served)
    except HTTPException as refused:
        return refused.status_code, refused.detail
    return root, found.path


def test_only_slides_of_the_folders_are_allowed(scans, tmp_path, monkeypatch):
    served = Served((scans, tmp_path / "other"), (scans / "closed",))
    outside = 403, "not in a folder whose slides may be announced"
    nothing = 404, "no slide is there: is the share mounted here?"
    assert answer(scans / "a.svs", served) == (scans, scans / "a.svs")
    assert answer(tmp_path / "other" / "c.svs", served) == (
        tmp_path / "other",
        tmp_path / "other" / "c.svs",
    )
    for path in (scans / "notes.txt", scans / "none.svs", scans, tmp_path / "other"):
        assert answer(path, served) == nothing
    for path in (
        scans / "closed" / "b.svs",
        scans / "closed" / "none.svs",
        tmp_path / "d.svs",
        Path("/etc/passwd"),
        scans / "a\0.svs",
    ):
        assert answer(path, served) == outside
    monkeypatch.chdir(scans)
    assert answer(Path("a.svs"), served) == outside  # of whichever folder a caller means
    assert answer(scans / "a.svs", Served(())) == outside
    both = Served((tmp_path, scans))
    assert answer(scans / "a.svs", both)[0] == tmp_path


def scope(**headers):
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "headers": named, "client": ("10.0.0.9", 5)}


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"host": "lab", "authorization": f"Bearer {TOKEN}"}, None),
        ({"host": "LAB:80", "authorization": f"Bearer {TOKEN}"}, None),
        ({"host": "evil"}, (400, "this host name is not served here")),
        ({}, (400, "this host name is not served here")),
        ({"host": "lab", "origin": "x"}, (403, "no web page may call this")),
        ({"host": "lab", "sec_fetch_site": "same-origin"}, (403, "no web page may call this")),
        (
            {"host": "lab", "sec_fetch_site": "none"},
            (401, "show the token: Authorization: Bearer ..."),
        ),
        (
            {"host": "lab", "authorization": TOKEN},
            (401, "show the token: Authorization: Bearer ..."),
        ),
    ],
)
def test_who_is_refused_and_why(headers, refused):
    guard = Guard(TOKEN, ["Lab"])
    assert guard.refused(scope(**headers)) == refused
    known = headers.get("authorization") == f"Bearer {TOKEN}"
    caller = guard.caller(scope(**headers))
    assert caller == http.Caller("10.0.0.9", known) and guard.is_known(scope(**headers)) is known


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        ("waiting", "a.svs: away", "it is tried again later; the terminal says why"),
        ("partial", "x", "some of it could not be read; the review page says what"),
        ("failed", "x", "it could not be done; the terminal says why"),
        ("done", "x", None),
        ("failed", None, None),
    ],
)
def test_a_reason_names_no_file(state, reason, said):
    row = {"number": 7, "state": state, "tries": 2, "slide_id": "s1", "reason": reason}
    assert _place_of(row).model_dump() == row | {"reason": said}


def test_what_is_stated_is_kept_as_json_or_not_at_all():
    assert Specimen().body() is None
    stated = json.loads(Specimen(accession=" S1 ", order="O7").body())
    assert stated == {"accession": "S1", "order": "O7"}


def test_a_fault_of_a_request_is_named_by_place_and_rule():
    def ask(*faults):
        reply = asyncio.run(refuse_invalid(None, RequestValidationError(list(faults))))
        return reply.status_code, reply.body.decode()

    first = {"loc": ("body", "mpp"), "msg": "too large é", "input": "secret"}
    assert ask(first, {"loc": ("x",), "msg": "y"}) == (
        422,
        '{"detail":"body.mpp: too large \\\\xe9","hint":""}',
    )
    status, body = ask({"loc": ("b" * 300,), "msg": "m"})
    assert status == 422 and body == '{"detail":"' + "b" * 200 + '","hint":""}'
    other = asyncio.run(refuse_invalid(None, ValueError("x")))
    assert other.body == b'{"detail":": not valid","hint":""}'


def test_the_application_has_limits_and_no_pages(outbox, monkeypatch):
    asked = []

    limits = http.Limits
    monkeypatch.setattr(http, "Bucket", lambda *about: asked.append(about) or "bucket")
    monkeypatch.setattr(http, "Limits", lambda *about: asked.append(about) or limits(*about))
    guard = Guard(TOKEN, ["lab"])
    app = make_intake_app(Backlog(outbox, BacklogSettings()), Served(()), guard)
    assert asked == [(50.0, 200.0), ("bucket", 10_000)]
    assert (app.docs_url, app.redoc_url, app.openapi_url, app.title) == (
        None,
        None,
        None,
        "cytostream intake",
    )
    (shield,) = app.user_middleware
    assert shield.kwargs["refused"] == guard.refused and shield.kwargs["caller"] == guard.caller


def test_where_it_is_served_and_under_which_names(outbox, monkeypatch):
    asked = []

    class Serving:
        def __init__(self, *about):
            asked.append(about[1:])

        def __enter__(self):
            return self

        def __exit__(self, *_):
            asked.append("end")

    monkeypatch.setattr(http, "serving", Serving)
    monkeypatch.setattr(
        http, "Guard", lambda token, names: asked.append(names) or Guard(token, names)
    )
    monkeypatch.setattr(http.socket, "gethostname", lambda: "box")
    monkeypatch.setattr(http.socket, "getfqdn", lambda: "box.lab")
    backlog = Backlog(outbox, BacklogSettings())
    with open_intake("127.0.0.1:8080", backlog, Served(()), TOKEN, ["scans"]) as url:
        assert url == "http://127.0.0.1:8080"
    assert asked == [
        ("127.0.0.1", "localhost", "box", "box.lab", "scans"),
        ("127.0.0.1:8080", "intake"),
        "end",
    ]


def test_a_token_is_read_or_made(tmp_path, monkeypatch):
    made = []
    given = tmp_path / "given"
    given.write_text(f"  {TOKEN}\n")
    assert intake_token(given, tmp_path, lambda *about: made.append(about)) == TOKEN
    assert made == [] and not (tmp_path / "intake.token").exists()
    given.write_text(TOKEN[:15])
    with pytest.raises(CytostreamError) as short:
        read_token(given)
    assert str(short.value) == (
        f"{given}: a token of fewer than 16 characters (openssl rand -hex 32)"
    )
    given.write_bytes(b"\xff" * 20)
    with pytest.raises(CytostreamError, match="cannot be read: .*give a file with the token"):
        read_token(given)
    store = tmp_path / "store"
    store.mkdir()
    (store / "intake.token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CytostreamError):
        intake_token(None, store, lambda *_: None)
    assert not (tmp_path / "elsewhere").exists()
    (store / "intake.token").unlink()
    token = intake_token(None, store, lambda *about: made.append(about))
    assert made == [(store / "intake.token", token)] and len(token) == 64
    assert (store / "intake.token").read_text() == f"{token}\n"

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    (store / "intake.token").unlink()
    monkeypatch.setattr(os, "open", full)
    with pytest.raises(CytostreamError) as refused:
        intake_token(None, store, lambda *_: None)
    assert str(refused.value) == (
        f"{store}/intake.token: cannot be made: No space left on device (choose another --store)"
    )


def test_what_is_stated_of_a_slide_that_is_done_is_kept(outbox):
    backlog = SimpleNamespace(outbox=outbox)
    http.keep_specimen(backlog, "s1", Path("/a.svs"), '{"order": "O7"}')
    assert outbox.rows("SELECT slide_id, source, place, part, order_id FROM claims") == [
        ("s1", "intake", "/a.svs", 0, "O7")
    ]
