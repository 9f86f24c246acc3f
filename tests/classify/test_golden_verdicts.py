"""Verdicts of the shipped models on cells that they ship, written down once and reviewed: whatever
changes what users are told changes one of these.
"""

import json

import pytest

from classify import load_model
from classify.engines.openvino import openvino_core
from tests.tools.golden.__main__ import FILES, MODELS, TOLERANCES, shipped_verdicts

ABLE = {name.lower() for name in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")}
ABLE.discard("fp32")


@pytest.fixture(params=MODELS)
def golden(request):
    """A shipped model, and what was written down of it."""
    model = load_model(MODELS[request.param])
    written = json.loads((FILES / f"{request.param}.json").read_text())
    assert written["model_id"] == model.model_id, (
        f"the {request.param} model was exchanged: run `make golden` and read the difference"
    )
    return model, written["verdicts"]


@pytest.mark.parametrize("precision", TOLERANCES)
def test_verdicts_are_those_that_were_written_down(golden, precision):
    model, written = golden
    if precision != "f32" and precision not in ABLE:
        pytest.skip(f"this processor has no {precision}")
    found = shipped_verdicts(model, precision)
    most = TOLERANCES[precision]
    assert len(found) == len(written) >= 20
    others = [n for n, (a, b) in enumerate(zip(found, written, strict=True)) if not alike(a, b)]
    assert len(others) <= most["labels"], others
    for number, (now, then) in enumerate(zip(found, written, strict=True)):
        if number in others:
            continue
        assert now["scores"] == pytest.approx(then["scores"], abs=most["probability"]), number
        assert now["anomaly"] == pytest.approx(then["anomaly"], abs=most["anomaly"]), number
        assert abs(now["draws"] - then["draws"]) <= most["draws"], number
        if precision == "f32":
            assert (now["decided"], now["may_be"]) == (then["decided"], then["may_be"]), number


def alike(now, then):
    return (now["label"], now["parent"]) == (then["label"], then["parent"])


def test_what_was_written_down_is_of_many_kinds(golden):
    """A file of one label would let much through."""
    _, written = golden
    labels = {one["label"] for one in written}
    assert len(labels) >= 3
    assert len({one["draws"] for one in written}) > 1
    assert all(abs(sum(one["scores"].values()) - 1) < 0.002 for one in written)
    surest = [max(one["scores"].values()) for one in written]
    assert min(surest) < 0.9 < max(surest)
