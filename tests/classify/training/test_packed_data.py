"""The data of a recipe in one file, for another machine."""

import json
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

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


def test_what_lies_in_the_packed_file(recipe, tmp_path):
    """WebP images byte for byte, others as WebP, the table compressed; folders as in the file."""
    out = tmp_path / "deep" / "down" / "data.zip"
    assert pack_recipe(recipe, out) == pack_recipe(recipe, out) == 3
    assert [path.name for path in out.parent.iterdir()] == ["data.zip"]
    with ZipFile(out) as packed:
        kinds = {one.filename: one.compress_type for one in packed.infolist()}
        assert kinds == {
            "0/neutrophil/BNE_1.webp": ZIP_STORED,
            "0/neutrophil/SNE_2.webp": ZIP_STORED,
            "val/neutrophil/a.webp": ZIP_STORED,
            "attributes.csv": ZIP_DEFLATED,
            "recipe.json": ZIP_STORED,
        }
        kept = packed.read("0/neutrophil/SNE_2.webp")
        assert kept == (tmp_path / "home" / "neutrophil" / "SNE_2.webp").read_bytes()
        with Image.open(packed.open("0/neutrophil/BNE_1.webp")) as image:
            assert (image.format, image.size) == ("WEBP", (16, 16))
        values = json.loads(packed.read("recipe.json"))
    labels = {"neutrophil/BNE": "band"}
    assert values == {
        "val": "val",
        "attributes": "attributes.csv",
        "taxonomy": {"band": "neutrophil"},
        "sources": [{"folder": "0", "laboratory": "home", "labels": labels}],
    }
    there = tmp_path / "there"
    first = unpack_data(out, there)
    (there / "val" / "neutrophil" / "a.webp").unlink()
    assert unpack_data(out, there) == first, "what is there is not unpacked again"
    assert not (there / "val" / "neutrophil" / "a.webp").exists()
    assert first["val"] == there / "val" and first["sources"][0]["folder"] == there / "0"


def test_what_cannot_be_packed_says_what_to_do(recipe, tmp_path, monkeypatch):
    for text in ("val = 3", "sources = ["):
        recipe.write_text(text)
        with pytest.raises(DataError) as refused:
            pack_recipe(recipe, tmp_path / "data.zip")
        assert refused.value.what.startswith(f"{recipe}: no recipe with sources: ")
        assert refused.value.hint == "see configs/training/white-cells.toml"
    recipe.write_text(RECIPE.format(root=tmp_path))
    monkeypatch.setattr(packed_data, "MOST_BYTES", pack_recipe(recipe, tmp_path / "data.zip"))
    with pytest.raises(DataError) as refused:
        pack_recipe(recipe, tmp_path / "more.zip")
    assert refused.value.what == f"{tmp_path}/more.zip.part: 0 MiB, and 60 are the most"
    assert refused.value.hint == "leave a source out, or validate on fewer cells"
    monkeypatch.setattr(packed_data, "MOST_BYTES", (tmp_path / "data.zip").stat().st_size)
    pack_recipe(recipe, tmp_path / "data.zip")  # as large as it may be
    with pytest.raises(DataError) as unread:
        unpack_data(tmp_path / "none.zip", tmp_path / "there")
    assert unread.value.hint == "make it with `cytostream pack-data`"
