"""Red cells on the page: what it is given, what a person decides, what is signed and reported."""

import csv
import io
import math

import pytest
from PIL import Image

from tests.stores import Filled

KINDS = {"normal": 60, "schistocyte": 3, "spherocyte": 5, "macrocyte": 32}


@pytest.fixture
def lab(open_lab, tmp_path):
    made = Filled(tmp_path / "store")
    made.add(6)
    made.add_reds(KINDS)
    return open_lab(made=made.done())


def red(lab):
    return lab.one.get(f"{lab.slide}/red").json()


def lines(lab):
    return {line["name"]: line for line in red(lab)["figures"]["lines"]}


def ids_of(lab, kind):
    said = red(lab)
    place = [c["name"] for c in said["classes"]].index(kind)
    return [cell[1] for cell in said["cells"] if cell[2] == place]


def decide(lab, ids, label, action="reclassify"):
    body = {"action": action, "cell_ids": ids, "label": label, "saw": lab.number()}
    return lab.one.post(f"{lab.slide}/decisions", body)


def test_every_judged_cell_is_there_with_its_picture(lab):
    said = red(lab)
    assert len(said["cells"]) == len(said["measures"]) == 100
    assert [c["name"] for c in said["classes"]][:2] == ["schistocyte", "spherocyte"]
    keys = [c["key"] for c in said["classes"]]
    assert len(set(keys)) == len(keys) and all(keys)
    for cell in (said["cells"][0], said["cells"][-1]):
        picture = lab.one.get(f"{lab.slide}/red/{cell[1]}/image")
        assert Image.open(io.BytesIO(picture.content)).size == (80, 80)
    assert lab.one.get(f"{lab.slide}/red/{'0' * 20}/image").status_code == 404


def test_sizes_are_shares_of_all_and_of_the_normal_cells(lab):
    sizes = red(lab)["sizes"]
    assert sum(sizes["cells"]) == pytest.approx(1, abs=1e-3)
    assert sum(sizes["normal_cells"]) == pytest.approx(1, abs=1e-3)
    assert len(sizes["edges_um"]) == len(sizes["cells"]) + 1


def test_a_decision_moves_shares_and_grades_and_is_taken_back(lab):
    assert (lines(lab)["schistocyte"]["count"], lines(lab)["schistocyte"]["grade"]) == (3, 3)
    assert decide(lab, ids_of(lab, "schistocyte"), "normal").status_code == 200
    assert "schistocyte" not in lines(lab) and lines(lab)["normal"]["count"] == 63
    assert lab.one.post(f"{lab.slide}/undo", {"saw": lab.number()}).status_code == 200
    assert lines(lab)["schistocyte"]["count"] == 3


def test_before_a_signature_the_looks_at_each_kind_are_counted(lab):
    schistocytes = ids_of(lab, "schistocyte")
    decide(lab, schistocytes[:1], None, "confirm")
    decide(lab, schistocytes[1:], None, "confirm")
    before = lab.one.get(f"{lab.slide}/before-signing").json()
    told = [(c["name"], c["count"], c["single"], c["together"]) for c in before["red_classes"]]
    assert told == [
        ("schistocyte", 3, 1, 2),
        ("spherocyte", 5, 0, 0),
        ("macrocyte", 32, 0, 0),
        ("normal", 60, 0, 0),
    ]
    assert not {c["name"] for c in before["classes"]} & set(KINDS)


def test_an_unidentified_cell_is_in_no_share(lab):
    decide(lab, ids_of(lab, "macrocyte")[:10], None, "unidentified")
    assert red(lab)["figures"]["judged"] == 90 and lines(lab)["macrocyte"]["count"] == 22


@pytest.mark.parametrize("label", ["neutrophil", "nonsense", None])
def test_a_red_cell_is_no_class_of_the_white_count(lab, label):
    assert decide(lab, ids_of(lab, "schistocyte"), label).status_code == 400


def test_a_white_cell_is_no_kind_of_red_cells(lab):
    assert decide(lab, [lab.cells()[0]], "schistocyte").status_code == 400


def test_red_decisions_leave_the_white_count_as_it_is(lab):
    before = lab.one.get(f"{lab.slide}/changes").json()["differential"]
    decide(lab, ids_of(lab, "spherocyte"), "normal")
    assert lab.one.get(f"{lab.slide}/changes").json()["differential"] == before


def test_a_signature_covers_and_locks_the_red_cells(lab):
    decide(lab, ids_of(lab, "spherocyte"), "target-cell")
    lab.see_all()
    assert lab.sign().status_code == 200
    assert decide(lab, ids_of(lab, "schistocyte"), "normal").status_code == 423
    (signed,) = [e for e in lab.one.get(f"{lab.slide}/trail").json() if e["action"] == "sign"]
    assert signed["red_counts"]["target-cell"] == 5 and len(signed["red_verdicts"]) == 64
    report = lab.one.get(f"/slides/{lab.made.slide.slide_id}/report?version=1").text
    assert "Target cells" in report and "Spherocytes" not in report


def test_red_verdicts_that_were_altered_after_the_signature_are_not_reported(lab):
    lab.see_all()
    lab.sign()
    lab.made.writer.store.group["reds/label"][:3] = 5
    report = lab.one.get(f"/slides/{lab.made.slide.slide_id}/report?version=1")
    assert report.status_code >= 400 and "altered" in report.text


def test_tables_of_the_red_cells_have_a_row_each(lab):
    import pyarrow.parquet as pq

    decide(lab, ids_of(lab, "schistocyte"), "normal")
    rows = list(csv.DictReader(io.StringIO(lab.one.get(f"{lab.slide}/report.red.csv").text)))
    table = pq.read_table(io.BytesIO(lab.one.get(f"{lab.slide}/report.red.parquet").content))
    assert len(rows) == table.num_rows == 100 and set(rows[0]) == set(table.column_names)
    renamed = [row for row in rows if row["machine_label"] != row["label"]]
    assert {(row["machine_label"], row["label"]) for row in renamed} == {("schistocyte", "normal")}
    for row in rows[:5]:
        area = math.pi * float(row["diameter_um"]) ** 2 / 4
        assert row["kind"] == "rbc" and area == pytest.approx(float(row["area_um2"]), rel=0.01)
    assert table.schema.field("pallor").type == "double"
    box = [[int(row[f"box_{name}_px0"]) for name in ("x0", "y0", "x1", "y1")] for row in rows]
    middles = [(int(row["x_px0"]), int(row["y_px0"])) for row in rows]
    assert box == [[x - 5, y - 5, x + 5, y + 5] for x, y in middles]
    assert middles == [(10 * (n % 60) + 8, 10 * (n // 60) + 8) for n in range(100)]


def test_a_slide_without_judged_red_cells_has_an_empty_page(open_lab):
    said = red(open_lab())
    assert said["cells"] == [] and said["figures"]["lines"] == []
