"""A model that does not match its card is refused."""

import json
import shutil

import pytest

from classify import SHIPPED, ModelError, load_model

MOST_BYTES = 16 << 20


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(SHIPPED, tmp_path / "model")


def test_the_shipped_model_is_whole_and_small():
    card = load_model().card
    assert (
        len(card.counted) == 12 and "other" in card.classes and "CC BY 4.0" in card.data["licence"]
    )
    assert (
        sum(p.stat().st_size for p in SHIPPED.iterdir() if p.suffix in (".onnx", ".npz"))
        < MOST_BYTES
    )


@pytest.mark.parametrize("name", ["denoiser.onnx", "tables.npz"])
def test_a_changed_file_is_refused(copy, name):
    with (copy / name).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match="not the file that its card names"):
        load_model(copy)


def test_no_card(copy):
    (copy / "card.json").unlink()
    with pytest.raises(ModelError, match="no model card"):
        load_model(copy)


def test_an_unknown_key_in_the_card(copy):
    card = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps(card | {"colour": "blue"}))
    with pytest.raises(ModelError):
        load_model(copy)
