"""What leaves, read back by other readers and held against the journal and the decisions
themselves, column by column: a column that is wrong in every table alike agrees with itself.
"""

import csv
import io
import json

import numpy as np
import pytest

from stream.review.report.report import report_of
from stream.review.web.auth import local_name

BOX = ("box_x0_px0", "box_y0_px0", "box_x1_px0", "box_y1_px0")
PLAIN = slice(10, 14)  # cells without an alert
CONCLUSION = "Blasts, see a haematologist. Ёлка, Ångström"
LABORATORY = "Labor Łódź"


@pytest.fixture
def lab(open_lab):
    """A slide whose segmented neutrophils are high, and blasts low by a range set so."""
    ranges = {"segmented-neutrophil": (0.0, 0.1), "lymphocyte": (99.0, 100.0)}
    return open_lab(laboratory=LABORATORY, ranges=ranges)


@pytest.fixture
def signed(lab):
    """Two cells renamed, one confirmed, one commented, and the slide signed."""
    lab.see_all()
    first, second, third, fourth = lab.cells()[PLAIN]
    for action, cells, more in (
        ("reclassify", [first, second], {"label": "blast"}),
        ("confirm", [third], {}),
    ):
        body = {"action": action, "cell_ids": cells, "saw": lab.number(), **more}
        assert lab.one.post(f"{lab.slide}/decisions", body).is_success
    comment = {"text": "granules?", "cell_id": fourth, "saw": 0}
    assert lab.one.post(f"{lab.slide}/comments", comment).is_success
    assert lab.sign(comment=CONCLUSION).is_success
    return lab


def form(lab, ending):
    answer = lab.one.get(f"{lab.slide}/report.{ending}")
    assert answer.is_success, answer.text
    return answer.content


def truth(lab):
    """Each cell as journal and decisions have it, in order."""
    first, second, third, _ = lab.cells()[PLAIN]
    renamed = dict.fromkeys((first, second), "reclassify") | {third: "confirm"}
    for row in lab.made.outbox.cells(lab.made.slide.slide_id):
        body = json.loads(row.body)
        how = renamed.get(row.cell_id)
        verdict = body["verdict"]
        yield {
            "cell": body["cell"],
            "scores": verdict["scores"],
            "expected": {
                "slide_id": lab.made.slide.slide_id,
                "cell_id": row.cell_id,
                "kind": body["cell"]["kind"],
                "label": "blast" if how == "reclassify" else verdict["label"],
                "machine_label": verdict["label"],
                "reviewed": how,
                "reviewer": local_name() if how else None,
                "x_px0": body["cell"]["x_px0"],
                "y_px0": body["cell"]["y_px0"],
                **dict(zip(BOX, body["cell"]["box_px0"], strict=True)),
                "model_id": "model-1",
                "report_version": 1,
                "probability": verdict["scores"][verdict["label"]],
                "anomaly": verdict["anomaly"]["score"],
                "area_um2": body["cell"]["area_um2"],
                "mpp": 0.25,
            },
        }


def check_rows(lab, rows):
    """Rows of a table with their own types, None where a value is absent."""
    cells = list(truth(lab))
    assert len(rows) == len(cells) == 40
    for row, cell in zip(rows, cells, strict=True):
        for name, value in cell["expected"].items():
            wanted = pytest.approx(value, abs=1e-6) if isinstance(value, float) else value
            assert row[name] == wanted, name
        assert (row["reviewed_at"] is None) == (row["reviewed"] is None)
    varied = ("x_px0", "y_px0", "probability", "anomaly", *BOX)
    assert all(len({row[name] for row in rows}) > 30 for name in varied)


def test_csv(signed):
    rows = list(csv.DictReader(io.StringIO(form(signed, "csv").decode())))
    whole = {"x_px0", "y_px0", "report_version", *BOX}
    real = {"probability", "anomaly", "area_um2", "mpp"}
    typed = [
        {
            name: None
            if text == ""
            else int(text)
            if name in whole
            else float(text)
            if name in real
            else text
            for name, text in row.items()
        }
        for row in rows
    ]
    check_rows(signed, typed)
    for row, cell in zip(rows, truth(signed), strict=True):
        shares = {k[2:]: float(v) for k, v in row.items() if k.startswith("p_")}
        assert shares == pytest.approx(cell["scores"], abs=1e-6)


def test_parquet(signed):
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(form(signed, "parquet")))
    rows = table.to_pylist()
    check_rows(signed, rows)
    for row, cell in zip(rows, truth(signed), strict=True):
        shares = {k[2:]: v for k, v in row.items() if k.startswith("p_")}
        assert shares == pytest.approx(cell["scores"], abs=1e-6)
    about = json.loads(table.schema.metadata[b"cytostream"])
    assert (about["signed_by"], about["status"], about["version"]) == (local_name(), "final", 1)
    assert about["model_id"] == "model-1" and sum(about["counts"].values()) == 40
    assert about["counts"]["blast"] >= 2


def test_anndata(signed, tmp_path):
    import anndata

    (tmp_path / "out.h5ad").write_bytes(form(signed, "h5ad"))
    data = anndata.read_h5ad(tmp_path / "out.h5ad")
    obs = data.obs.reset_index(names="cell_id").astype(object)
    empty = ("reviewed", "reviewer", "reviewed_at")
    rows = [
        {name: None if name in empty and value == "" else value for name, value in row.items()}
        for row in obs.to_dict("records")
    ]
    check_rows(signed, rows)
    classes = list(data.var_names)
    for number, cell in enumerate(truth(signed)):
        shares = dict(zip(classes, data.X[number].tolist(), strict=True))
        assert shares == pytest.approx(cell["scores"], abs=1e-6)
        place = [cell["cell"]["x_px0"] * 0.25, cell["cell"]["y_px0"] * 0.25]
        assert data.obsm["spatial"][number].tolist() == place


def fhir(lab):
    from fhir.resources.R4B.bundle import Bundle

    report, *others = [
        entry.resource for entry in Bundle.model_validate_json(form(lab, "fhir.json")).entry
    ]
    observations = [one for one in others if one.get_resource_type() == "Observation"]
    return report, {one.code.text: one for one in observations}


def interpretation(observation):
    (concept,) = observation.interpretation
    (coding,) = concept.coding
    return coding.code, coding.display


def test_the_laboratory_system_reads_high_for_high_and_low_for_low(signed):
    _, found = fhir(signed)
    lines = {line["title"]: line for line in report_lines(signed)}
    flagged = {title: line for title, line in lines.items() if line["flag"]}
    assert {line["flag"] for line in flagged.values()} == {"high", "low"}
    for title, line in flagged.items():
        said = {"high": ("H", "High"), "low": ("L", "Low")}[line["flag"]]
        assert interpretation(found[title]) == said, title
        bounds = found[title].referenceRange[0]
        assert (float(bounds.low.value), float(bounds.high.value)) == (line["low"], line["high"])
        value = float(found[title].valueQuantity.value)
        assert value > line["high"] if line["flag"] == "high" else value < line["low"]
        assert value == pytest.approx(line["per_100"], abs=0.06)
        assert found[title].note[0].text.startswith(f"{line['count']} cells of ")
    plain = [one for title, one in found.items() if title in lines and title not in flagged]
    assert plain and all(one.interpretation is None for one in plain)


def report_lines(lab):
    return lab.one.get(f"{lab.slide}/changes").json()["differential"]


def test_the_laboratory_system_reads_who_signed_and_when_and_the_conclusion(signed):
    report, _ = fhir(signed)
    (entry,) = [
        one for one in signed.one.get(f"{signed.slide}/trail").json() if one["action"] == "sign"
    ]
    assert report.resultsInterpreter[0].display == local_name() == entry["reviewer"]
    assert report.issued.isoformat()[:19] == entry["at"][:19]
    assert report.conclusion == CONCLUSION and report.performer[0].display == LABORATORY
    assert report.identifier[0].value == f"{signed.made.slide.slide_id}/1"


def test_a_report_that_is_not_signed_names_nobody(lab):
    report, _ = fhir(lab)
    assert (report.resultsInterpreter, report.issued, report.conclusion) == (None, None, None)


def test_the_printed_report_says_who_signed_what_was_counted_and_what_is_not_normal(signed):
    pypdf = pytest.importorskip("pypdf", reason="the test extra is not installed")
    pages = pypdf.PdfReader(io.BytesIO(form(signed, "pdf"))).pages
    text = " ".join("\n".join(page.extract_text() for page in pages).split())
    assert f"Final, version 1. Signed by {local_name()} at " in text
    assert CONCLUSION in text and LABORATORY in text and signed.made.slide.slide_id in text
    assert f"renamed by {local_name()}" in text and f"{local_name()}: granules?" in text
    for line in report_lines(signed):
        if line["count"] and line["percent"] is not None:
            assert f"{line['title']} {line['count']} {line['percent']:.1f}" in text, line["name"]
        if line["flag"]:
            bounds = f"{line['low']:g} to {line['high']:g} {line['flag']}"
            assert bounds in text, line["name"]


def notable(lab):
    library = lab.library
    shelf = library.shelf(lab.made.slide.slide_id)
    return report_of(library, shelf, "name").notable


def test_a_report_shows_cells_with_alerts_renamed_and_commented_ones_and_the_surest(signed):
    shown = {one.cell.cell_id: one for one in notable(signed)}
    first, second, _, fourth = signed.cells()[PLAIN]
    assert shown[fourth].why == f"{local_name()}: granules?"
    cells = {cell["cell"]["cell_id"]: cell["expected"] for cell in truth(signed)}
    alerts = {
        alert["cell_id"]
        for alert in signed.one.get(f"{signed.slide}/changes").json()["alerts"]
        if alert["cell_id"]
    }
    assert alerts and all(shown[cell_id].why.startswith("alert: ") for cell_id in alerts)
    for cell_id in (first, second):
        was = cells[cell_id]["machine_label"].replace("-", " ").capitalize()
        assert shown[cell_id].why == f"{was} before, renamed by {local_name()}"
        assert shown[cell_id].label == "blast"
    labels = {cell["label"] for cell in cells.values()} - {"other"}
    for label in labels:
        own = [c for c in cells.values() if c["label"] == label]
        surest = max(own, key=lambda cell: cell["probability"])
        assert surest["cell_id"] in shown, label
    examples = [one for one in shown.values() if not one.why]
    assert 0 < len(examples) < len(cells)
    assert np.unique([one.label for one in examples], return_counts=True)[1].max() <= 6


def test_what_is_out_of_range_is_said_in_words_first(open_lab):
    lab = open_lab()
    wish = {"action": "reclassify", "cell_ids": lab.cells()[:20], "label": "blast", "saw": 0}
    lab.one.post(f"{lab.slide}/decisions", wish)
    shelf = lab.library.shelf(lab.made.slide.slide_id)
    first = report_of(lab.library, shelf, "smear").remarks[0]
    line = next(line for line in differential_lines(lab) if line["name"] == "blast")
    assert first.startswith("High: ") and f"Blast {line['per_100']:.1f} % (0 to 0)" in first


def differential_lines(lab):
    return lab.one.get(f"{lab.slide}/changes").json()["differential"]
