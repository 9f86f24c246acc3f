"""The data of a recipe in one file, for another machine."""

import numpy as np
import pytest
from PIL import Image

from classify import DataError
from classify.training import packed_data
from classify.training.packed_data import pack_recipe, unpack_data

RECIPE = """
val = "{root}/val"
attributes = "{root}/attributes.csv"
[taxonomy]
band = "neutrophil"
[[sources]]
folder = "{root}/home"
laboratory = "home"
[sources.labels]
"neutrophil/BNE" = "band"
"""


@pytest.fixture
def recipe(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("home/neutrophil/BNE_1.png", "home/neutrophil/SNE_2.webp", "val/neutrophil/a.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(path)
    (tmp_path / "attributes.csv").write_text("img_name,cell_size,granularity\nBNE_1.jpg,big,yes\n")
    (tmp_path / "recipe.toml").write_text(RECIPE.format(root=tmp_path))
    return tmp_path / "recipe.toml"


def test_what_is_unpacked_is_the_recipe_with_its_images(recipe, tmp_path):
    assert pack_recipe(recipe, tmp_path / "data.zip") == 3
    values = unpack_data(tmp_path / "data.zip", tmp_path / "there")
    (source,) = values["sources"]
    names = sorted(
        p.relative_to(source["folder"]).as_posix() for p in source["folder"].rglob("*.*")
    )
    assert names == ["neutrophil/BNE_1.webp", "neutrophil/SNE_2.webp"]
    assert source["labels"] == {"neutrophil/BNE": "band"}
    assert "BNE_1" in values["attributes"].read_text()
    assert (values["val"] / "neutrophil" / "a.webp").exists()


def test_a_file_too_large_to_carry_is_refused(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(packed_data, "MOST_BYTES", 100)
    with pytest.raises(DataError, match="60 are the most"):
        pack_recipe(recipe, tmp_path / "data.zip")
    assert not (tmp_path / "data.zip").exists()


def test_what_is_no_packed_data_is_refused(tmp_path):
    (tmp_path / "data.zip").write_text("no archive")
    with pytest.raises(DataError, match="no packed data"):
        unpack_data(tmp_path / "data.zip", tmp_path / "there")
