"""Whose slide it is on the page: shown, searched, stated, held, signed for, and on every report."""

import json
import re
import sqlite3

import pytest

from ingest import StoreError
from stream.config import Config
from stream.events import REVIEW
from stream.identity import Claim, Identity, Order
from stream.review import check_store
from stream.review.slides import SlideLibrary
from tests.stores import filled

ANNA = Identity("S26-1", "C1", "", "O1", "P1", "Anna Ito", "1970-01-31")
BEN = Identity("S26-2", "C2", "", "O2", "P2", "Ben Oja", "1981-12-01")


@pytest.fixture
def claimed(tmp_path, open_lab):
    """Opens a page over a slide of which a barcode and a name are stated, beside two orders."""

    def claimed(name=None, **rules):
        made = filled(tmp_path / "store")
        with made.outbox.transaction() as tx:
            tx.set_claims(
                made.slide.slide_id, "slide", "", [Claim("slide", Identity(barcode="C1"))]
            )
            if name:
                stated = [Claim("name", Identity(accession=name))]
                tx.set_claims(made.slide.slide_id, "name", "a.svs", stated)
            for order in (ANNA, BEN):
                tx.put_order(Order(order, source="test"))
        return open_lab(made=made, identity=rules)

    return claimed


def identity(lab):
    return lab.one.get(f"{lab.slide}/identity").json()


def state(lab, **fields):
    return lab.one.post(f"{lab.slide}/identity", {"saw": lab.number(), **fields})


def trail_events(lab):
    return [record.event for record in lab.library.trail.outbox.events(types=(REVIEW,))]


def test_a_matched_slide_shows_the_patient_everywhere_inside(claimed):
    lab = claimed()
    (row,) = lab.one.get("/api/slides").json()["slides"]
    assert (row["identity"], row["accession"], row["patient"]) == ("matched", "S26-1", "Anna Ito")
    assert identity(lab)["fields"] == {**ANNA.known(), "barcode": "C1"}
    report = lab.one.get(lab.slide.replace("/api", "") + "/report").text
    assert "Anna Ito" in report and "S26-1" in report
    assert lab.one.get(f"{lab.slide}/report.pdf").content.startswith(b"%PDF")
    entries = lab.one.get(f"{lab.slide}/report.fhir.json").json()["entry"]
    resources = {entry["resource"]["resourceType"]: entry["resource"] for entry in entries}
    report = resources["DiagnosticReport"]
    assert report["subject"]["identifier"] == {"value": "P1"}
    assert report["basedOn"][0]["identifier"] == {"value": "O1"}
    assert resources["Specimen"]["accessionIdentifier"] == {"value": "S26-1"}
    assert resources["Specimen"]["container"][0]["identifier"] == [{"value": "C1"}]


@pytest.mark.parametrize(
    ("text", "is_found"),
    [("s26-1", True), ("C1", True), ("ito", True), ("O1", True), ("S26-2", False), ("", True)],
)
def test_slides_are_searched_by_code_and_patient(claimed, text, is_found):
    lab = claimed()
    slides = lab.one.get("/api/slides", params={"search": text}).json()["slides"]
    assert bool(slides) == is_found


def test_a_conflict_is_held_until_a_person_states_whose_slide_it_is(claimed):
    lab = claimed(name="S26-2")
    said = identity(lab)
    assert said["status"] == "conflict" and "patient_name" not in said["fields"]
    lab.see_all()
    assert lab.sign().status_code == 409
    assert "different orders" in lab.one.get(f"{lab.slide}/before-signing").json()["missing"]
    assert state(lab, accession="S26-2").json()["status"] == "matched"
    assert lab.sign().status_code == 200
    assert (identity(lab)["status"], identity(lab)["fields"]["patient_id"]) == ("signed", "P2")


def test_a_demand_is_met_before_a_signature(open_lab):
    lab = open_lab(identity={"demand": "order"})
    lab.see_all()
    assert "no order" in lab.sign().json()["detail"]
    state(lab, accession="S26-9")
    assert "no order" in lab.sign().json()["detail"]
    with lab.made.outbox.transaction() as tx:
        tx.put_order(Order(Identity("S26-9", order="O9"), source="test"))
    assert lab.sign().status_code == 200


def test_a_signed_slide_keeps_what_it_was_signed_for(claimed):
    lab = claimed()
    lab.see_all()
    assert lab.sign().status_code == 200
    with lab.made.outbox.transaction() as tx:
        tx.put_order(Order(Identity("S26-1", "C1", "", "O1", "P9", "Somebody Else"), source="test"))
    assert identity(lab)["fields"]["patient_name"] == "Anna Ito"
    assert state(lab, accession="S26-2").status_code == 423


def test_a_signature_needs_the_identity_that_the_page_has_shown(claimed):
    lab = claimed()
    lab.see_all()
    shown = lab.one.get(f"{lab.slide}/before-signing").json()["identity_digest"]
    with lab.made.outbox.transaction() as tx:
        tx.put_order(Order(Identity("S26-1", "C1", "", "O1", "P9", "Anna Ito"), source="test"))
    assert lab.sign(identity=shown).status_code == 409
    shown = lab.one.get(f"{lab.slide}/before-signing").json()["identity_digest"]
    assert lab.sign(identity=shown).status_code == 200


@pytest.mark.parametrize("share", ["none", "hashed", "clear"])
def test_events_have_of_it_what_the_config_lets_out(claimed, share):
    lab = claimed(in_events=share)
    state(lab, **ANNA.known())
    lab.see_all()
    lab.sign()
    told = [event for event in trail_events(lab) if event.data["identity_digest"]]
    assert [event.data["action"] for event in told] == ["identify", "sign"]
    text = json.dumps([event.data for event in told])
    assert "Anna" not in text and "1970" not in text
    assert ("S26-1" in text) == (share == "clear")
    specimens = [event.data["specimen"] for event in told]
    if share == "none":
        assert specimens == [None, None]
    else:
        assert specimens[0]["accession"] == specimens[1]["accession"]
        assert specimens[0]["hashed"] == (share == "hashed")


@pytest.mark.parametrize("share", ["none", "hashed", "clear"])
def test_tables_have_of_it_what_the_config_lets_out(claimed, share):
    lab = claimed(in_exports=share)
    table = lab.one.get(f"{lab.slide}/report.csv").text
    assert ("specimen_accession" in table) == (share != "none")
    assert ("S26-1" in table) == (share == "clear") and "Anna" not in table
    assert lab.one.get(f"{lab.slide}/report.parquet").status_code == 200


def test_a_page_that_is_not_to_show_it_does_not(claimed):
    lab = claimed(shown=False)
    pages = [lab.one.get(path).text for path in ("/api/slides", f"{lab.slide}/before-signing")]
    pages.append(lab.one.get(lab.slide.replace("/api", "") + "/report").text)
    assert not re.search("Anna|S26-1|\\bP1\\b", "".join(pages))
    assert lab.one.get(f"{lab.slide}/identity").status_code == 404


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"accession": "a\nb"},
        {"birth_date": "31.1.70"},
        {"accession": "\u0915"},
        {"accession": "\ue000"},
    ],
)
def test_what_cannot_be_an_identity_is_refused(claimed, fields):
    assert state(claimed(), **fields).status_code in (400, 422)


def test_an_altered_identity_under_a_signature_is_seen(claimed, tmp_path):
    lab = claimed()
    lab.see_all()
    lab.sign()
    with sqlite3.connect(tmp_path / "store" / "reviews.db") as db:
        db.execute("UPDATE stated SET body = ?", (BEN.body(),))
    db.close()
    assert lab.one.get(f"{lab.slide}/identity").status_code == 503
    with (
        SlideLibrary(tmp_path / "store", Config()) as library,
        pytest.raises(StoreError, match="whose"),
    ):
        check_store(library)
