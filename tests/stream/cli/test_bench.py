"""`cytostream bench judge` on a few shipped cells: every way judges the same cells, and the report
has every figure.
"""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from classify import load_model
from classify.model_card import read_sheet
from stream.cli.app import app

pytestmark = pytest.mark.train


@pytest.fixture
def folders(tmp_path):
    """Two cells of two classes at home, and one mixture of classes as an anomaly."""
    card = load_model().card
    px, pad = card.image_px, (card.crop_px - card.image_px) // 2
    sheet = np.pad(
        read_sheet(len(card.counted) + 1),
        ((0, 0), (0, 0), (pad, pad), (pad, pad), (0, 0)),
        mode="edge",
    )
    assert sheet.shape[2] == px + 2 * pad
    for folder, row, column in (
        ("home", 1, 0),
        ("home", 1, 1),
        ("home", 7, 0),
        ("home", 7, 1),
        ("odd", -1, 0),
    ):
        name = card.counted[row] if folder == "home" else "mixture"
        (tmp_path / folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(sheet[row, column]).save(tmp_path / folder / name / f"{column}.png")
    return tmp_path


def test_the_contest(folders):
    pytest.importorskip("torch", reason="the train extra is not installed")
    out = folders / "report.json"
    words = [
        "bench",
        "judge",
        folders / "home",
        "--anomalous",
        folders / "odd",
        "--paper-cells",
        2,
        "--paper-draws",
        26,
    ]
    done = CliRunner().invoke(
        app, [*map(str, words), "--draw-cells", "0", "--no-growth", "--json", str(out)]
    )
    assert done.exit_code == 0, done.output
    report = json.loads(out.read_text())
    few, everything = report["few"], report["all"]
    assert [row["cells"] for row in few.values()] == [2, 2, 2, 2] and {
        row["cells"] for row in everything.values()
    } == {5}
    paper, one_pass, reference, ours = few.values()
    assert paper["passes"] > one_pass["passes"] >= 21 > reference["passes"] == 16 >= ours["draws"]
    assert reference["agreement"] == 1 and 0 < ours["utilisation"] <= 1
    assert set(report["level"]["observed"]) == {"home", "home, not calibrated on", "anomalous"}
    assert report["first_verdict_ms"]["median"] > 0


def test_a_folder_without_images(tmp_path):
    done = CliRunner().invoke(app, ["bench", "judge", str(tmp_path)])
    assert done.exit_code == 1 and "no image here" in str(done.exception)
