"""What the page answers on one slide, whole, from the first look to the amended signature."""

import io
import json
import re

import pytest
from pypdf import PdfReader

from classify import SHORT_NAMES, read_card
from stream.identity import Claim, Identity, Order
from tests.approved import approved, laid_out, picture
from tests.stores import Filled

KINDS = {"normal": 12, "schistocyte": 1, "spherocyte": 2, "macrocyte": 5}
ANNA = Identity("S26-1", "C1", "", "O1", "P1", "Anna Ito", "1970-01-31")
BEN = Identity("S26-2", "C2", "", "O2", "P2", "Ben Oja", "1981-12-01")
SPACE = re.compile(r"\n\s*\n+")
INLINE = re.compile(
    r"(?s)<style.*?</style>|data:[\w/]+;base64,[\w+/=]+|(?<=json\" id=\"texts\">).*?(?=</script)"
)
FIXED = re.compile(r"<(?:html|title|body)[^\n]*")
HEADERS = ("cache-control", "content-disposition", "content-type", "location", "retry-after")


class Talk:
    """Asks the page, and writes down what it answers."""

    def __init__(self, lab):
        self.lab, self.lines, self.last = lab, [], {}

    def ask(self, path, body=None, with_headers=False, **options):
        """A path that begins with "/" is asked as it is, another is below that of the slide."""
        path = path if path.startswith("/") else f"{self.lab.slide}/{path}".rstrip("/")
        one = self.lab.one
        answer = one.get(path, **options) if body is None else one.post(path, body, **options)
        asked = f"GET {path}" if body is None else f"POST {path} {laid_out(body)}"
        headers = [f"{n}: {answer.headers[n]}" for n in HEADERS if n in answer.headers]
        text = self.text_of(answer)
        said = "\n".join([*(headers if with_headers else []), text])
        self.lines.append(f"## {asked}\n{answer.status_code} {said}\n")
        return answer

    def text_of(self, answer):
        """What a person can read of an answer; of what an act has changed, what is new."""
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if kind == "application/pdf":
            return "\n".join(p.extract_text() for p in PdfReader(io.BytesIO(answer.content)).pages)
        if kind.endswith("json"):
            said = json.loads(answer.text.replace(str(self.lab.made.store), "<store>"))
            is_change = answer.request.method == "POST" and "row" in said
            before, self.last = self.last, said if is_change else self.last
            return laid_out(changed(before, said) if is_change else said)
        if kind.startswith("image/"):
            return picture(answer.content)
        if not answer.request.url.path.endswith("/report"):  # what a script fills
            return "\n".join(FIXED.findall(answer.text)) or answer.text
        return SPACE.sub("\n", INLINE.sub("...", answer.text))

    def begin(self):
        """What is the case before the first act."""
        self.last = self.lab.one.get(f"{self.lab.slide}/changes").json() | {"cells": []}
        return self

    def is_approved(self, name):
        names = {f"model-{name}": read_card(path).model_id for name, path in SHORT_NAMES.items()}
        approved(__file__, name, "\n".join(self.lines), **names)
        self.lines.clear()


def changed(before, now):
    """What is in a JSON value and was not before, at its place; the lines of the count that
    differ.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        new = {name: one for name, one in now.items() if before.get(name) != one}
        return {name: changed(before.get(name), one) for name, one in new.items()}
    if isinstance(before, list) and isinstance(now, list) and "interval" in str(now):
        return [one for one in now if one not in before]
    return now


@pytest.fixture
def talk(open_lab, tmp_path, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ada")
    made = Filled(tmp_path / "store")
    made.add(4, odd=1)
    made.add_reds(KINDS)
    with made.outbox.transaction() as tx:
        claims = [Claim("slide", Identity(barcode="C1"))]
        tx.set_claims(made.slide.slide_id, "slide", "", claims)
        for order in (ANNA, BEN):
            tx.put_order(Order(order, source="test"))
    return Talk(open_lab(made=made.done()))


def test_what_is_read(talk):
    cell = talk.lab.cells()[0]
    for path in ("/api/slides", "/api/slides?search=Ito", "/api/slides?search=Nobody"):
        talk.ask(path)
    for path in ("", "changes", "review-order", "before-signing", "seen", "identity"):
        talk.ask(path)
    for path in ("", "/nearest", "/like"):
        talk.ask(f"cells/{cell}{path}")
    for path in ("agreement", "versions", "trail", "red"):
        talk.ask(path)
    for path in ("/api/atlas", "/api/models", "/api/taught", "/api/preferences", "/api/audit"):
        talk.ask(path)
    talk.is_approved("read")
    look_at_pictures(talk)
    talk.is_approved("pictures")
    look_at_pages(talk)
    talk.is_approved("pages")


def look_at_pictures(talk):
    red = talk.lab.one.get(f"{talk.lab.slide}/red").json()["cells"][0][1]
    cells = talk.lab.cells()[:2]
    for path in (*(f"cells/{cell}/image" for cell in cells), f"red/{red}/image"):
        talk.ask(path, with_headers=True)
    for path in ("tiles/0/0/0", "tiles/10/1/2", "tiles/9/0/0", "tiles/10/2/2", "tiles/9/1/1"):
        talk.ask(path, with_headers=True)
    for path in ("tiles/10/3/0", "tiles/11/0/0", "tiles/10/-1/0", "beside/label", "beside/nobody"):
        talk.ask(path)
    for path in ("/api/atlas/blast/0", "/api/atlas/blast/5", "/api/atlas/blast/6"):
        talk.ask(path)


def look_at_pages(talk):
    own = talk.lab.slide.removeprefix("/api")
    for path in ("/", own, f"{own}/red", "/models", "/login", "/slides/" + "0" * 20):
        talk.ask(path, with_headers=True)
    for language in ("en", "de"):
        talk.ask(f"{own}/report", with_headers=True, headers={"accept-language": language})


def act(talk, path, **wish):
    """Does something, having seen all that was done before."""
    return talk.ask(path, {**wish, "saw": talk.lab.number()})


def test_what_a_person_does(talk):
    """Each answer is what has changed; the reports before and after the signature, as the
    laboratory's system and a person read them; at the end the trail, the versions, the worklist.
    """
    cells = talk.lab.cells()
    talk.begin()
    act(talk, "assignment", assignee="eve", stat=True)
    act(talk, "decisions", action="reclassify", cell_ids=cells[:2], label="blast")
    act(talk, "decisions", action="confirm", cell_ids=cells[2:3])
    act(talk, "decisions", action="unidentified", cell_ids=cells[3:])
    act(talk, "undo")
    act(talk, "comments", text="a cell", cell_id=cells[0])
    act(talk, "comments", text="a place", place_px0=[30, 40])
    act(talk, "comments", text="the slide")
    stated = {"accession": "S26-2", "patient_name": "Ben Oja", "birth_date": "1981-12-01"}
    act(talk, "identity", **stated)
    alerts = talk.lab.one.get(f"{talk.lab.slide}/changes").json()["alerts"]
    seen = [one["alert_id"] for one in alerts]
    act(talk, "acknowledgements", alert_ids=seen, comment="seen")
    talk.is_approved("acts")
    for ending in ("csv", "red.csv", "geojson", "fhir.json", "pdf"):
        talk.ask(f"report.{ending}", with_headers=True)
    talk.is_approved("reports")
    act(talk, "signatures", name="ada", comment="signed for")
    for ending in ("csv", "pdf"):
        talk.ask(f"report.{ending}", with_headers=True)
    act(talk, "amendments", reason="one more look")
    for path in ("before-signing", "review-order", "agreement", "versions", "trail"):
        talk.ask(path)
    talk.ask("/api/slides")
    talk.is_approved("signed")


def test_what_is_refused(talk):
    """The status, what is wrong, and what to do next."""
    cell, none = talk.begin().lab.cells()[0], "0" * 20
    act(talk, "decisions", action="reclassify", cell_ids=[none], label="blast")
    act(talk, "decisions", action="reclassify", cell_ids=[cell], label="unicorn")
    act(talk, "decisions", action="rename", cell_ids=[cell], label="blast")
    talk.ask("decisions", {"action": "confirm", "cell_ids": [cell], "saw": 7})
    act(talk, "acknowledgements", alert_ids=[none])
    act(talk, "comments", text=" ")
    act(talk, "comments", text="on no cell", cell_id=none)
    act(talk, "comments", text="both", cell_id=cell, place_px0=[3, 4])
    for place in ([700, 0], [0, 700], [699, 699]):
        act(talk, "comments", text="at the border", place_px0=place)
    act(talk, "undo")
    act(talk, "identity")
    act(talk, "amendments", reason="nothing is signed")
    talk.ask("signatures", {"saw": talk.lab.number(), "name": "somebody else"})
    act(talk, "signatures", name="ada")
    talk.lab.see_all()
    act(talk, "signatures", name="ada", identity="0" * 32)
    talk.lab.sign()
    act(talk, "decisions", action="confirm", cell_ids=[cell])
    act(talk, "assignment", assignee="eve")
    act(talk, "second-reading", cell_ids=[cell], label="unicorn")
    for path in (f"cells/{none}", f"red/{none}/image", "report.txt", "report.pdf?version=9"):
        talk.ask(path)
    for path in (f"/api/slides/{none}", "/api/models/m1/differences", "/api/nothing"):
        talk.ask(path)
    talk.ask("/api/login", {"name": "eve", "password": "x"})
    talk.ask("/api/taught", {"name": "unidentified"})
    talk.ask("/api/taught/strange/switch", {"on": True})
    talk.ask("/api/taught/strange/lesson", {})
    talk.ask("/api/models/use", {"name": "white", "model_id": "other"})
    talk.ask("/api/models/use", {"name": "none", "model_id": "other"})
    talk.ask("/api/models/back", {"kind": "red"})
    talk.ask("/api/preferences", {"goal": -1})
    talk.is_approved("refused")
