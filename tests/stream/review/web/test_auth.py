"""Attacks, each with what it must get."""

import pytest
from starlette.testclient import TestClient

from stream.http.limits import Bucket
from tests.stores import filled
from tests.stream.review.conftest import AT, PASSWORD, PROXY_SECRET

EVIL = "<img src=x onerror=alert(1)>\"'.tiff"
CHANGES = {
    "decisions": {"action": "confirm", "cell_ids": ["0" * 20], "saw": 0},
    "acknowledgements": {"alert_ids": ["0" * 20], "saw": 0},
    "comments": {"text": "x", "saw": 0},
    "undo": {"saw": 0},
    "signatures": {"saw": 0},
    "amendments": {"reason": "x", "saw": 0},
}
READS = ["", "/changes", "/trail", "/report.csv", "/report.pdf", "/tiles/5/0/0"]


def test_a_stranger_gets_nothing(open_lab):
    lab = open_lab("accounts")
    stranger = TestClient(lab.app, base_url=AT, follow_redirects=False)
    for path in [
        "/api/slides",
        "/api/me",
        "/api/live",
        "/api/audit",
        *[lab.slide + r for r in READS],
    ]:
        assert stranger.get(path).status_code == 401, path
    for path, body in CHANGES.items():
        assert stranger.post(f"{lab.slide}/{path}", json=body).status_code == 401
    assert (
        stranger.get("/").headers["location"] == "./login"
        and stranger.get("/login").status_code == 200
    )
    assert stranger.get(f"/api/slides/{'0' * 20}").status_code == 401  # not 404: nothing is learnt


@pytest.mark.parametrize("path", CHANGES)
def test_a_viewer_changes_nothing(open_lab, path):
    lab = open_lab("accounts")
    viewer = lab.person("eve", "viewer")
    assert viewer.get(f"{lab.slide}/changes").status_code == 200
    assert viewer.post(f"{lab.slide}/{path}", CHANGES[path]).status_code == 403
    assert viewer.get(f"{lab.slide}/changes").json()["standing"]["number"] == 0


def test_only_an_admin_sees_the_whole_trail_and_the_accounts(open_lab):
    lab = open_lab("accounts")
    reviewer, admin = lab.person("bob"), lab.person("root", "admin")
    assert [reviewer.get(p).status_code for p in ("/api/audit", "/api/accounts")] == [403, 403]
    assert [admin.get(p).status_code for p in ("/api/audit", "/api/accounts")] == [200, 200]
    assert "hash" not in admin.get("/api/accounts").text


@pytest.mark.parametrize(
    "headers", [{}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": "\xff".encode("latin-1")}]
)
def test_a_change_without_the_stamp_is_refused(lab, headers):
    lab.one.get("/api/me")
    refused = lab.one.http.post(f"{lab.slide}/comments", json=CHANGES["comments"], headers=headers)
    assert refused.status_code == 403 and lab.number() == 0


def test_a_change_from_another_site_is_refused(lab):
    for origin in ("https://evil.example", "null"):
        assert (
            lab.one.post(
                f"{lab.slide}/comments", CHANGES["comments"], headers={"Origin": origin}
            ).status_code
            == 403
        )
    stamp = lab.one.get("/api/me").json()["csrf"]
    plain = {"Content-Type": "text/plain", "X-CSRF-Token": stamp}
    form = lab.one.http.post(
        f"{lab.slide}/comments", content=b'{"text": "x", "saw": 0}', headers=plain
    )
    assert form.status_code == 422 and lab.number() == 0


def test_the_stamp_of_another_session_is_refused(open_lab):
    lab = open_lab("accounts")
    alice, bob = lab.person("alice"), lab.person("bob")
    theirs = alice.get("/api/me").json()["csrf"]
    refused = bob.http.post(
        f"{lab.slide}/comments", json=CHANGES["comments"], headers={"X-CSRF-Token": theirs}
    )
    assert refused.status_code == 403


def test_another_sites_name_for_this_machine_is_refused(lab):
    assert lab.one.get("/api/slides", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2f..%2fpyproject.toml",
        "/slides/..%2f..",
        "/vendor/leaflet/..%2f..%2f__init__.py",
        "/api/slides/..%2f..%2fetc%2fpasswd",
        "/api/slides/%2e%2e/changes",
        "/api/slides/0000000000/report.csv%00",
    ],
)
def test_no_path_leads_out(lab, path):
    answer = lab.one.get(path)
    assert (
        answer.status_code in (404, 405, 422)
        and b"root:" not in answer.content
        and b"[project]" not in answer.content
    )


def test_tiles_outside_the_slide_and_ids_of_other_slides(lab):
    assert lab.one.get(f"{lab.slide}/tiles/10/0/0").headers["content-type"] == "image/jpeg"
    for place in ("10/99/0", "31/0/0", "-1/0/0", "a/0/0", "10/0/99999999999"):
        assert lab.one.get(f"{lab.slide}/tiles/{place}").status_code in (404, 422)
    assert lab.one.get(f"/api/slides/{'0' * 20}/cells/{lab.cells()[0]}").status_code == 404


def test_label_and_macro_images_stay_hidden(lab, open_lab):
    assert lab.one.get(f"{lab.slide}/beside/label").json()["detail"] == "not shown"
    assert lab.one.get(f"{lab.slide}/beside/passwd").status_code == 422


def test_with_leave_they_are_shown_where_there_are_any(open_lab):
    lab = open_lab(show_label_images=True)
    assert lab.one.get(f"{lab.slide}/beside/label").json()["detail"] == "no label image"


def test_a_name_or_comment_with_markup_is_text(open_lab, tmp_path):
    lab = open_lab(made=filled(tmp_path / "store", name=EVIL))
    assert lab.one.get(f"{lab.slide}").json()["name"] == EVIL
    lab.one.post(f"{lab.slide}/comments", {"text": "<script>alert(1)</script>", "saw": 0})
    page = lab.one.get(f"{lab.slide.removeprefix('/api')}/report")
    assert (
        "<img src=x" not in page.text
        and "<script>alert" not in page.text
        and "&lt;script&gt;" in page.text
    )
    assert "script-src 'self'" in page.headers["content-security-policy"]


def test_names_can_be_hidden(open_lab):
    lab = open_lab(show_names=False)
    said = (
        lab.one.get("/api/slides").text
        + lab.one.get(lab.slide).text
        + lab.one.get(f"{lab.slide}/report.fhir.json").text
    )
    assert "smear" not in said.replace("blood smear", "")


def test_a_body_too_large_is_refused_with_and_without_its_length(lab):
    stamp = {
        "X-CSRF-Token": lab.one.get("/api/me").json()["csrf"],
        "Content-Type": "application/json",
    }
    big = b'{"text": "' + b"x" * 1_100_000 + b'"}'
    assert lab.one.http.post(f"{lab.slide}/comments", content=big, headers=stamp).status_code == 413
    chunked = lab.one.http.post(
        f"{lab.slide}/comments", content=iter([big[:600_000], big[600_000:]]), headers=stamp
    )
    assert chunked.status_code == 413 and lab.number() == 0


def test_too_many_requests_are_turned_away_and_told_when(open_lab):
    lab = open_lab(requests_per_s=2)
    answers = [lab.one.get("/api/slides") for _ in range(12)]
    late = [a for a in answers if a.status_code == 429]
    assert late and late[0].headers["retry-after"].isdecimal() and answers[0].status_code == 200


def test_the_bucket_refills():
    now = [0.0]
    bucket = Bucket(2, 4, lambda: now[0])
    assert [bool(bucket.take("a")) for _ in range(5)] == [False] * 4 + [True] and not bucket.take(
        "b"
    )
    now[0] = 1.0
    assert [bool(bucket.take("a")) for _ in range(3)] == [False, False, True]


def test_passwords_are_not_to_be_guessed(open_lab):
    lab = open_lab("accounts", logins_per_minute=3)
    lab.accounts.set("alice", "reviewer", PASSWORD)
    http = TestClient(lab.app, base_url=AT)
    tries = [
        http.post("/api/login", json={"name": "alice", "password": f"wrong {n}"}).status_code
        for n in range(4)
    ]
    assert tries == [401, 401, 401, 429]
    assert PASSWORD.encode() not in (lab.made.store / "access.db").read_bytes()
    assert (lab.made.store / "access.db").stat().st_mode & 0o077 == 0


def test_a_session_ends_with_logout_and_with_a_new_password(open_lab):
    lab = open_lab("accounts")
    alice, again = lab.person("alice"), None
    cookie = alice.http.cookies["cytostream_session"]
    assert alice.post("/api/logout").status_code == 204
    again = TestClient(lab.app, base_url=AT, cookies={"cytostream_session": cookie})
    assert again.get("/api/me").status_code == 401
    bob = lab.person("bob")
    lab.accounts.set("bob", "viewer", PASSWORD + "!")
    assert bob.get("/api/me").status_code == 401


def test_a_signature_wants_the_password_once_more(open_lab):
    lab = open_lab("accounts")
    lab.one = lab.person("alice")
    lab.see_all()
    assert lab.sign(password="wrong").status_code == 403
    assert lab.sign(password=PASSWORD).json()["standing"]["signatures"][0]["by"] == "alice"


def test_a_proxys_word_counts_only_from_where_the_proxy_is(open_lab):
    lab = open_lab(
        "proxy",
        proxy_header="X-Remote-User",
        proxy_addresses=("testclient",),
        proxy_roles={"alice": "reviewer"},
    )
    shown = {"X-Proxy-Secret": PROXY_SECRET}
    assert lab.one.get("/api/me", headers=shown).status_code == 401
    assert (
        lab.one.get("/api/me", headers={"X-Remote-User": "alice", **shown}).json()["role"]
        == "reviewer"
    )
    assert (
        lab.one.get("/api/me", headers={"X-Remote-User": "mallory", **shown}).json()["role"]
        == "viewer"
    )
    far = TestClient(lab.app, base_url=AT, client=("203.0.113.9", 1))
    assert far.get("/api/me", headers={"X-Remote-User": "alice", **shown}).status_code == 401


def test_every_answer_wears_the_headers(lab):
    for path in ("/", "/api/slides", "/nowhere", "/static/app.css", f"{lab.slide}/report.pdf"):
        headers = lab.one.get(path).headers
        assert (
            headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        ), path
        assert "default-src 'none'" in headers["content-security-policy"]


def test_a_fault_of_the_store_names_no_file(lab):
    lab.library.queries.close()
    answer = lab.one.get("/api/slides")
    assert answer.status_code == 503 and str(lab.made.store) not in answer.text
