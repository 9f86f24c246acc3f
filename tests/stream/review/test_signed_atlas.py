"""An atlas of the laboratory's own signed cells."""

import numpy as np
import pytest
from typer.testing import CliRunner

from ingest import StoreError
from stream.cli.app import app
from stream.review.compare import write_atlas
from stream.review.images import Atlas
from stream.review.web.auth import local_name


def decide(lab, cells, label):
    about = {"action": "reclassify", "cell_ids": cells, "label": label, "saw": lab.number()}
    assert lab.one.post(f"{lab.slide}/decisions", about).is_success


def signed(lab):
    lab.see_all()
    assert lab.sign().is_success


def written(lab, folder, count=4):
    return write_atlas(lab.library, lambda slide_id, cell: b"png", folder, count)


@pytest.fixture
def lab(open_lab):
    """A signed slide with eight blasts and two monocytes."""
    lab = open_lab()
    cells = lab.cells()
    decide(lab, cells[:8], "blast")
    decide(lab, cells[8:10], "monocyte")
    signed(lab)
    return lab


def test_typical_cells_are_taken_and_who_signed_is_credited(lab, tmp_path):
    assert written(lab, tmp_path / "atlas") == {"blast": 4}  # two monocytes are too few
    shelf = lab.library.shelf(lab.made.slide.slide_id)
    blasts = [shelf.found.by_id[name] for name in lab.cells()[:8]]
    features = shelf.features(blasts).astype(float)
    features -= features.mean(axis=1, keepdims=True)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    far = np.linalg.norm(features - np.median(features, axis=0), axis=1)
    nearest = [blasts[place].cell_id for place in far.argsort()[:4]]
    files = sorted((tmp_path / "atlas" / "blast").iterdir())
    assert [path.stem[3:] for path in files] == nearest
    credit = (tmp_path / "atlas" / "CREDIT.txt").read_text()
    assert credit == f"Cells of this laboratory, signed by {local_name()}.\n"


def test_a_class_that_was_amended_away_and_an_open_slide_are_left_out(lab, tmp_path):
    slide, cells = lab.slide, lab.cells()
    lab.one.post(f"{slide}/amendments", {"reason": "looked again", "saw": lab.number()})
    decide(lab, cells[:1], "myelocyte")
    decide(lab, cells[10:14], "eosinophil")
    with pytest.raises(StoreError, match="no class has 3 signed cells"):
        written(lab, tmp_path / "open")
    signed(lab)
    assert written(lab, tmp_path / "again") == {"eosinophil": 4}


def test_the_command_writes_a_folder_that_the_page_shows(lab, tmp_path):
    out = tmp_path / "atlas"
    command = ["atlas", "--store", str(lab.library.store), "--out", str(out), "--cells", "5"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    atlas = Atlas(tmp_path, out)
    assert atlas.classes() == {"blast": 5} and not atlas.generated
    assert atlas.png("blast", 4).startswith(b"\x89PNG")
    assert CliRunner().invoke(app, command).exit_code != 0  # the folder has files
