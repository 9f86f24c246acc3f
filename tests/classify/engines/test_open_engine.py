"""The choice of an engine: named ones work or say why not; `auto` takes the best that does, and
says so in one line.
"""

import sys

import pytest

from classify import EngineError, load_model, open_engine


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture
def without_gpu(monkeypatch):
    def none():
        raise EngineError("no NVIDIA GPU that CUDA can use: there is no driver", "install one")

    monkeypatch.setattr("classify.engines.tensorrt.open_device", none)


@pytest.fixture
def without_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)


def test_auto_falls_back_with_one_line(model, without_gpu, without_packages):
    told = []
    engine = open_engine(model, "auto", "f32", told.append)
    assert engine.name == "openvino" and len(told) == 1 and "\n" not in told[0]
    assert told[0].startswith(f"engine openvino {engine.version}, f32; tensorrt is not installed")
    assert "tensorrt-rtx is not installed" in told[0]


@pytest.mark.parametrize(("name", "extra"), [("tensorrt", "tensorrt"), ("tensorrt-rtx", "rtx")])
def test_a_named_engine_without_its_package(model, without_packages, name, extra):
    with pytest.raises(EngineError, match=f"{name} is not installed") as caught:
        open_engine(model, name)
    assert f"'.[{extra}]'" in caught.value.hint


def test_an_old_library(model, monkeypatch):
    class Old:
        __version__ = "8.6.1"

    monkeypatch.setitem(sys.modules, "tensorrt", Old)
    with pytest.raises(EngineError, match="tensorrt 8.6.1 is too old"):
        open_engine(model, "tensorrt")


@pytest.mark.rtx
def test_a_named_engine_without_a_gpu(model, without_gpu):
    pytest.importorskip("tensorrt_rtx", reason="the rtx extra is not installed")
    with pytest.raises(EngineError, match="there is no driver"):
        open_engine(model, "tensorrt-rtx")


def test_an_engine_that_is_none(model):
    with pytest.raises(EngineError, match="no engine 'cuda'") as caught:
        open_engine(model, "cuda")
    assert "openvino" in caught.value.hint


def test_a_candidate_that_fails_in_any_way_is_passed_over_with_one_line(model, monkeypatch):
    def nothing(*_):
        raise TypeError("pybind11::init(): factory function returned nullptr\nmore lines")

    monkeypatch.setattr("classify.engines.tensorrt.open_tensorrt", nothing)
    told = []
    assert open_engine(model, "auto", "f32", told.append).name == "openvino"
    assert "tensorrt-rtx fails: TypeError: pybind11" in told[0] and "\n" not in told[0]


def test_torch_is_not_loaded_where_there_is_no_driver(model, monkeypatch):
    monkeypatch.setattr("classify.engines.driver.LIBRARY", "libabsent.so.1")
    monkeypatch.setitem(sys.modules, "classify.engines.torch_cuda", None)
    with pytest.raises(EngineError, match="no NVIDIA driver"):
        open_engine(model, "torch-cuda")
