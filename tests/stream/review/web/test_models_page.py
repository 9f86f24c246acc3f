"""The page of models: what a second model says, and the choice of the model of new slides."""

import numpy as np
import pytest

from classify import SHIPPED, ModelLibrary, load_model
from classify.model_card import GRAPH, TABLES_FILE, save_tables, write_card
from stream.review.models import compare_shadow
from stream.review.web import shadow_page
from tests.shadows import add_shadow
from tests.stores import filled


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """The shipped model with another bias, under another id."""
    folder = tmp_path_factory.mktemp("second")
    (folder / GRAPH).hardlink_to(SHIPPED / GRAPH)
    model = load_model()
    with np.load(SHIPPED / TABLES_FILE) as tables:
        save_tables(folder, {**dict(tables), "bias": model.bias + 1})
    write_card(folder, {**model.card.model_dump(exclude={"sha256"}), "name": "spring"})
    return folder


@pytest.fixture
def lab(open_lab, tmp_path, second):
    """A page over a store with an imported model that has judged its slide."""
    models = ModelLibrary(tmp_path / "store" / "models")
    models.add(second)
    made = filled(tmp_path / "store", cells=20)
    add_shadow(made, changed=5, model_id=load_model(second).model_id)
    return open_lab(made=made)


def facts(lab):
    return {one["name"]: one for one in lab.one.get("/api/models").json()}


def test_the_page_shows_where_two_models_differ(lab):
    page = lab.one.get("/models")
    assert page.status_code == 200, page.text
    assert "5 of 20 cells (25.0 %) are called otherwise" in page.text
    assert page.text.count("<li>") == 5 and 'id="use" data-name="spring"' in page.text
    assert "excess: blast" in page.text and "reference range: monocyte" in page.text
    said = lab.one.get(f"/api/models/{facts(lab)['spring']['model_id']}/differences").json()
    assert said["differ"] == 5 and len(said["differing"]) == 5
    for cell in said["differing"]:
        picture = f"/api/slides/{cell['slide_id']}/cells/{cell['cell_id']}/image"
        assert lab.one.get(picture).status_code == 200


def test_an_admin_chooses_and_goes_back_and_the_trail_has_both(lab):
    model_id = facts(lab)["spring"]["model_id"]
    stale = lab.one.post("/api/models/use", {"name": "spring", "model_id": "0" * 12})
    assert stale.status_code == 409 and not facts(lab)["spring"]["is_in_use"]
    assert lab.one.post("/api/models/use", {"name": "spring", "model_id": model_id}).is_success
    assert facts(lab)["spring"]["is_in_use"] and facts(lab)["white"]["was_before"]
    page = lab.one.get("/models").text
    assert 'id="use"' not in page and "Back to white" in page
    assert lab.one.post("/api/models/back", {"kind": "white"}).is_success
    assert facts(lab)["white"]["is_in_use"]
    entries = [event.data for _, event in lab.library.trail.entries()]
    used = [one["model"].split()[0] for one in entries if one["action"] == "model_used"]
    assert used == ["spring", "white"]


def test_what_cannot_be_chosen_is_said(lab):
    absent = lab.one.post("/api/models/use", {"name": "absent", "model_id": "0" * 12})
    assert absent.status_code == 400 and "no model of this name" in absent.json()["detail"]
    assert lab.one.post("/api/models/back", {"kind": "red"}).status_code == 400
    assert lab.one.get("/api/models/nothing/differences").status_code == 404
    assert lab.one.get("/models?shadow=nothing").status_code == 404


def test_a_page_without_a_second_model_says_how_to_get_one(open_lab):
    page = open_lab().one.get("/models")
    assert page.status_code == 200 and "No second model has judged a slide yet" in page.text


def test_the_report_is_one_file_with_its_pictures(lab, second):
    report = compare_shadow(lab.library, load_model(second).model_id)
    text = shadow_page(lab.library, report)
    assert text.count("data:image/jpeg;base64,") == 5
    assert "http" not in text.replace("http://www.w3.org", "") and "<script" not in text
