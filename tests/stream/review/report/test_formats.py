"""What leaves: each file read back by the library that its readers use."""

import io
import json
import zipfile
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from classify import CropFolder
from stream.cli.app import app as command
from stream.store import SlideStore, store_path
from tests.ingest.scn import write_scn
from tests.stores import filled


@pytest.fixture
def signed(lab):
    """A signed slide with two cells renamed and one comment."""
    lab.see_all()
    body = {
        "action": "reclassify",
        "cell_ids": lab.cells()[:2],
        "label": "blast",
        "saw": lab.number(),
    }
    assert lab.one.post(f"{lab.slide}/decisions", body).status_code == 200
    lab.one.post(f"{lab.slide}/comments", {"text": "Łukasz Ångström: déjà vu", "saw": 0})
    assert lab.sign(comment="Blasts, Привет").status_code == 200
    return lab


def reviewed_labels(lab):
    """What the signed report calls each cell: the machine's label, but of the two renamed."""
    machine = lab.made.labels()
    reviewed = machine | dict.fromkeys(list(machine)[:2], "blast")
    assert reviewed != machine
    return reviewed


def form(lab, ending):
    answer = lab.one.get(f"{lab.slide}/report.{ending}")
    assert answer.status_code == 200, answer.text
    return answer.content


def test_fhir_is_final_when_signed_and_validates(signed):
    from fhir.resources.R4B.bundle import Bundle

    bundle = Bundle.model_validate_json(form(signed, "fhir.json"))
    report, *others = [entry.resource for entry in bundle.entry]
    observations = [one for one in others if one.get_resource_type() == "Observation"]
    assert (
        report.status == "final"
        and report.code.coding[0].code == "24318-8"
        and len(observations) > 5
    )
    assert {o.status for o in observations} == {"final"}
    known = {entry.fullUrl for entry in bundle.entry}
    assert {r.reference for r in report.result} <= known
    blasts = next(o for o in observations if o.code.text == "Blast")
    assert blasts.code.coding[0].code == "26446-5" and blasts.valueQuantity.unit == "%"
    share = next(
        line
        for line in signed.one.get(f"{signed.slide}/changes").json()["differential"]
        if line["name"] == "blast"
    )
    assert float(blasts.valueQuantity.value) == pytest.approx(share["percent"], abs=0.06)


def references(resource):
    """All references to other entries of the bundle."""
    if isinstance(resource, dict):
        own = [resource["reference"]] if "reference" in resource else []
        return own + [found for value in resource.values() for found in references(value)]
    if isinstance(resource, list):
        return [found for value in resource for found in references(value)]
    return []


def test_fhir_is_a_transaction_that_can_be_sent_again(signed):
    bundle = json.loads(form(signed, "fhir.json"))
    entries = bundle["entry"]
    assert bundle["type"] == "transaction" and bundle == json.loads(form(signed, "fhir.json"))
    known = {entry["fullUrl"] for entry in entries}
    assert set(references(bundle)) <= known and len(known) == len(entries)
    for entry in entries:
        own = entry["resource"]["identifier"][0]
        query = urlencode({"identifier": f"{own['system']}|{own['value']}"})
        kind = entry["resource"]["resourceType"]
        assert entry["request"] == {"method": "PUT", "url": f"{kind}?{query}"}
    assert len({entry["request"]["url"] for entry in entries}) == len(entries)
    kinds = [entry["resource"]["resourceType"] for entry in entries]
    assert kinds[0] == "DiagnosticReport" and {"Specimen", "Device"} <= set(kinds)
    counted = [e["resource"] for e in entries if e["resource"]["resourceType"] == "Observation"]
    assert all(one["device"] and one["specimen"] and one["method"]["text"] for one in counted)


def test_fhir_is_a_manual_count_only_once_a_person_has_signed(lab):
    assert panel_code(lab) == "69738-3"
    lab.see_all()
    lab.sign()
    assert panel_code(lab) == "24318-8"


def panel_code(lab):
    report = json.loads(form(lab, "fhir.json"))["entry"][0]["resource"]
    return report["code"]["coding"][0]["code"]


def test_fhir_is_preliminary_before_and_amended_after(lab):
    assert json.loads(form(lab, "fhir.json"))["entry"][0]["resource"]["status"] == "preliminary"
    lab.see_all()
    lab.sign()
    lab.one.post(f"{lab.slide}/amendments", {"saw": lab.number(), "reason": "x"})
    assert json.loads(form(lab, "fhir.json"))["entry"][0]["resource"]["status"] == "preliminary"
    lab.sign()
    assert json.loads(form(lab, "fhir.json"))["entry"][0]["resource"]["status"] == "amended"


def test_geojson_has_the_same_cells_and_areas(signed):
    shapely = pytest.importorskip("shapely", reason="the test extra is not installed")
    made = json.loads(form(signed, "geojson"))
    shapes = {
        f["properties"]["name"]: shapely.geometry.shape(f["geometry"]) for f in made["features"]
    }
    rows = signed.made.outbox.cells(signed.made.slide.slide_id)
    bodies = {row.cell_id: json.loads(row.body)["cell"]["box_px0"] for row in rows}
    assert shapes.keys() == bodies.keys()
    for name, (x0, y0, x1, y1) in bodies.items():
        assert (
            shapes[name].is_valid
            and shapes[name].area == (x1 - x0) * (y1 - y0)
            and shapes[name].exterior.is_ccw
        )
    names = {
        f["properties"]["name"]: f["properties"]["classification"]["name"] for f in made["features"]
    }
    assert names == reviewed_labels(signed)
    assert all(len(f["properties"]["classification"]["color"]) == 3 for f in made["features"])


def test_geojson_counts_from_the_corner_of_the_scanned_area(open_lab, tmp_path):
    corner = np.array([1000, 700])
    write_scn(
        tmp_path / "area.scn", np.full((256, 256, 3), 240, np.uint8), (1000, 700), (3000, 2000)
    )
    lab = open_lab(made=filled(tmp_path / "store", cells=3, odd=0, name="area.scn"))
    made = json.loads(form(lab, "geojson"))
    assert made["origin_px0"] == corner.tolist()
    rows = lab.made.outbox.cells(lab.made.slide.slide_id)
    boxes = {row.cell_id: json.loads(row.body)["cell"]["box_px0"] for row in rows}
    for feature in made["features"]:
        ring = np.array(feature["geometry"]["coordinates"][0])
        box = np.reshape(boxes[feature["properties"]["name"]], (2, 2))
        assert (ring.min(axis=0) == box[0] - corner).all()
        assert (ring.max(axis=0) == box[1] - corner).all()


def test_tables_agree(signed):
    import anndata
    import pandas as pd
    import pyarrow.parquet as pq

    csv = pd.read_csv(io.BytesIO(form(signed, "csv")))
    parquet = pq.read_table(io.BytesIO(form(signed, "parquet")))
    path = signed.made.store / "out.h5ad"
    path.write_bytes(form(signed, "h5ad"))
    adata = anndata.read_h5ad(path)
    assert len(csv) == parquet.num_rows == adata.n_obs == 40
    assert list(csv["cell_id"]) == parquet["cell_id"].to_pylist() == list(adata.obs_names)
    assert np.allclose(adata.X.sum(axis=1), 1, atol=1e-5)
    assert dict(zip(csv["cell_id"], csv["label"], strict=True)) == reviewed_labels(signed)
    assert np.allclose(adata.obsm["spatial"][:, 0], csv["x_px0"] * 0.25)
    assert json.loads(parquet.schema.metadata[b"cytostream"])["status"] == "final"
    stored = SlideStore.open(store_path(signed.made.store, signed.made.slide.slide_id))
    features = stored.read("features")
    assert features.dtype == np.float16 and stored.group["features"].shards[0] == 16_384
    assert np.array_equal(adata.obsm["features"], features.astype(np.float32))
    assert np.array_equal(np.array(parquet["features"].to_pylist()), features)
    assert adata.var_names.tolist() == [
        c.removeprefix("p_") for c in csv.columns if c.startswith("p_")
    ]


def test_a_spreadsheet_runs_nothing(lab):
    from stream.review.report.tables import _harmless

    assert _harmless("=cmd|'/c calc'!A1") == "'=cmd|'/c calc'!A1"
    assert (_harmless("neutrophil"), _harmless(-1)) == ("neutrophil", -1)


def test_reviewed_cells_are_an_image_folder_for_training(signed, tmp_path):
    with zipfile.ZipFile(io.BytesIO(form(signed, "zip"))) as file:
        assert not [n for n in file.namelist() if n.startswith(("/", ".."))]
        file.extractall(tmp_path / "crops")
    folder = CropFolder(tmp_path / "crops", 128)
    read = dict(folder)
    assert len(read) == 2 and {p.parent.name for p in read} == {"blast"} and not folder.skipped
    rows = {row.cell_id: row for row in signed.made.outbox.cells(signed.made.slide.slide_id)}
    for path, crop in read.items():
        assert path.stem.split("-")[1] in rows and crop.shape == (128, 128, 3)


def test_crops_come_back_as_they_were_given(lab):
    """From the zarr store and from the journal: the same pixels that the classifier saw."""
    late = lab.made.add(3, store=False)
    kept = {
        row.cell_id: row.crop for row in lab.made.outbox.cells(lab.made.slide.slide_id) if row.crop
    }
    assert set(late) <= set(kept)
    store = lab.made.writer.store
    ids = [bytes(v).hex() for v in store.read("cell_id")]
    for cell in [*late, lab.cells()[0], lab.cells()[39]]:
        png = lab.one.get(f"{lab.slide}/cells/{cell}/image?form=png")
        pixels = np.asarray(Image.open(io.BytesIO(png.content)))
        waits = kept.get(cell)
        expected = (
            np.frombuffer(waits, np.uint8).reshape(128, 128, 3)
            if waits
            else store.read("crop")[ids.index(cell)]
        )
        assert (pixels == expected).all()
        jpeg = Image.open(io.BytesIO(lab.one.get(f"{lab.slide}/cells/{cell}/image").content))
        assert np.abs(np.asarray(jpeg, int) - expected).mean() < 4


def test_pdf_is_a_document_with_every_script_of_europe(signed):
    pdf = form(signed, "pdf")
    assert pdf.startswith(b"%PDF-") and len(pdf) > 20_000


def test_the_shell_writes_the_same(signed, tmp_path):
    words = ["export-results", "--store", str(signed.made.store), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(
        command, [*words, "--form", "csv", "--form", "crops", "--form", "geojson"]
    )
    assert done.exit_code == 0, done.output
    slide_id = signed.made.slide.slide_id
    assert (tmp_path / "out" / f"smear-{slide_id[:8]}-v1.csv").read_bytes() == form(signed, "csv")
    assert len(list((tmp_path / "out" / "blast").glob("*.png"))) == 2
    assert CliRunner().invoke(command, ["audit", "--store", str(signed.made.store)]).exit_code == 0


WRONG = [
    (["--form", "docx"], "no form"),
    (["--slide", "ffff"], "no slide"),
]


@pytest.mark.parametrize(("words", "says"), WRONG)
def test_the_shell_says_what_is_wrong(lab, tmp_path, words, says):
    from ingest import CytostreamError

    done = CliRunner().invoke(
        command,
        ["export-results", "--store", str(lab.made.store), "--out", str(tmp_path / "o"), *words],
    )
    assert isinstance(done.exception, CytostreamError) and says in str(done.exception)


def test_a_version_that_is_not_there_is_left_out(lab, tmp_path):
    words = ["export-results", "--store", str(lab.made.store), "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(command, [*words, "--version", "9"])
    assert done.exit_code == 1 and "no version 9" in done.output
