"""Names that a store, a card or a proxy may hold: none becomes a path outside, none a formula
of a spreadsheet.
"""

import csv
import io
import json
import sqlite3

import pytest
from pydantic import ValidationError

from classify import SHIPPED, Card, read_card
from ingest import CytostreamError, StoreError
from stream.cli.commands.export import save
from stream.config import ReviewSettings
from stream.review.audit_trail import TrailEntry
from stream.review.report.tables import csv_table
from tests.stores import STAMP

OUTSIDE = [
    "../../PWN/x",
    "/tmp/x",
    "a/b",
    "..",
    "",
    "=cmd|' /C calc'!A0",
    "a" * 65,
    "a\nb",
    "<b>",
    "é",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_neither_a_card_nor_the_configuration_takes_such_a_class(name):
    card = read_card(SHIPPED).model_dump()
    with pytest.raises(ValidationError):
        Card(**{**card, "classes": (*card["classes"], name)})
    with pytest.raises(ValidationError):
        ReviewSettings(classes=(name,))


def test_a_journal_that_holds_one_is_not_read(lab):
    cell = lab.cells()[0]
    with sqlite3.connect(lab.made.store / "state.db") as db:
        (body,) = db.execute("SELECT body FROM cells WHERE cell_id = ?", (cell,)).fetchone()
        bad = json.loads(body)
        bad["verdict"]["label"] = "../../PWN/x"
        bad["verdict"]["scores"]["../../PWN/x"] = 1.0
        db.execute("UPDATE cells SET body = ? WHERE cell_id = ?", (json.dumps(bad), cell))
    db.close()
    lab.library._shelves.clear()
    with pytest.raises(StoreError, match="no run writes"):
        lab.library.shelf(lab.made.slide.slide_id)
    assert lab.one.get(f"{lab.slide}/report.zip").status_code == 503


def test_a_forged_decision_does_not_lead_out_of_the_archive(lab):
    about = {
        "cell_id": lab.cells()[0],
        "label": "../../PWN/x",
        "was": "neutrophil",
        "act": "a",
        "version": 1,
    }
    lab.library.trail.write(
        lab.made.slide.slide_id, "eve", [TrailEntry("reclassify", about)], STAMP
    )
    answer = lab.one.get(f"{lab.slide}/report.zip")
    assert answer.status_code == 404 and "no class name" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "a/../../x.png"])
def test_an_export_writes_below_its_folder_only(tmp_path, name):
    out = tmp_path / "out"
    with pytest.raises(CytostreamError, match="is not below"):
        save(out, name, b"x")
    assert not list(tmp_path.rglob("*.png"))
    assert (
        save(out, "neutrophil/x.png", b"x") == 1
        and (out / "neutrophil" / "x.png").read_bytes() == b"x"
    )


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", " =1", "\uff1d1", "=cmd|' /C calc'!A0"],
)
def test_no_text_of_a_table_is_a_formula(text):
    header, row = csv.reader(
        io.StringIO(csv_table(["a", text], [(1.5, text)]).decode(), newline="")
    )
    assert header == ["a", f"'{text}"] and row == ["1.5", f"'{text}"]


def test_the_table_beside_the_images_is_guarded_too(lab):
    import zipfile

    about = {
        "cell_id": lab.cells()[0],
        "label": "blast",
        "was": "neutrophil",
        "act": "a",
        "version": 1,
    }
    lab.library.trail.write(
        lab.made.slide.slide_id, "=HYPERLINK(1)", [TrailEntry("reclassify", about)], STAMP
    )
    with zipfile.ZipFile(io.BytesIO(lab.one.get(f"{lab.slide}/report.zip").content)) as archive:
        table = archive.read(f"{lab.made.slide.slide_id}.csv").decode()
    assert "'=HYPERLINK(1)" in table and ",=HYPERLINK" not in table
