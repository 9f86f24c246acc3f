"""An atlas of openly licensed cells, of the folders that a recipe names."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from classify import SHIPPED, DataError, load_model, open_engine, read_sheet
from ingest import StoreError
from stream.cli.app import app
from stream.review.compare import write_open_atlas
from stream.review.images import Atlas

CREDIT = "Reference cells of open data: two sets (CC BY 4.0; A. Author 2020)."
RECIPE = """
steps = 10

[data]
name = "two sets"
licence = "CC BY 4.0"
source = "A. Author 2020"

[[sources]]
folder = "{root}/first"
laboratory = "first"
[sources.labels]
ery = "erythroblast"
"round/MO" = "monocyte"

[[sources]]
folder = "{root}/second"
laboratory = "second"
"""


def save(cell, path):
    """A generated cell on white, as large as a crop of the model."""
    crop = np.full((128, 128, 3), 255, np.uint8)
    crop[32:96, 32:96] = cell
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(crop).save(path)


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def engine(model):
    return open_engine(model, "openvino")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, model):
    """Erythroblasts of two laboratories, two of which are lymphocytes; monocytes by the names of
    their files; two platelets, which are too few; a file that is no image.
    """
    root = tmp_path_factory.mktemp("open")
    names = model.card.counted
    sheet = dict(zip(names, read_sheet(len(names) + 1, SHIPPED), strict=False))
    for number in range(4):
        save(sheet["erythroblast"][number], root / "first" / "ery" / f"e{number}.png")
        save(sheet["monocyte"][number], root / "first" / "round" / f"MO_{number}.png")
        save(sheet["lymphocyte"][number], root / "first" / "round" / f"LY_{number}.png")
    for number in range(2):
        save(sheet["erythroblast"][4 + number], root / "second" / "erythroblast" / f"s{number}.png")
        save(sheet["lymphocyte"][number], root / "second" / "erythroblast" / f"wrong{number}.png")
        save(sheet["platelet"][number], root / "second" / "platelet" / f"b{number}.png")
    (root / "second" / "erythroblast" / "text.png").write_text("no image")
    path = root / "recipe.toml"
    path.write_text(RECIPE.format(root=root))
    return path


def written(recipe, model, engine, folder, count=3):
    return write_open_atlas(recipe, model, engine, folder, count)


def test_cells_that_the_model_calls_as_they_are_labelled_are_taken(recipe, model, engine, tmp_path):
    out = tmp_path / "atlas"
    assert written(recipe, model, engine, out, 6) == {"erythroblast": 6, "monocyte": 4}
    taken = {path.stem[3:] for path in (out / "erythroblast").iterdir()}
    assert taken == {"e0", "e1", "e2", "e3", "s0", "s1"}
    assert (out / "CREDIT.txt").read_text() == f"{CREDIT}\n"
    atlas = Atlas(tmp_path, out)  # what the page shows
    assert atlas.classes() == {"erythroblast": 6, "monocyte": 4}
    assert not atlas.generated and atlas.credit == CREDIT
    first = next(path for path in (out / "monocyte").iterdir())
    original = recipe.parent / "first" / "round" / f"{first.stem[3:]}.png"
    middle = np.asarray(Image.open(original))[21:107, 21:107]  # 24 of 36 um
    assert np.array_equal(Image.open(first), middle)


def test_laboratories_take_turns(recipe, model, engine, tmp_path):
    assert written(recipe, model, engine, tmp_path / "atlas")["erythroblast"] == 3
    files = sorted((tmp_path / "atlas" / "erythroblast").iterdir())
    assert {path.stem[3] for path in files[:2]} == {"e", "s"}


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("licence = ", "title = ", "no recipe with sources and their credit: 'licence'"),
        ("[[sources]]", "[[other]]", "no recipe with sources and their credit"),
        ("steps = 10", "steps =", "no recipe with sources and their credit: Invalid value"),
        ("steps = 10", "crop_um = 18.0", "crops of 18 um, 128 px"),
        ("/first", "/none", "no class has 3 cells"),
    ],
)
def test_what_cannot_be_used_is_refused(recipe, model, engine, tmp_path, before, after, why):
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.read_text().replace(before, after))
    if why.startswith("no class"):
        path.write_text(path.read_text().replace("/second", "/none"))
    with pytest.raises(DataError, match=why):
        written(path, model, engine, tmp_path / "atlas")
    assert not (tmp_path / "atlas").exists()


def test_the_command_writes_into_a_new_folder_alone(recipe, model, engine, tmp_path):
    out = tmp_path / "atlas"
    command = ["atlas", "--recipe", str(recipe), "--out", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "6 erythroblast, 4 monocyte; use them with review.atlas" in done.output
    with pytest.raises(StoreError, match="has files"):
        written(recipe, model, engine, out)
