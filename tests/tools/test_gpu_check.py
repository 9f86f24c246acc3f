"""`make gpu-check`, rehearsed on the CPU, a small net and an emulated GPU."""

import json
import threading

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("onnx", reason="the train extra is not installed")

from classify import SHIPPED  # noqa: E402
from tests.contracts.test_engine_torch_cuda import one_thread, small_model  # noqa: E402, F401
from tests.tools.gpu_check import check as steps  # noqa: E402

pytestmark = pytest.mark.train


def test_the_rehearsal_passes_and_says_so_in_one_file(tmp_path, small_model, monkeypatch):  # noqa: F811
    monkeypatch.setattr(steps, "contract", lambda plan: {"tests": "none here"})
    monkeypatch.setattr(steps, "compiled", lambda plan, model: {"target": "none here"})
    monkeypatch.setattr(steps, "several_judges", lambda plan, model: {})
    plan = steps.Plan(rehearsal=True, batches=(8,), cells=3, seconds=0.01)
    out = tmp_path / "gpu.json"
    found = steps.check(plan, out, small_model)
    assert json.loads(out.read_text())["capture and replay"]["recorded"] is True
    assert all(found[name]["ok"] for name in found if name != "plan"), found
    assert found["speed"]["rows"]["torch-cuda f32, batch 8"]["cells_per_s"] > 0


def test_one_of_several_judges_begins_with_the_others_and_says_when_it_ended():
    steps.share_start(threading.Barrier(1))
    plan = steps.Plan(rehearsal=True, batches=(2,), cells=2)
    begin, end = steps.judge_alone((plan, SHIPPED))
    assert end > begin


def test_a_step_that_fails_says_why_and_the_others_go_on(tmp_path, small_model, monkeypatch):  # noqa: F811
    def broken(plan, model):
        raise RuntimeError("CUDA error: no kernel image\nmore")

    for name in ("contract", "speeds", "several_judges"):
        monkeypatch.setattr(steps, name, lambda *_: {})
    monkeypatch.setattr(steps, "compiled", broken)
    plan = steps.Plan(rehearsal=True, batches=(8,), cells=1, seconds=0.01)
    found = steps.check(plan, tmp_path / "gpu.json", small_model)
    assert found["compile ahead"]["why"] == "RuntimeError: CUDA error: no kernel image"
    assert found["speed"]["ok"]
