"""Real cells laid into a smear: as many of each class as asked, their pixels as they are."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from classify import DataError
from ingest import open_slide
from ingest.readers.reader import read_grid
from stream.cli.app import app
from stream.cli.commands.simulate import cell_counts, shares_per_100

KNOWN = ["basophil", "blast", "lymphocyte", "neutrophil"]


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Crops of one colour a class, glass around."""
    folder = tmp_path_factory.mktemp("cells")
    colours = {"blast": (90, 40, 120), "neutrophil": (150, 90, 160), "lymphocyte": (60, 60, 140)}
    for name, colour in colours.items():
        (folder / name).mkdir()
        for number in range(2):
            crop = np.full((128, 128, 3), (244, 238, 228), np.uint8)
            y, x = np.mgrid[:128, :128] - 64
            crop[np.hypot(x, y) < 20] = colour
            Image.fromarray(crop).save(folder / name / f"p{number}.png")
    return folder


def simulated(cells, path, *given):
    size = "--width-px", "1500", "--height-px", "1200"
    done = CliRunner().invoke(app, ["simulate", str(path), "--cells", str(cells), *size, *given])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    lines = path.with_name(path.name + ".truth.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_each_class_is_there_as_often_as_asked_with_its_own_pixels(cells, tmp_path):
    truth = simulated(cells, tmp_path / "s.tiff", "--whites", "20", "--per-100", "blast=10")
    labels = [line["label"] for line in truth]
    assert len(labels) == 20 and labels.count("blast") == 2
    assert labels.count("neutrophil") == 12 and labels.count("lymphocyte") == 6
    slide = open_slide(tmp_path / "s.tiff")
    assert round(slide.mpp, 3) == 0.281
    pixels = read_grid(slide, (0, 0, 1500, 1200), 1, (255, 255, 255)).astype(int)
    for line in truth:
        x, y = line["centre"]
        own = np.asarray(Image.open(line["image"])).astype(int)
        shown = pixels[y - 32 : y + 32, x - 32 : x + 32]
        assert np.abs(shown - own[32:96, 32:96]).mean() < 4  # grain and JPEG


def test_the_same_seed_chooses_the_same_cells(cells, tmp_path):
    one, two, other = (
        simulated(cells, tmp_path / f"{n}.tiff", "--whites", "5", "--seed", seed)
        for n, seed in enumerate(("1", "1", "2"))
    )
    assert one == two != other


def test_counts_add_up_and_the_rest_is_normal_blood():
    counts = cell_counts({"blast": 5.0}, KNOWN, 200)
    assert counts.total() == 200 and counts["blast"] == 10
    assert counts["neutrophil"] > counts["lymphocyte"] > counts["basophil"] > 0
    assert +cell_counts({"blast": 100.0}, KNOWN, 7) == {"blast": 7}
    assert cell_counts({}, ["a", "b"], 5).total() == 5


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (["blast"], "no number"),
        (["blast=x"], "no number"),
        (["blast=120"], "0 to 100"),
        (["blast=60", "neutrophil=60"], "120 of 100"),
    ],
)
def test_shares_that_are_none_are_an_error(given, match):
    with pytest.raises(DataError, match=match):
        shares_per_100(given)


def test_none_and_all_of_a_class_are_shares():
    assert shares_per_100(["blast=0", "monocyte=100"]) == {"blast": 0.0, "monocyte": 100.0}


def test_a_class_without_cells_and_a_smear_too_small_are_errors(cells, tmp_path):
    with pytest.raises(DataError, match="no cells of class plasma"):
        simulated(cells, tmp_path / "a.tiff", "--per-100", "plasma=5")
    with pytest.raises(Exception, match="do not fit"):
        simulated(cells, tmp_path / "b.tiff", "--whites", "500")
    with pytest.raises(DataError, match="no class for the other"):
        cell_counts({"blast": 5.0}, ["blast"], 10)


def test_cells_are_those_of_normal_blood_to_the_cell():
    kinds = ["neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil", "blast"]
    for whites, shares, expected in (
        (100, {}, [60, 30, 6, 3, 1]),
        (200, {"blast": 10.0}, [108, 54, 11, 5, 2, 20]),
        (7, {}, [4, 2, 1]),
        (100, {"blast": 100.0}, [0, 0, 0, 0, 0, 100]),
    ):
        counts = cell_counts(shares, kinds if shares else kinds[:5], whites)
        found = [counts[name] for name in kinds]
        assert found == expected + [0] * (6 - len(expected)), (whites, shares)
