"""Weights that a training begins with: of a run or a model; loading them runs no code of theirs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from classify.errors import DataError  # noqa: E402
from classify.training import initial_weights  # noqa: E402
from classify.training.initial_weights import of_model, read_initial  # noqa: E402
from tests.make import tiny_model  # noqa: E402

pytestmark = pytest.mark.train


def test_weights_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"network": {"image_px": 32}, "window_px": 80}
    kept = {"config": config, "classes": ["a", "b"]}
    (tmp_path / "config.json").write_text(json.dumps(kept))
    torch.save({"average": {"w": torch.ones(2)}}, tmp_path / "last.pt")
    asked: list[dict[str, Any]] = []
    load = torch.load

    def loaded(path: Path, **how: Any) -> dict[str, Any]:
        asked.append(how)
        return load(path, **how)

    monkeypatch.setattr(torch, "load", loaded)
    found = read_initial(tmp_path)
    assert asked == [{"map_location": "cpu", "weights_only": True}]
    assert found.weights["w"].tolist() == [1, 1] and found.classes == ("a", "b")
    assert (found.network, found.window_px, found.white) == ({"image_px": 32}, 80, False)
    kept["config"] = config | {"white": True}
    (tmp_path / "config.json").write_text(json.dumps(kept))
    assert read_initial(tmp_path).white
    (tmp_path / "last.pt").unlink()
    with pytest.raises(DataError) as refused:
        read_initial(tmp_path)
    assert refused.value.what.startswith(f"{tmp_path}: neither a model nor a training run: ")
    assert refused.value.hint == "name a model folder, as classify/model"


def test_a_model_without_the_weights_of_its_errors_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = replace(tiny_model(), gain=None)
    monkeypatch.setattr(initial_weights, "load_model", lambda folder: model)
    with pytest.raises(DataError) as refused:
        of_model(tmp_path)
    assert refused.value.what == f"{tmp_path}: of an older version, which cannot be trained on"
    assert refused.value.hint == "begin with a newer model, or with its run"
