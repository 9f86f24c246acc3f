"""Building for graphics cards on a machine that has none, with the real builder."""

import json
import multiprocessing
import subprocess
import sys

import pytest

from classify import EngineError, ModelError, compile_ahead

pytestmark = pytest.mark.rtx


@pytest.fixture(autouse=True)
def needs_rtx():
    pytest.importorskip("tensorrt_rtx", reason="the rtx extra is not installed")


@pytest.fixture
def model(tmp_path):
    from tests.tiny_graph import tiny_model_with_graph

    return tiny_model_with_graph(tmp_path / "model")


def compile_tiny(folder):
    from tests.tiny_graph import tiny_model_with_graph

    return compile_ahead(
        tiny_model_with_graph(folder / "model"), "tensorrt-rtx", "sm_89", folder / "plans", "f16"
    )


@pytest.mark.parametrize("precision", ["f32", "f16", "bf16"])
def test_each_precision(model, tmp_path, precision):
    made = compile_ahead(model, "tensorrt-rtx", "sm_120", tmp_path / "plans", precision)
    assert made.path.is_file() and made.seconds > 0 and f"sm_120-{precision}-b64" in made.path.name


def test_a_plan_that_is_there_is_kept(tmp_path):
    first, second = compile_tiny(tmp_path), compile_tiny(tmp_path)
    assert first.seconds > 0 and second.seconds is None and first.path == second.path


def test_a_broken_plan_is_built_again(tmp_path):
    made = compile_tiny(tmp_path)
    whole = made.path.read_bytes()
    made.path.write_bytes(whole[: len(whole) // 2])
    assert compile_tiny(tmp_path).seconds > 0
    assert made.path.stat().st_size == pytest.approx(len(whole), rel=0.05)


def test_two_processes_at_once(tmp_path):
    """Another process and this one want the same plan: whoever comes first builds it, the other
    finds it.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(abs, (1,))  # it has started
        other = pool.apply_async(compile_tiny, (tmp_path,))
        ours = compile_tiny(tmp_path)
        assert {ours.seconds is None, other.get().seconds is None} == {False, True}


def test_a_card_it_does_not_know(model, tmp_path):
    with pytest.raises(EngineError, match="does not build for sm_90") as caught:
        compile_ahead(model, "tensorrt-rtx", "sm_90", tmp_path)
    assert "sm_120" in caught.value.hint


def test_a_graph_it_cannot_read(model, tmp_path):
    model.graph.write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="no graph that can be read"):
        compile_ahead(model, "tensorrt-rtx", "sm_89", tmp_path)


def test_an_engine_that_is_not_built_ahead(model, tmp_path):
    with pytest.raises(EngineError, match="tensorrt is not built ahead of time"):
        compile_ahead(model, "tensorrt", "sm_89", tmp_path)


def test_the_command_builds_the_shipped_model(tmp_path, capsys):
    command = [
        sys.executable,
        "-m",
        "stream.cli",
        "compile",
        "--targets",
        "sm_89",
        "--out",
        tmp_path,
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["target"] == "sm_89" and made["seconds"] > 0 and made["megabytes"] > 1
    with capsys.disabled():
        print(f"\nTensorRT for RTX, no GPU: {done.stderr.strip().split(': /')[0]}")
