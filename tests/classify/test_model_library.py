"""Models of a laboratory: what is taken in, what is refused, and which one is in use."""

import json
import stat
import zipfile

import numpy as np
import onnx
import pytest

from classify import ModelError, ModelLibrary, admit_model, load_model, verify_model
from classify import model_library as library_module
from classify.engines.graph_check import check_graph
from classify.model_card import GRAPH, TABLES_FILE, write_card
from tests.make import BrightnessEngine
from tests.tiny_graph import tiny_graph, write_tiny_model


@pytest.fixture
def library(tmp_path):
    return ModelLibrary(tmp_path / "store" / "models")


@pytest.fixture
def model(tmp_path):
    return write_tiny_model(tmp_path / "given")


def zipped(folder, path, *extra, prefix="model/"):
    """A zip file of a folder, and of further (entry, content)."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{prefix}{file.name}")
        for entry, content in extra:
            archive.writestr(entry, content)
    return path


def rewritten(folder, **tables):
    """The model with other tables, and a card that names them."""
    with np.load(folder / TABLES_FILE) as kept:
        np.savez(folder / TABLES_FILE, **{**dict(kept), **tables})
    write_card(folder, load_card(folder))
    return folder


def load_card(folder):
    facts = json.loads((folder / "card.json").read_text())
    del facts["sha256"]
    return facts


def kept_names(library):
    return sorted(path.name for path in library.folder.iterdir()) if library.folder.exists() else []


@pytest.mark.parametrize("prefix", ["", "model/"])
def test_a_folder_and_a_zip_file_are_taken_in_as_they_are(library, model, tmp_path, prefix):
    from_folder = library.add(model)
    assert (from_folder.name, library.names()) == ("tiny", ("tiny",))
    archive = zipped(model, tmp_path / "m.zip", ("notes.txt", "x"), prefix=prefix)
    from_zip = library.add(archive, "spring")
    assert load_model(from_zip).model_id == load_model(model).model_id
    assert sorted(path.name for path in from_zip.iterdir()) == ["card.json", GRAPH, TABLES_FILE]
    assert library.find("spring") == from_zip and library.find(model) == model


def link_entry():
    entry = zipfile.ZipInfo("model/cells.png")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (("../cells.png", "x"), "leads out"),
        (("/tmp/cells.png", "x"), "leads out"),
        (("a\\..\\..\\cells.png", "x"), "leads out"),
        (("C:\\cells.png", "x"), "leads out"),
        ((link_entry(), "/etc/passwd"), "link"),
        (("other/card.json", "{}"), "twice"),
        (("other/cells.png", "x"), "several folders"),
    ],
)
def test_a_zip_file_that_leads_elsewhere_is_refused(library, model, tmp_path, extra, words):
    with pytest.raises(ModelError, match=words):
        library.add(zipped(model, tmp_path / "m.zip", extra))
    assert kept_names(library) == [] and not (tmp_path / "cells.png").exists()


def test_a_file_that_unpacks_to_more_than_a_model_is_refused(library, model, tmp_path, monkeypatch):
    archive = zipped(model, tmp_path / "m.zip")
    monkeypatch.setitem(library_module.PART_BYTES, GRAPH, 1000)
    with pytest.raises(ModelError, match="too large"):
        library.add(archive)
    with pytest.raises(ModelError, match="too large"):  # whatever size it was said to have
        library.add(model)
    assert kept_names(library) == []


def test_many_files_no_zip_and_half_a_model_are_refused(library, model, tmp_path):
    many = [(f"{number}.txt", "") for number in range(300)]
    with pytest.raises(ModelError, match="too many"):
        library.add(zipped(model, tmp_path / "many.zip", *many))
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 no zip file")
    with pytest.raises(ModelError, match="neither a folder nor a zip"):
        library.add(tmp_path / "no.zip")
    (model / TABLES_FILE).unlink()
    with pytest.raises(ModelError, match="no tables.npz"):
        library.add(model)


def test_a_link_in_a_folder_is_not_followed(library, model, tmp_path):
    (model / GRAPH).rename(tmp_path / "elsewhere.onnx")
    (model / GRAPH).symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(ModelError, match="link"):
        library.add(model)


def test_tables_with_python_objects_are_never_unpickled(library, model, tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path.joinpath("harmed").touch, ())

    rewritten(model, bias=np.array([Harm()], object))
    with pytest.raises(ModelError):
        library.add(model)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    "tables",
    [
        {"bias": np.full(3, np.nan, np.float32)},
        {"mean": np.zeros((2, 2), np.float32)},
        {"noise": np.zeros((6, 3, 8, 8), np.float32)},
    ],
    ids=lambda tables: next(iter(tables)),
)
def test_tables_other_than_the_card_says_are_refused(library, model, tables):
    with pytest.raises(ModelError, match="as the card says"):
        library.add(rewritten(model, **tables))


def test_a_changed_file_is_refused(library, model):
    (model / GRAPH).write_bytes((model / GRAPH).read_bytes() + b"\0")
    with pytest.raises(ModelError, match="not the file that its card names"):
        library.add(model)


def test_one_name_is_one_model(library, model, tmp_path):
    library.add(model)
    assert library.add(model).name == "tiny"  # the same one once more
    other = write_tiny_model(tmp_path / "other", bias=1.0)
    with pytest.raises(ModelError, match="another model has this name"):
        library.add(other)
    for name in ("white", "../up", "a/b", "-", ""):
        with pytest.raises(ModelError):
            library.add(other, name)


def outside(graph):
    weights = graph.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../secret.bin")


def in_a_constant(graph):
    node = graph.graph.node.add(op_type="Constant", output=["secret"])
    outside_tensor = onnx.TensorProto(name="t", data_type=1, dims=[1])
    outside_tensor.data_location = onnx.TensorProto.EXTERNAL
    outside_tensor.external_data.add(key="location", value="/etc/passwd")
    node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR, t=outside_tensor)


def foreign(graph):
    graph.graph.node[0].domain = "com.evil"


def renamed(graph):
    graph.graph.output[0].name = "something"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (outside, "another file"),
        (in_a_constant, "another file"),
        (foreign, "com.evil"),
        (renamed, "absent"),
    ],
)
def test_a_graph_that_refers_elsewhere_is_refused(tmp_path, change, words):
    graph = tiny_graph()
    change(graph)
    path = tmp_path / GRAPH
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(ModelError, match=words):
        check_graph(path)
    path.write_bytes(tiny_graph().SerializeToString())
    check_graph(path)


class Other(BrightnessEngine):
    """Says something else."""

    def errors(self, images, noise, sigma):
        return super().errors(images, noise, sigma)[:, ::-1]


def test_golden_inputs_say_whether_a_model_runs_as_it_did(library, model):
    folder = library.add(model, "", lambda path: admit_model(path, lambda *_: BrightnessEngine()))
    found = verify_model(folder, open_it=lambda *_: BrightnessEngine())
    assert (found.difference, found.compared_with) == (0.0, "what it said when it was imported")
    with pytest.raises(ModelError, match="says otherwise of 4 golden inputs"):
        verify_model(folder, open_it=lambda *_: Other())


def test_a_model_that_cannot_be_run_is_not_taken_in(library, model):
    class Broken(BrightnessEngine):
        def errors(self, images, noise, sigma):
            return super().errors(images, noise, sigma) * np.nan

    with pytest.raises(ModelError, match="finite"):
        library.add(model, "", lambda path: admit_model(path, lambda *_: Broken()))
    assert kept_names(library) == []


def test_which_model_is_in_use_and_was_before(library, model):
    assert library.folder_in_use("white").name == "model"
    library.add(model)
    with pytest.raises(ModelError, match="no other model"):
        library.before("white")
    used = library.use("tiny", "Dr. Berg", "2026-11-28T00:00:00Z")
    assert library.folder_in_use("white") == library.folder / "tiny"
    assert library.folder_of(used.model_id) == library.folder / "tiny"
    assert [one.name for one in library.in_use().white] == ["white", "tiny"]
    assert library.before("white").name == "white" and not library.in_use().red
    with pytest.raises(ModelError, match="no imported model"):
        library.use("absent", "", "")
    (library.folder / "in-use.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        library.in_use()
