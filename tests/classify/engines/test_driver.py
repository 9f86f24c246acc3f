"""The NVIDIA driver, asked whether there is a GPU."""

import ctypes
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from classify import EngineError
from classify.engines import driver
from tests.make import tiny_model


class Driver:
    """A driver that shows so many GPUs, or answers with an error."""

    def __init__(self, count: int = 2, started: int = 0, counted: int = 0):
        self.count, self.started, self.counted = count, started, counted

    def cuInit(self, flags: int) -> int:  # noqa: N802
        assert flags == 0
        return self.started

    def cuDeviceGetCount(self, place: Any) -> int:  # noqa: N802
        ctypes.cast(place, ctypes.POINTER(ctypes.c_int))[0] = self.count
        return self.counted


def given(answer: Driver | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(name: str) -> Driver:
        assert name == "libcuda.so.1"
        if answer is None:
            raise OSError("not there")
        return answer

    monkeypatch.setattr(ctypes, "CDLL", loaded)


def test_the_gpus_of_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    given(Driver(1), monkeypatch)
    assert driver.check_driver() == 1


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (None, "no NVIDIA driver"),
        (Driver(0), "no GPU that the NVIDIA driver can use (status 0)"),
        (Driver(2, started=100), "no GPU that the NVIDIA driver can use (status 100)"),
        (Driver(2, counted=3), "no GPU that the NVIDIA driver can use (status 3)"),
    ],
)
def test_where_there_is_none(
    answer: Driver | None, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(answer, monkeypatch)
    with pytest.raises(EngineError) as refused:
        driver.open_torch_cuda(tiny_model(), "torch-cuda", None, print)
    assert (refused.value.what, refused.value.hint) == (
        what,
        "install an NVIDIA driver, or use --engine openvino",
    )


def test_the_engine_is_opened_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    given(Driver(), monkeypatch)
    opened = SimpleNamespace(open_on_gpu=lambda *given: given)
    monkeypatch.setitem(sys.modules, "classify.engines.torch_cuda", opened)
    model = tiny_model()
    assert driver.open_torch_cuda(model, "torch-cuda", "f16", print) == (model, "f16")
