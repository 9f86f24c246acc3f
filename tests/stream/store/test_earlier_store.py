"""A store that main 2df0d46 wrote, with a slide of five cells, a signed review and an account, is
opened, shown and exported by today's code.

`cytostream run smear.tiff --store store --sink jsonl:events.jsonl` at 2df0d46, on
`tests.make.smear(path, side_px=900, whites=5, seed=3)`; then one cell reclassified, one confirmed,
a comment and a signature, each through the page's `Desk`.
"""

import json
import tarfile
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from ingest import open_workers
from stream.cli.app import app
from stream.config import Config
from stream.review.slides import SlideLibrary
from stream.review.web.accounts import Accounts
from stream.review.web.app import Setting, make_app

PACKED = Path(__file__).parent / "data" / "store-2df0d46.tar.xz"
SLIDE = "6855034c94ff5fa8bbc3"
COUNTS = {"erythroblast": 4, "neutrophil": 1}


@pytest.fixture
def store(tmp_path):
    with tarfile.open(PACKED) as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path / "store"


def cytostream(*words):
    said = CliRunner().invoke(app, [str(word) for word in words])
    assert said.exit_code == 0, said.output
    return said.stdout


def test_it_is_shown_on_the_page(store):
    with SlideLibrary(store, Config()) as library, open_workers(0) as workers:
        accounts = Accounts(store)
        page = make_app(library, accounts, workers, Config(), Setting("accounts"))
        http = TestClient(page, base_url="http://127.0.0.1")
        http.post("/api/login", json={"name": "anna", "password": "correct horse battery"})
        (row,) = http.get("/api/slides").json()["slides"]
        assert (row["slide_id"], row["status"], row["review"]) == (SLIDE, "done", "signed")
        assert row["counts"] == COUNTS and row["signed_by"] == "anna"
        changes = http.get(f"/api/slides/{SLIDE}/changes").json()
        cells = [cell[1] for cell in changes["cells"]]
        assert len(cells) == 5
        for cell_id in cells:
            image = http.get(f"/api/slides/{SLIDE}/cells/{cell_id}/image")
            assert image.status_code == 200, image.text
        page.state.parts.close()
        accounts.close()


def test_its_trail_holds(store):
    with SlideLibrary(store, Config()) as library:
        assert library.trail.verify() == 4 and library.trail.sealed() == 0
        (signature,) = library.shelf(SLIDE).standing.signatures
    assert signature.counts == COUNTS and signature.comment == "ready"
    assert cytostream("alerts", "--store", store) == ""


def test_it_is_exported(store, tmp_path):
    words = ["--store", store, "--out", tmp_path / "out"]
    for form in ("csv", "fhir.json", "geojson", "crops"):
        words += ["--form", form]
    cytostream("export-results", *words)
    (table,) = (tmp_path / "out").glob("smear-*.csv")
    assert len(table.read_text().splitlines()) == 6
    (bundle,) = (tmp_path / "out").glob("*.fhir.json")
    assert '"final"' in bundle.read_text()
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2  # those reviewed


def test_its_events_are_sent(store, tmp_path):
    cytostream("relay", "--store", store, "--sink", f"jsonl:{tmp_path / 'events.jsonl'}")
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert len({event["id"] for event in events}) == 7
    assert {event["subject"] for event in events} == {SLIDE}
