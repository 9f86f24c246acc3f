"""`cytostream models` and `shadow`: list, import, choose, back, and the comparison."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classify import SHIPPED, ModelLibrary, load_model
from classify.model_card import GRAPH, TABLES_FILE, save_tables, write_card
from ingest import CytostreamError
from stream.cli.commands.model import models as commands
from stream.cli.models import ModelParts, RunModels
from stream.config import Config
from stream.review import SlideLibrary, Trail
from stream.review.decisions import DecisionService
from stream.review.models import compare_shadow, report_facts, shadows_of
from stream.run.context import RunContext
from tests.shadows import add_shadow
from tests.stores import CARD, STAMP, filled


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """The shipped model with another bias: another id, and no byte of its graph copied."""
    folder = tmp_path_factory.mktemp("second")
    (folder / GRAPH).hardlink_to(SHIPPED / GRAPH)
    model = load_model()
    with np.load(SHIPPED / TABLES_FILE) as tables:
        save_tables(folder, {**dict(tables), "bias": model.bias + 1})
    write_card(folder, {**model.card.model_dump(exclude={"sha256"}), "name": "second"})
    return folder


@pytest.fixture
def store(tmp_path):
    made = filled(tmp_path / "store", cells=20)
    made.close()
    return tmp_path / "store"


@pytest.fixture
def known(store, second, monkeypatch):
    """The store after the second model was taken in."""
    monkeypatch.setattr(commands, "admit_model", lambda _: None)
    commands.imported(second, "spring", store)
    return store


def chosen(store):
    return [
        line.name
        for line in commands.model_lines(ModelLibrary(store / "models"), "")
        if line.is_in_use
    ]


def test_a_model_is_chosen_and_taken_back_in_the_audit_trail(cytostream, known):
    assert chosen(known) == ["white", "red"]
    code, said = cytostream("models", "use", "spring", "--by", "Dr. Berg", "--store", known)
    model_id = re.search(r"\((\w{12})\)", said)[1]
    assert code == 0 and chosen(known) == ["red", "spring"]
    assert cytostream("models", "back", "--store", known)[0] == 0
    assert chosen(known) == ["white", "red"]
    with Trail(known) as trail:
        entries = [event.data for _, event in trail.entries()]
        assert trail.verify() == 2
    assert [(one["action"], one["model"]) for one in entries] == [
        ("model_used", f"spring {model_id}"),
        ("model_used", f"white {load_model().model_id}"),
    ]
    assert entries[0]["by"] == "Dr. Berg"


def test_what_cannot_be_chosen_is_refused_in_a_line(cytostream, known):
    for words in (["use", "absent"], ["back"], ["use", str(known)], ["import", known / "no"]):
        code, said = cytostream("models", *words, "--store", known)
        assert code == 1 and "  -> " in said and "Traceback" not in said, words
    assert chosen(known) == ["white", "red"] and not (known / "models" / "in-use.json").exists()
    config = known.parent / "lab.toml"
    config.write_text('[[alerts.classes]]\nlabel = "hairy"\n')
    code, said = cytostream("models", "use", "spring", "--store", known, "--config", config)
    assert code == 1 and "no class hairy" in said
    assert chosen(known) == ["white", "red"]


def test_a_choice_that_cannot_be_audited_is_not_made(known, monkeypatch):
    def full(*_, **__):
        raise CytostreamError("disk full", "")

    monkeypatch.setattr(Trail, "note", full)
    with pytest.raises(CytostreamError, match="disk full"):
        commands.used(known, Config(), "spring", "anna")
    assert chosen(known) == ["white", "red"]


def test_the_list_says_what_is_shadow_and_what_is_amiss(known):
    lines = {one.name: one for one in commands.model_lines(ModelLibrary(known / "models"), "gone")}
    assert lines["gone"].is_shadow and "no model of this name" in lines["gone"].fault
    assert (lines["spring"].kind, lines["spring"].origin) == ("white", "imported")


def lab_of(model):
    return RunContext(Config(), model, None, None, None, Path(), STAMP)


def test_a_run_takes_the_chosen_model_at_its_next_slide(known):
    library = ModelLibrary(known / "models")
    opened = []

    def open_parts(folder):
        opened.append(folder.name)
        if len(opened) == 2:
            raise CytostreamError("no engine", "")
        model = load_model(folder)
        return ModelParts(model, None, replace(STAMP, model_hash=model.model_id), None, None, None)

    faults = []
    models = RunModels(library, open_parts, faults.append)
    lab = lab_of(load_model(models.folder))
    assert models.renewed(lab) is lab and opened == []
    library.use("spring", "anna", "now")
    new = models.renewed(lab)
    assert new.model.model_id == new.stamp.model_hash != lab.model.model_id
    assert models.renewed(new) is new and opened == ["spring"]
    assert models.was_in_use(lab.model.model_id) and not models.was_in_use("")
    library.use("white", "anna", "later")
    assert models.renewed(new) is new and models.renewed(new) is new  # said once, and it goes on
    assert len(faults) == 1 and opened == ["spring", "model"]
    assert models.with_model(new, lab.model.model_id).model.model_id == lab.model.model_id
    with pytest.raises(CytostreamError, match="is gone"):
        models.with_model(new, "0" * 12)


def test_a_model_that_the_command_names_stays(known):
    library = ModelLibrary(known / "models")
    models = RunModels(library, pytest.fail, pytest.fail, Path("white"))
    library.use("spring", "anna", "now")
    lab = lab_of(load_model())
    assert models.folder == SHIPPED and models.renewed(lab) is lab


def test_the_comparison_counts_cells_alerts_and_people(tmp_path, cytostream):
    made = filled(tmp_path / "store", cells=20)
    new = add_shadow(made, changed=5)
    made.close()
    with SlideLibrary(tmp_path / "store", Config()) as library:
        (found,) = shadows_of(library)
        assert (found.name, found.model_id, found.slides) == ("second", "second-1", 1)
        report = compare_shadow(library, "second-1", most_cells=3)
        shelf = library.shelf(made.slide.slide_id)
        old = [cell.label for cell in shelf.found.cells]
        probability = shelf.scores(shelf.found.cells)
    assert (report.cells, report.differ) == (20, 5)
    assert sum(report.confusion.values()) == 20
    assert report.confusion[old[0], new[0]] >= 1
    parents = {(CARD.parent_of(a), CARD.parent_of(b)) for a, b in zip(old, new, strict=True)}
    assert set(report.parent_confusion) == parents
    (slide,) = report.slides
    assert (slide.gained, slide.lost) == ({"anomaly": 1}, {"anomaly": 1})
    assert (slide.slide_gained, slide.slide_lost) == (("excess blast",), ("range monocyte",))
    distances = [one.distance for one in report.differing]
    expected = 1 - np.array([probability[n, CARD.classes.index(new[n])] for n in range(5)])
    assert distances == pytest.approx(sorted(expected, reverse=True)[:3], abs=1e-5)
    code, said = cytostream("shadow", tmp_path / "store", "--json", tmp_path / "out.json")
    assert code == 0 and "5 called otherwise (25.0 %)" in said
    facts = json.loads((tmp_path / "out.json").read_text())
    assert facts["differ"] == 5 and facts["alerts"][0]["gained"] == {"anomaly": 1}
    assert facts == {**report_facts(report), "differing": facts["differing"]} | {
        "alerts": facts["alerts"]
    }


def test_agreement_with_people_is_counted_for_both_models(tmp_path):
    made = filled(tmp_path / "store", cells=20)
    new = add_shadow(made, changed=5)
    with SlideLibrary(tmp_path / "store", Config()) as library:
        desk = DecisionService(library, STAMP)
        cells = library.shelf(made.slide.slide_id).found.cells
        slide_id = made.slide.slide_id
        desk.decide(slide_id, "anna", "reclassify", [cells[0].cell_id], new[0], 0)  # as the second
        confirmed = [cells[1].cell_id, cells[7].cell_id]  # as the counted, and as both
        desk.decide(slide_id, "anna", "confirm", confirmed, None, 1)
        desk.decide(slide_id, "anna", "unidentified", [cells[2].cell_id], None, 3)
        people = compare_shadow(library, "second-1").people
    made.close()
    assert (people.decided, people.counted, people.shadow) == (3, 2, 2)
    assert (people.counted_alone, people.shadow_alone) == (1, 1)


def test_a_store_without_a_second_model_says_what_to_do(cytostream, store):
    code, said = cytostream("shadow", store)
    assert code == 1 and "no slide that a second model has judged" in said and "--shadow" in said
    code, said = cytostream("shadow", store.parent / "nothing")
    assert code == 1 and "no results here" in said
