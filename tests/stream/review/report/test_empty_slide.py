"""A slide on which no cell was found: the page shows it, and every form holds no rows."""

import io
import json

import pytest
from typer.testing import CliRunner

from stream.cli.app import app as command
from stream.review.report.formats import FORMS
from tests.stores import Filled

OF_ANY_SLIDE = [ending for ending in FORMS if ending != "dcm"]


@pytest.fixture
def empty(open_lab, tmp_path):
    return open_lab(made=Filled(tmp_path / "store").done())


def test_the_page_shows_it(empty):
    for path in (
        "/",
        f"/slides/{empty.made.slide.slide_id}",
        f"/slides/{empty.made.slide.slide_id}/report",
        "/api/slides",
    ):
        assert empty.one.get(path).status_code == 200, path
    says = empty.one.get(empty.slide).json()
    assert says["model_classes"] and empty.one.get(f"{empty.slide}/changes").json()["cells"] == []


@pytest.mark.parametrize("ending", OF_ANY_SLIDE)
def test_every_form_is_made(empty, ending):
    answer = empty.one.get(f"{empty.slide}/report.{ending}")
    assert answer.status_code == 200, answer.text


def test_annotations_are_for_dicom_slides_alone(empty):
    answer = empty.one.get(f"{empty.slide}/report.dcm")
    assert answer.status_code == 404 and "no DICOM series" in answer.json()["detail"]


def test_tables_have_their_columns_and_no_row(empty):
    anndata = pytest.importorskip("anndata")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(empty.one.get(f"{empty.slide}/report.parquet").content))
    classes = empty.one.get(empty.slide).json()["model_classes"]
    assert table.num_rows == 0 and {f"p_{name}" for name in classes} < set(table.column_names)
    assert len(empty.one.get(f"{empty.slide}/report.csv").text.splitlines()) == 1
    assert json.loads(empty.one.get(f"{empty.slide}/report.geojson").content)["features"] == []
    path = empty.made.store / "empty.h5ad"
    path.write_bytes(empty.one.get(f"{empty.slide}/report.h5ad").content)
    assert anndata.read_h5ad(path).shape == (0, len(classes))


def test_the_command_exports_it(empty, tmp_path):
    out = tmp_path / "out"
    forms = [part for name in (*OF_ANY_SLIDE, "crops") for part in ("--form", name)]
    ended = CliRunner().invoke(
        command, ["export-results", "--store", str(empty.made.store), "--out", str(out), *forms]
    )
    assert ended.exit_code == 0, ended.output
    assert len([path for path in out.rglob("*") if path.is_file()]) >= len(OF_ANY_SLIDE)
