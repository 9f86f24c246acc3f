"""What is said of models that are not taken in, to the word; limits from both sides; what a check
of golden inputs finds.
"""

import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classify import ModelError, ModelLibrary, verify_model
from classify import model_check as checking
from classify import model_library as library_module
from classify.model_card import CARD, GRAPH, SHEET_FILE, SHIPPED, TABLES_FILE, load_model, read_card
from classify.model_check import golden_errors, golden_images, likeliest_classes, sheet_px
from classify.model_library import (
    MOST_ENTRIES,
    MOST_TABLE_BYTES,
    PART_BYTES,
    ModelsInUse,
    UsedModel,
    _check_tables,
    _copy_part,
    _entries_of,
    kind_of,
)
from tests.golden_figures import GoldenFile
from tests.make import BrightnessEngine, tiny_model

pytest.importorskip("onnx", reason="onnx is not installed (the rtx, tensorrt and train extras)")

from tests.tiny_graph import write_tiny_model  # noqa: E402


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("given") / "tiny")


@pytest.fixture
def library(tmp_path: Path) -> ModelLibrary:
    return ModelLibrary(tmp_path / "models")


def words(refused: pytest.ExceptionInfo[ModelError]) -> tuple[str, str]:
    return refused.value.what, refused.value.hint


def entry(name: str, size: int = 1, mode: int = 0, flags: int = 0) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.file_size, made.external_attr, made.flag_bits = size, mode << 16, flags
    return made


class Archive:
    def __init__(self, *entries: zipfile.ZipInfo):
        self.infolist = lambda: list(entries)


@pytest.mark.parametrize(
    ("entries", "what", "hint"),
    [
        (
            [entry(str(n)) for n in range(257)],
            "257 files in it are too many",
            "zip the model's folder alone",
        ),
        ([entry("/card.json")], "'/card.json' leads out of the zip file", "do not use this file"),
        ([entry("a/../x")], "'a/../x' leads out of the zip file", "do not use this file"),
        ([entry("a\\..\\x")], "'a\\\\..\\\\x' leads out of the zip file", "do not use this file"),
        ([entry("c:x")], "'c:x' leads out of the zip file", "do not use this file"),
        (
            [entry("x", mode=0o120777)],
            "'x' is a link or encrypted",
            "zip the files themselves",
        ),
        ([entry("x", flags=1)], "'x' is a link or encrypted", "zip the files themselves"),
        (
            [entry("a/card.json"), entry("b/card.json")],
            "card.json is in it twice",
            "zip one model's folder alone",
        ),
        (
            [entry("card.json", (2 << 20) + 1)],
            "card.json is too large for a model",
            "do not use this file",
        ),
        (
            [entry("a/card.json"), entry("b/tables.npz")],
            "several folders in it hold parts of a model",
            "zip one model's folder",
        ),
    ],
)
def test_a_zip_file_is_refused_in_words(
    entries: list[zipfile.ZipInfo], what: str, hint: str
) -> None:
    with pytest.raises(ModelError) as refused:
        _entries_of(Archive(*entries))
    assert words(refused) == (what, hint)


def test_a_zip_file_within_the_limits_is_taken() -> None:
    largest = [entry(f"m/{name}", size) for name, size in PART_BYTES.items()]
    others = [entry("m/notes.txt", flags=2, mode=0o100644), entry("cells.png/")]
    found = _entries_of(Archive(*largest, *others, *[entry(f"n/{n}") for n in range(250)]))
    assert {name: one.filename for name, one in found.items()} == {
        name: f"m/{name}" for name in PART_BYTES
    }
    sizes = {CARD: 2 << 20, GRAPH: 1 << 30, TABLES_FILE: 256 << 20, SHEET_FILE: 32 << 20}
    assert sizes == PART_BYTES and (MOST_ENTRIES, MOST_TABLE_BYTES) == (256, 1 << 30)


@pytest.mark.parametrize(("size", "is_taken"), [(1000, True), (1001, False)])
def test_a_part_is_copied_up_to_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, is_taken: bool
) -> None:
    monkeypatch.setitem(library_module.PART_BYTES, CARD, 1000)
    monkeypatch.setattr(library_module, "_COPY_BYTES", 300)
    data = os.urandom(size)
    if is_taken:
        _copy_part(io.BytesIO(data), tmp_path / CARD)
        assert (tmp_path / CARD).read_bytes() == data
        return
    with pytest.raises(ModelError) as refused:
        _copy_part(io.BytesIO(data), tmp_path / CARD)
    assert words(refused) == ("card.json is too large for a model", "do not use it")


def test_tables_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tables.npz"
    np.savez(path, bias=np.zeros(3))
    with zipfile.ZipFile(path) as tables:
        size = sum(one.file_size for one in tables.infolist())
    monkeypatch.setattr(library_module, "MOST_TABLE_BYTES", size)
    _check_tables(path)
    monkeypatch.setattr(library_module, "MOST_TABLE_BYTES", size - 1)
    expected = ("tables.npz: not the tables of a model", "export it again")
    with pytest.raises(ModelError) as refused:
        _check_tables(path)
    assert words(refused) == expected
    monkeypatch.setattr(library_module, "MOST_TABLE_BYTES", 1 << 20)
    with zipfile.ZipFile(path, "a") as tables:
        tables.writestr("bias.pkl", "x")
    with pytest.raises(ModelError) as refused:
        _check_tables(path)
    assert words(refused) == expected
    path.write_bytes(b"no zip")
    with pytest.raises(ModelError) as refused:
        _check_tables(path)
    assert refused.value.what.startswith("tables.npz: no file of tables: ")


def test_names_of_models(library: ModelLibrary, given: Path) -> None:
    model = load_model(given)
    for name in ("", "white", "red", "a/b", "../x"):
        with pytest.raises(ModelError) as refused:
            library.check_name(name, model)
        assert words(refused) == (f"{name!r} cannot be a model's name", "name it with --name")
    library.check_name("tiny", model)
    assert library.names() == ()
    library.add(given)
    library.add(given, "second")
    assert library.names() == ("second", "tiny")
    library.check_name("tiny", model)
    with pytest.raises(ModelError) as refused:
        library.check_name(
            "tiny", replace(model, card=model.card.model_copy(update={"sha256": {}}))
        )
    assert words(refused) == ("tiny: another model has this name", "choose one with --name")
    with pytest.raises(ModelError) as refused:
        library.find("absent")
    assert words(refused) == (
        "absent: no model of this name, nor a folder of one",
        "known: white, red, second, tiny",
    )
    assert library.find("red") == SHIPPED / "red" and library.find("white") == SHIPPED
    assert library.folder_of(read_card(SHIPPED / "red").model_id) == SHIPPED / "red"
    assert library.folder_of("none") is None
    assert not [path for path in library.folder.iterdir() if path.name.startswith(".")]


def test_the_name_of_a_card_becomes_a_plain_one(library: ModelLibrary, tmp_path: Path) -> None:
    from classify.model_card import write_card

    folder = write_tiny_model(tmp_path / "m")
    facts = read_card(folder).model_dump(exclude={"sha256"})
    write_card(folder, {**facts, "name": "  Blood smear: n° 5 (" + "x" * 80})
    assert library.add(folder).name == ("Blood-smear-n-5-" + "x" * 80)[:64]


def test_which_models_are_in_use(library: ModelLibrary, given: Path) -> None:
    assert library.in_use() == ModelsInUse()
    first = library.first("red")
    assert (first.name, first.by, first.at) == ("red", "", "")
    for kind in ("white", "red"):
        with pytest.raises(ModelError) as refused:
            library.before(kind)
        assert words(refused) == (
            "no other model was in use before",
            "see `cytostream models list`",
        )
    with pytest.raises(ModelError) as refused:
        library.use("tiny", "A", "now")
    assert words(refused) == (
        "tiny: no imported model",
        "take it in with `cytostream models import`",
    )
    library.add(given)
    used = library.use("tiny", "A", "now")
    assert used == UsedModel(name="tiny", model_id=load_model(given).model_id, by="A", at="now")
    before = library.in_use()
    library.use("white", "B", "later")
    assert [one.name for one in library.in_use().of("white")] == ["white", "tiny", "white"]
    assert library.before("white").name == "tiny" and library.folder_in_use("white") == SHIPPED
    library.put_back(before)
    assert library.in_use() == before and library.folder_in_use("red") == SHIPPED / "red"
    assert sorted(path.name for path in library.folder.iterdir()) == ["in-use.json", "tiny"]
    assert before.of("red") == () and len(before.of("white")) == 2
    (library.folder / "in-use.json").write_text("[]")
    with pytest.raises(ModelError) as refused:
        library.in_use()
    assert refused.value.what.startswith(f"{library.folder / 'in-use.json'}: cannot be read: ")
    assert refused.value.hint == "restore it, or choose with `cytostream models`"


def test_the_kind_of_a_model_is_that_of_its_crops() -> None:
    card = tiny_model().card
    assert kind_of(card) == "white" and kind_of(read_card(SHIPPED / "red")) == "red"
    assert kind_of(card.model_copy(update={"crop_um": 35})) == "red"
    assert kind_of(card.model_copy(update={"crop_px": 127})) == "red"


def test_a_folder_without_a_part_or_with_no_files(library: ModelLibrary, tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "m")
    (folder / GRAPH).rename(folder / "kept")
    with pytest.raises(ModelError) as refused:
        library.add(folder)
    assert words(refused) == (
        "no denoiser.onnx in it",
        "give the folder that `cytostream export` wrote",
    )
    (folder / GRAPH).mkdir()
    with pytest.raises(ModelError) as refused:
        library.add(folder)
    assert words(refused) == (f"{folder / GRAPH}: no file", "give the files themselves")
    (folder / GRAPH).rmdir()
    (folder / GRAPH).symlink_to(folder / "kept")
    with pytest.raises(ModelError) as refused:
        library.add(folder)
    assert refused.value.hint == "give the files themselves"
    assert refused.value.what.endswith(", or a link")
    assert not list(library.folder.iterdir())


def test_golden_inputs_are_always_the_same(golden: GoldenFile, tmp_path: Path) -> None:
    made = golden_images(tiny_model(), tmp_path)
    shipped = load_model(SHIPPED / "red")
    figures = {
        "made": made,
        "of a size that 4 does not divide": golden_images(tiny_model(px=18), tmp_path),
        "shipped": golden_images(shipped, SHIPPED / "red"),
        "errors": golden_errors(BrightnessEngine(), tiny_model(), made),
        "labels": likeliest_classes(
            golden_errors(BrightnessEngine(), tiny_model(), made), tiny_model()
        ),
    }
    golden("golden-inputs", figures, rel=1e-4)
    for height, width, px in ((30, 8192, 30), (30, 8193, 0)):
        Image.new("L", (width, height)).save(tmp_path / SHEET_FILE, format="PNG")
        assert sheet_px(tmp_path) == px
    (tmp_path / SHEET_FILE).write_bytes(b"no picture")
    assert sheet_px(tmp_path) == 0


class Off(BrightnessEngine):
    """Errs in one error by a share of the mean error."""

    def __init__(self, share: float, mean: float, precision: str = "f32", name: str = "openvino"):
        super().__init__()
        self.share, self.mean, self.precision, self.name = share, mean, precision, name
        self.asked = 0

    def errors(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        found = super().errors(images, noise, sigma)
        found[0, 0] += self.share * self.mean * (self.asked == 0)
        self.asked += 1
        return found


@pytest.mark.parametrize(
    ("precision", "share", "is_same"),
    [
        ("f32", 0.0009, True),
        ("f32", 0.0012, False),
        ("bf16", 0.09, True),
        ("bf16", 0.11, False),
        ("f16", 0.09, True),
    ],
)
def test_how_far_golden_errors_may_be_off(
    given: Path, precision: str, share: float, is_same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(given)
    monkeypatch.setattr(checking, "check_model_graph", lambda path: None)
    images = golden_images(model, given)
    mean = float(golden_errors(BrightnessEngine(), model, images).mean())
    opened = iter([Off(share, mean, precision), BrightnessEngine()])
    asked: list[tuple[str, str | None]] = []

    def open_it(model: object, name: str, arithmetic: str | None) -> BrightnessEngine:
        asked.append((name, arithmetic))
        return next(opened)

    if is_same:
        found = verify_model(given, "auto", open_it)
        assert found.difference == pytest.approx(share, rel=0.05)
        assert (found.engine, found.precision, found.inputs) == ("openvino", precision, 4)
        assert found.compared_with == "the same engine in fp32"
        assert asked == [("auto", None), ("openvino", "f32")]
        return
    with pytest.raises(ModelError) as refused:
        verify_model(given, "auto", open_it)
    what = f"{given.name}: openvino in {precision} says otherwise of 4 golden inputs than the same"
    assert refused.value.what.startswith(what)
    assert refused.value.what.endswith(" of their mean, and 0 labels")
    assert refused.value.hint == "choose another --engine, or import the model again"


def test_errors_that_are_no_numbers_are_refused() -> None:
    model = tiny_model()
    images = np.zeros((2, 3, 16, 16), np.float32)
    for engine in (Off(np.inf, 1.0), BrightnessEngine(4)):
        with pytest.raises(ModelError) as refused:
            golden_errors(engine, model, images)
        shape = (2, 6, len(engine.targets))
        assert words(refused) == (
            f"its graph gives {shape} errors, not (2, 6, 3) finite ones",
            "export the model again",
        )
