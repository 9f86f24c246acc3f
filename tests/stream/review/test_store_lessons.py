"""A class taught from the cells that people have called so on the page."""

import json
import re
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from classify import DataError, load_model
from classify.teaching import TaughtLibrary, read_taught
from stream.cli.app import app
from stream.review.store_lessons import teach_from_store
from tests.stores import Filled

MODEL = load_model()


@pytest.fixture
def taught_lab(open_lab, tmp_path):
    """A slide of which twelve cells look alike, in features that no other cell has."""
    made = Filled(tmp_path / "store")
    made.model_id = MODEL.model_id
    plain = made._verdict
    drawn = made._cell
    numbers = count()

    def of_its_own():
        """A cell whose picture no other has."""
        cell = drawn()
        crop = cell.crop.copy()
        crop[0, 0] = divmod(next(numbers), 256) + (0,)
        return replace(cell, crop=crop)

    made._cell = of_its_own
    kind = np.random.default_rng(5).normal(size=MODEL.card.features) * 3

    def alike(odd):
        verdict = plain(odd)
        verdict.features[:] += kind.astype(np.float16)
        return verdict

    made._verdict = alike
    hairy = made.add(12)
    made._verdict = plain
    made.add(60)
    lab = open_lab(made=made.done())
    lab.hairy = hairy
    return lab


def mark(lab, cells, label):
    body = {"action": "reclassify", "cell_ids": cells, "label": label, "saw": lab.number()}
    return lab.one.post(f"{lab.slide}/decisions", body)


def test_from_marked_cells_to_a_class_that_is_switched_on(taught_lab):
    lab = taught_lab
    assert mark(lab, lab.hairy, "hairy-cell").status_code == 400  # no such class yet
    assert lab.one.post("/api/taught", {"name": "no name!"}).status_code == 422
    (draft,) = lab.one.post("/api/taught", {"name": "hairy-cell"}).json()
    assert (draft["marked_cells"], draft["marked_slides"]) == (0, 0)
    assert (draft["is_on"], draft["version"]) == (False, 0)
    assert lab.one.post("/api/taught/hairy-cell/lesson").status_code == 400  # nothing is marked
    assert mark(lab, lab.hairy, "hairy-cell").status_code == 200
    (ready,) = lab.one.get("/api/taught").json()
    assert (ready["marked_cells"], ready["marked_slides"]) == (12, 1)
    (taught,) = lab.one.post("/api/taught/hairy-cell/lesson").json()
    assert (taught["cells"], taught["version"], taught["is_on"]) == (12, 1, False)
    assert taught["sensitivity"] == 1 and taught["false_rate"] == 0
    assert taught["held_out_by"] == "cell"  # one slide: no patient can be held out
    text = " ".join(taught["warnings"])
    assert "1 patients" in text and "nobody has looked" in text
    library = TaughtLibrary(lab.library.store / "taught")
    assert library.in_use(MODEL) == []
    (on,) = lab.one.post("/api/taught/hairy-cell/switch", {"on": True}).json()
    assert on["is_on"] and [one.name for one in library.in_use(MODEL)] == ["hairy-cell"]
    assert lab.one.post("/api/taught/other/switch", {"on": True}).status_code == 404


def test_the_command_teaches_the_same_cells(taught_lab, tmp_path):
    lab = taught_lab
    lab.one.post("/api/taught", {"name": "hairy-cell"})
    mark(lab, lab.hairy, "hairy-cell")
    out = tmp_path / "hairy.json"
    words = "teach", lab.library.store, "--class", "hairy-cell", "--from", "reviewed", "--out", out
    done = CliRunner().invoke(app, [*map(str, words), "--by", "Dr. A"])
    assert done.exit_code == 0, done.output
    made = read_taught(out)
    bodies = lab.library.queries.cell_bodies(lab.made.slide.slide_id)
    cells = {cell.row: cell.cell_id for cell in lab.library.outbox.cells(lab.made.slide.slide_id)}
    known = {body.crop for row, body in bodies.items() if cells[row] in lab.hairy}
    assert set(made.cells) == known and made.by == "Dr. A" and made.expected.by == "cell"


def unseen_in(taught):
    """How many of the rest nobody has looked at, as a warning says."""
    return int(re.search(r"(\d+) of the other cells", " ".join(taught.warnings))[1])


def test_cells_that_people_decided_otherwise_are_the_rest(taught_lab):
    """What is unidentified is on neither side; a store of another model teaches nothing."""
    lab = taught_lab
    lab.one.post("/api/taught", {"name": "hairy-cell"})
    labels = lab.made.labels()
    others = [cell for cell in labels if cell not in lab.hairy]
    mark(lab, lab.hairy, "hairy-cell")
    before = unseen_in(teach_from_store(lab.library, MODEL, "hairy-cell", "x"))
    mark(lab, others[:5], "lymphocyte")
    counted_before = [cell for cell in others[:5] if labels[cell] != "other"]
    after = unseen_in(teach_from_store(lab.library, MODEL, "hairy-cell", "x"))
    assert before - after == len(counted_before) > 0
    body = {"action": "unidentified", "cell_ids": others[5:9], "saw": lab.number()}
    lab.one.post(f"{lab.slide}/decisions", body)
    taught = teach_from_store(lab.library, MODEL, "hairy-cell", "x")
    counted = [cell for cell in others if labels[cell] != "other" and cell not in others[5:9]]
    assert len(taught.cells) <= 12 and taught.normal_cells <= len(counted)
    with pytest.raises(DataError, match="no cell with features"):
        teach_from_store(lab.library, MODEL, "plasma", "x")


def test_a_slide_says_which_classes_its_scheme_has(taught_lab):
    lab = taught_lab
    lab.one.post("/api/taught", {"name": "hairy-cell"})
    names = [one["name"] for one in lab.one.get(lab.slide).json()["classes"]]
    assert "hairy-cell" in names
    assert json.dumps(names).count("hairy-cell") == 1


@pytest.mark.parametrize(
    ("given", "answer", "after", "kept"),
    [
        (["--yes"], "", 0.9, True),
        ([], "n\n", 0.9, False),
        ([], "\n", 0.4, False),
    ],
)
def test_a_calibration_is_kept_where_it_is_better_and_wanted(
    taught_lab, tmp_path, monkeypatch, given, answer, after, kept
):
    lab = taught_lab
    cells = list(lab.made.labels())
    mark(lab, cells[:30], "lymphocyte")
    mark(lab, cells[30:60], "monocyte")
    asked = []

    def recalibrated(model, engine, found, out, name):
        out.mkdir()
        asked.append(found)
        return SimpleNamespace(card=SimpleNamespace(data={"calibration": "30 cells"}))

    shares = iter([0.5, after])
    runner = SimpleNamespace(name="x")
    monkeypatch.setattr("stream.cli.commands.model.calibrate.open_model", lambda _: (MODEL, runner))
    monkeypatch.setattr("stream.cli.commands.model.calibrate.open_engine", lambda *_: runner)
    monkeypatch.setattr("classify.calibration.recalibrate", recalibrated)
    monkeypatch.setattr("classify.calibration.balanced_share", lambda *_: next(shares))
    out = tmp_path / "model"
    words = "calibrate", lab.library.store, "--reviewed", 25, "--out", out, *given
    done = CliRunner().invoke(app, [*map(str, words)], input=answer)
    assert done.exit_code == 0, done.output
    assert f"0.500 before, {after:.3f} after" in done.output and out.is_dir() == kept
    (fitted,) = asked
    assert fitted.labels.count("lymphocyte") == fitted.labels.count("monocyte") == 13


def test_what_to_review_begins_with_alerts_and_ends_with_what_is_reviewed(taught_lab):
    lab = taught_lab
    alarmed = lab.made.add(2, odd=2)
    ask = f"{lab.slide}/review-order"
    waiting = lab.one.get(ask).json()
    assert set(waiting[:2]) == set(alarmed)
    lab.made.done()
    order = lab.one.get(ask).json()
    assert order[:2] == waiting[:2] and len(set(order)) == len(order)
    assert set(order) <= set(lab.made.labels())
    mark(lab, order[:3], "lymphocyte")
    assert not set(lab.one.get(ask).json()) & set(order[:3])
