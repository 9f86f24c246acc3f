"""Compiled graphs are kept for the next process, by their user alone, and never trusted blindly."""

import numpy as np
import pytest

from classify.engines.openvino import CACHE, KEPT_GRAPHS, OpenVinoEngine, private_cache
from tests.contracts.engine_contract import inputs

pytest.importorskip("onnx", reason="onnx is not installed")

from tests.tiny_graph import tiny_model_with_graph  # noqa: E402


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_graph_is_kept_and_a_broken_one_is_not_used(home):
    model = tiny_model_with_graph(home / "model")
    given = inputs(model, 3)
    first = OpenVinoEngine(model, "f32").errors(*given)
    (kept,) = (home / CACHE).glob("*.blob")
    assert (home / CACHE).stat().st_mode & 0o777 == 0o700
    np.testing.assert_array_equal(OpenVinoEngine(model, "f32").errors(*given), first)
    size = kept.stat().st_size
    for broken in (b"", b"not a graph", kept.read_bytes()[: size // 2]):
        kept.chmod(0o600)
        kept.write_bytes(broken)
        np.testing.assert_array_equal(OpenVinoEngine(model, "f32").errors(*given), first)
        (kept,) = (home / CACHE).glob("*.blob")


def test_a_folder_that_others_may_write_to_is_not_used(home):
    folder = home / CACHE
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert private_cache(folder) is None
    folder.chmod(0o700)
    assert private_cache(folder) == folder


def test_the_folder_does_not_grow(home):
    folder = home / CACHE
    folder.mkdir(parents=True, mode=0o700)
    for number in range(KEPT_GRAPHS + 3):
        (folder / f"{number}.blob").write_bytes(b"")
    private_cache(folder)
    assert len(list(folder.iterdir())) == KEPT_GRAPHS
