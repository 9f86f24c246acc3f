"""A cell that a person has marked: cut out of the slide, classified, counted, and undone again."""

import json
import sqlite3
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from classify import SHIPPED, Anomaly, Verdict, read_card
from ingest import StoreError
from segment import MarkedPlace, cut_marked_cell
from stream.review.audit_check import check_marked, check_store
from stream.review.images import JudgedCell
from stream.review.slides import SlideLibrary
from stream.store.upkeep import remove_marked_crops

CARD = read_card(SHIPPED)
CLICK = [300, 300, 300, 300]


def judged(cell, label="blast", model_id="model-2"):
    scores = {name: 0.1 / (len(CARD.classes) - 1) for name in CARD.classes} | {label: 0.9}
    anomaly = Anomaly(0.5, 0.1, 0.1, "made by a test")
    features = np.arange(CARD.features).astype(np.float16)
    return JudgedCell(cell, Verdict(label, scores, anomaly, 8, True, features=features), model_id)


def blast_model():
    """In place of a model: it calls every marked cell a blast, and gives no reasons."""
    return SimpleNamespace(
        judge=lambda cell, taught: judged(cell),
        words=lambda *about: "",
        offered=False,
        close=lambda: None,
    )


@pytest.fixture
def lab(open_lab):
    """A page whose model calls every marked cell a blast."""
    lab = open_lab()
    parts = lab.app.state.parts
    lab.app.state.parts = replace(parts, reasons=blast_model())
    return lab


def mark(lab, box=CLICK, **more):
    return lab.one.post(f"{lab.slide}/marks", {"box_px0": box, "saw": lab.number(), **more})


def count(answer, name):
    return next(line["count"] for line in answer["differential"] if line["name"] == name)


def marked_row(answer):
    return next(row for row in answer["cells"] if row[11])


def test_a_cell_is_marked_once_the_slide_is_done(lab):
    lab.made.say("running")
    refused = mark(lab)
    assert refused.status_code == 409 and refused.json()["kind"] == "early"
    lab.made.say("done")
    assert mark(lab).status_code == 200


def test_it_is_counted_shown_and_undone(lab):
    before = lab.one.get(f"{lab.slide}/changes").json()
    made = mark(lab).json()
    assert count(made, "blast") == count(before, "blast") + 1
    row = marked_row(made)
    assert row[0] == 0 and row[11]
    body = lab.one.get(f"{lab.slide}/cells/{row[1]}").json()
    assert body["verdict"]["marked_by"] == row[11]
    assert body["history"][0]["action"] == "mark"
    picture = lab.one.get(f"{lab.slide}/cells/{row[1]}/image")
    assert picture.headers["content-type"] == "image/jpeg"
    undone = lab.one.post(f"{lab.slide}/undo", {"saw": lab.number()}).json()
    assert undone["unmarked"] == [row[1]]
    assert count(undone, "blast") == count(before, "blast")
    assert lab.one.get(f"{lab.slide}/cells/{row[1]}").status_code == 404


def test_a_decision_on_it_is_undone_before_it(lab):
    row = marked_row(mark(lab).json())
    about = {"action": "reclassify", "cell_ids": [row[1]], "label": "monocyte"}
    lab.one.post(f"{lab.slide}/decisions", {**about, "saw": lab.number()})
    first = lab.one.post(f"{lab.slide}/undo", {"saw": lab.number()}).json()
    assert first["decisions"] == {row[1]: None} and not first["unmarked"]
    second = lab.one.post(f"{lab.slide}/undo", {"saw": lab.number()}).json()
    assert second["unmarked"] == [row[1]]
    again = marked_row(mark(lab).json())
    assert again[1] == row[1]


def test_a_page_that_comes_later_has_it(lab):
    row = marked_row(mark(lab).json())
    everything = lab.one.get(f"{lab.slide}/changes").json()
    assert [cell[1] for cell in everything["cells"] if cell[11]] == [row[1]]
    assert not everything["unmarked"]


def test_it_is_in_events_and_exports(lab):
    row = marked_row(mark(lab).json())
    with sqlite3.connect(lab.made.store / "reviews.db") as db:
        sent = db.execute("SELECT type, value FROM records ORDER BY seq").fetchall()
    types = [kind for kind, _ in sent if "access" not in kind]
    assert types == ["cytostream.review.v1", "cytostream.cell.v1"]
    cell = json.loads(sent[-1][1])
    assert cell["cell_id"] == row[1] and cell["marked_by"] == row[11]
    table = lab.one.get(f"{lab.slide}/report.csv").text.splitlines()
    place = table[0].split(",").index("marked_by")
    line = next(line for line in table if row[1] in line)
    assert line.split(",")[place] == row[11]
    report = lab.one.get(lab.slide.removeprefix("/api") + "/report").text
    assert "1 cell was marked by" in report


def test_features_and_crop_are_those_that_were_judged(lab):
    row = marked_row(mark(lab).json())
    shelf = lab.library.shelf(lab.made.slide.slide_id)
    cells = shelf.cells(shelf.standing)[-2:]
    features = shelf.features(cells)
    assert cells[-1].cell_id == row[1]
    assert np.array_equal(features[-1], np.arange(CARD.features).astype(np.float16))
    crop = cut_marked_cell(MarkedPlace(lab.made.slide, tuple(CLICK))).crop
    assert np.array_equal(shelf.crops(cells)[-1], crop)
    assert shelf.scores(cells)[-1].max() == pytest.approx(0.9)


def test_a_signed_version_keeps_it(lab):
    lab.see_all()
    mark(lab)
    signed = lab.sign().json()
    assert mark(lab, [200, 200, 200, 200]).status_code == 423
    lab.one.post(f"{lab.slide}/amendments", {"reason": "one more", "saw": lab.number()})
    assert mark(lab, [200, 200, 200, 200]).is_success
    with SlideLibrary(lab.made.store, lab.library.config) as again:
        shelf = again.shelf(lab.made.slide.slide_id)
        first = shelf.standing_at(1)
        assert len(shelf.marked(first)) == 1 and len(shelf.marked(shelf.standing)) == 2
        assert shelf.counts(first)["blast"] == count(signed, "blast")
        assert check_store(again).entries


def test_the_same_cell_is_not_counted_twice(lab):
    assert mark(lab).is_success
    again = mark(lab, [301, 300, 301, 300])
    assert again.status_code == 409 and "counted already" in again.json()["detail"]
    found = lab.library.shelf(lab.made.slide.slide_id).found.cells[0]
    on_it = mark(lab, [found.x_px0 - 20, found.y_px0 - 20, found.x_px0 + 20, found.y_px0 + 20])
    assert on_it.status_code == 409


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ([10_000, 10, 10_000, 10], "outside"),
        ([100, 100, 600, 600], "wider than"),
    ],
)
def test_a_box_that_holds_no_cell_is_refused(lab, box, why):
    answer = mark(lab, box)
    assert answer.status_code == 400 and why in answer.json()["detail"]


@pytest.mark.parametrize("box", [[1, 2, 3], [-5, 0, 5, 5], ["a", 0, 1, 1], [0, 0, 2**40, 1]])
def test_what_is_no_box_is_refused(lab, box):
    assert mark(lab, box).status_code == 422


def test_a_slide_whose_file_is_gone_or_replaced_takes_none(lab):
    path = lab.made.slide.path
    path.write_bytes(path.read_bytes() + b"x")
    assert mark(lab).status_code == 404
    path.unlink()
    assert mark(lab).status_code == 404


def test_a_slide_that_is_being_read_takes_none(lab):
    lab.made.say("running")
    assert mark(lab).status_code == 409


def test_pixels_are_removed_and_the_entry_stays(lab):
    row = marked_row(mark(lab).json())
    reviews = lab.made.store / "reviews.db"
    assert remove_marked_crops(reviews, lab.made.slide.slide_id) == 1
    assert lab.one.get(f"{lab.slide}/cells/{row[1]}").is_success
    assert lab.one.get(f"{lab.slide}/cells/{row[1]}/image").status_code == 503


def test_the_audit_finds_altered_pixels(lab):
    mark(lab)
    with SlideLibrary(lab.made.store, lab.library.config) as again:
        assert check_marked(again) == 1
        with sqlite3.connect(lab.made.store / "reviews.db") as db:
            db.execute("UPDATE marked_crops SET crop = zeroblob(length(crop))")
        with pytest.raises(StoreError, match="altered"):
            check_store(again)


def test_a_store_of_earlier_versions_takes_marks(open_lab, tmp_path):
    lab = open_lab()
    lab.library.close()
    with sqlite3.connect(lab.made.store / "reviews.db") as db:
        db.execute("DROP TABLE marked_crops")
    with SlideLibrary(lab.made.store, lab.library.config) as again:
        assert again.trail.marked(1) is None


def test_the_shipped_model_classifies_a_drawn_cell(open_lab):
    lab = open_lab()
    cell = cut_marked_cell(MarkedPlace(lab.made.slide, tuple(CLICK)))
    assert cell.crop.shape == (128, 128, 3)
    said = lab.app.state.parts.reasons.judge(cell, lab.library.taught)
    assert said.verdict.label in CARD.classes
    assert sum(said.verdict.scores.values()) == pytest.approx(1, abs=0.01)
    assert said.model_id and said.verdict.features is not None
