"""A comment pinned to a place of the slide: in the trail, on the page, in every report."""

import json

import pytest


def pin(lab, place, **more):
    about = {"text": "a clump of platelets", "place_px0": place, "saw": 0}
    return lab.one.post(f"{lab.slide}/comments", {**about, **more})


def test_the_place_is_in_the_trail_and_on_the_page(lab):
    (said,) = pin(lab, [120, 350]).json()["standing"]["comments"]
    assert said["place_px0"] == [120, 350] and said["cell_id"] is None
    (entry,) = lab.one.get(f"{lab.slide}/trail").json()
    assert entry["place_px0"] == [120, 350] and entry["comment"] == "a clump of platelets"


def test_page_paper_and_fhir_say_where(lab):
    pin(lab, [120, 350])
    x, y = (f"{px * lab.made.slide.mpp / 1000:.3f}" for px in (120, 350))
    place = f"at {x} mm, {y} mm of the slide: a clump of platelets"
    assert place in lab.one.get(f"{lab.slide}/report".removeprefix("/api")).text
    fhir = lab.one.get(f"{lab.slide}/report.fhir.json")
    assert place in json.dumps(fhir.json())


def test_a_comment_after_the_signature_is_in_no_signed_report(lab):
    lab.see_all()
    assert lab.sign().is_success
    assert pin(lab, [120, 350]).is_success
    assert "platelets" not in lab.one.get(f"{lab.slide}/report".removeprefix("/api")).text


@pytest.mark.parametrize("place", [[700, 10], [10, 700], [2**31, 0]])
def test_a_place_beside_the_slide_is_refused(lab, place):
    assert pin(lab, place).status_code == 400
    assert lab.one.get(f"{lab.slide}/trail").json() == []


def test_a_comment_is_about_a_cell_or_a_place(lab):
    answer = pin(lab, [1, 1], cell_id=lab.cells()[0])
    assert answer.status_code == 400 and "a cell or a place" in answer.json()["detail"]
