"""What a person is told before a signature, what a laboratory's rule asks for, and what a report
says of it.
"""

import io
import json

import pytest
from pypdf import PdfReader

from stream.config import ConfigError, load_config
from stream.review.cell_classes import RESERVED_KEYS, keys_of
from tests.stores import filled


def decide(lab, cells, label="blast"):
    wish = {"action": "reclassify", "cell_ids": cells, "label": label, "saw": lab.number()}
    assert lab.one.post(f"{lab.slide}/decisions", wish).status_code == 200


def before_signing(lab):
    return lab.one.get(f"{lab.slide}/before-signing").json()


def printed(lab, version):
    pdf = lab.one.get(f"{lab.slide}/report.pdf?version={version}").content
    return " ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def test_cells_decided_on_alone_and_in_one_act_are_told_apart(lab):
    cells = lab.cells()
    for cell in cells[:2]:
        decide(lab, [cell])
    decide(lab, cells[2:7])
    found = {each["name"]: each for each in before_signing(lab)["classes"]}
    blasts = found.pop("blast")
    rest = sum(each["count"] for each in found.values())
    assert (blasts["single"], blasts["together"]) == (2, 5)
    assert all(each["single"] == each["together"] == 0 for each in found.values())
    assert blasts["count"] + rest == len(cells)


def test_percentages_of_few_cells_are_said_to_be_uncertain(open_lab, tmp_path):
    few = open_lab(made=filled(tmp_path / "store", cells=40))
    (warning,) = before_signing(few)["warnings"]
    assert "white cells; fewer than 100" in warning


def test_percentages_of_many_cells_are_not(open_lab, tmp_path):
    many = open_lab(made=filled(tmp_path / "store", cells=300))
    assert before_signing(many)["warnings"] == []


def test_a_laboratory_can_ask_for_a_number_of_cells(open_lab):
    lab = open_lab(sign_cells=5)
    lab.see_all()
    refused = lab.sign()
    assert "0 of 5 white cells" in refused.json()["detail"]
    assert "0 of 5 white cells" in before_signing(lab)["missing"]
    decide(lab, lab.cells()[:5])
    assert before_signing(lab)["missing"] == ""
    assert lab.sign().status_code == 200


def test_a_laboratory_can_ask_for_all_cells_of_a_class(open_lab):
    lab = open_lab(sign_classes=("monocyte",))
    lab.see_all()
    monocytes = [cell for cell, name in lab.made.labels().items() if name == "monocyte"]
    decide(lab, monocytes[1:], "monocyte")
    assert lab.sign().status_code != 200
    decide(lab, monocytes[:1], "blast")
    assert lab.sign().status_code == 200


def test_reports_say_how_many_cells_were_verified_and_by_whom(lab):
    lab.see_all()
    decide(lab, lab.cells()[:3])
    by = lab.one.get("/api/me").json()["name"]
    lab.sign()
    says = f"3 of {len(lab.cells())} cells were verified by {by}."
    assert says in printed(lab, 1)
    assert says in lab.one.get(f"/slides/{lab.made.slide.slide_id}/report").text
    fhir = lab.one.get(f"{lab.slide}/report.fhir.json").json()
    assert says in fhir["entry"][0]["resource"]["text"]["div"]


def test_a_signed_version_stays_as_it_was_signed(lab):
    lab.see_all()
    lab.sign(comment="normal")
    forms = ("csv", "geojson", "fhir.json")
    before = {form: lab.one.get(f"{lab.slide}/report.{form}?version=1").text for form in forms}
    about = {"saw": lab.number(), "text": "said after the signature"}
    assert lab.one.post(f"{lab.slide}/comments", about).status_code == 200
    lab.one.post(f"{lab.slide}/amendments", {"saw": lab.number(), "reason": "second look"})
    decide(lab, lab.cells()[:1])
    after = {form: lab.one.get(f"{lab.slide}/report.{form}?version=1").text for form in forms}
    assert after == before
    assert "said after" not in printed(lab, 1)


def test_an_amended_version_says_what_changed_why_and_by_whom(lab):
    lab.see_all()
    cell = lab.cells()[0]
    was = lab.made.labels()[cell]
    lab.sign()
    lab.one.post(f"{lab.slide}/amendments", {"saw": lab.number(), "reason": "a blast was missed"})
    assert before_signing(lab)["changes"][1:] == ["No count has changed."]
    decide(lab, [cell])
    by = lab.one.get("/api/me").json()["name"]
    why, *counts = before_signing(lab)["changes"]
    assert why == f"Amended by {by}: a blast was missed."
    assert len(counts) == (0 if was == "blast" else 2)
    assert any(line.startswith("Blast: ") for line in counts)
    lab.sign()
    assert why in printed(lab, 2)
    assert why not in printed(lab, 1)


def test_every_class_of_the_shipped_taxonomy_has_a_key_of_its_own(lab):
    classes = lab.one.get(lab.slide).json()["classes"]
    keys = [each["key"] for each in classes]
    assert all(keys)
    assert len(set(keys)) == len(keys)
    chosen = {each["key"] for each in classes if each["name"] != "unidentified"}
    assert not chosen & set(RESERVED_KEYS)


def test_a_chosen_key_is_given_to_no_other_class():
    names = [f"class-{n}" for n in range(12)]
    keys = keys_of(names, {"class-11": "1", "class-3": "b"})
    assert keys["class-11"] == "1"
    assert keys["class-0"] == "l"
    assert len(set(keys.values())) == len(keys)


@pytest.mark.parametrize("keys", [{"blast": "c"}, {"blast": "b", "monocyte": "b"}])
def test_a_key_that_the_page_needs_or_that_is_given_twice_is_refused(tmp_path, keys):
    path = tmp_path / "lab.toml"
    path.write_text(
        "[review.keys]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in keys.items())
    )
    with pytest.raises(ConfigError, match="review.keys"):
        load_config(path)
