"""A model made fit for another laboratory: what is asked of the engine and of the graph's channels,
and what is written.
"""

from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed")

from classify import load_model  # noqa: E402
from classify.calibration import LabCells, Psychometric, adaptation, certainty, laboratory  # noqa: E402
from classify.engines import channel_statistics  # noqa: E402
from classify.errors import ModelError  # noqa: E402
from classify.model_card import GRAPH, ClassEntry, Model  # noqa: E402
from tests.golden_figures import GoldenFile  # noqa: E402
from tests.make import BrightnessEngine, tiny_model  # noqa: E402
from tests.tiny_graph import write_tiny_model  # noqa: E402

CELLS = 60


def crops(count: int = CELLS) -> np.ndarray:
    tones = np.linspace(20, 235, count).round().astype(np.uint8)
    rows = np.broadcast_to(tones[:, None, None, None], (count, 128, 128, 3)).copy()
    rows[:, :64] //= 2
    return rows


def with_channels(model: Model) -> Model:
    channels = np.array([[1, 2], [3, 5], [7, 11]], np.float32)
    return replace(model, channel_mean=channels, channel_spread=channels / 4)


@pytest.mark.parametrize("labels", [(), ("dark", "light", "light") * 100])
def test_an_encoder_is_adapted_in_rounds_or_by_labels(
    labels: tuple[str, ...], golden: GoldenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, engine = with_channels(tiny_model()), BrightnessEngine()
    calls: list[Any] = []

    def found(asked: Model, images: np.ndarray, draws: int, home: Any, share: float) -> str:
        calls.append(["found", asked is model, images, draws, home.mean, home.square, share])
        return f"correction {len(calls)}"

    def folded(source: Path, out: Path, correction: str) -> None:
        calls.append(["folded", source, out, correction])

    def opened(asked: Model, name: str, precision: str) -> BrightnessEngine:
        calls.append(["opened", asked.graph, name, precision])
        brighter = BrightnessEngine()
        brighter.targets = brighter.targets + 0.1 * len(calls)
        return brighter

    monkeypatch.setattr(channel_statistics, "find_correction", found)
    monkeypatch.setattr(channel_statistics, "fold_correction", folded)
    monkeypatch.setattr(adaptation, "open_engine", opened)
    cells = crops(300) if labels else crops(40)
    adaptation.adapt_channels(model, engine, cells, labels, Path("adapted.onnx"))
    name = "adapting-by-labels" if labels else "adapting-in-rounds"
    golden(name, [["found", *one[1:]] if one[0] == "found" else one for one in calls], rel=1e-4)


def test_a_model_without_channels_cannot_be_adapted(tmp_path: Path) -> None:
    model = replace(tiny_model(), graph=tmp_path / "m" / GRAPH)
    for half in (model, replace(model, channel_mean=np.ones((3, 1)))):
        with pytest.raises(ModelError) as refused:
            adaptation.home_channels(half)
        assert refused.value.what == f"{tmp_path}/m: no statistics of an encoder in its tables"
        assert refused.value.hint == "calibrate without adapting the encoder"


@pytest.mark.parametrize("adapts", [True, False])
def test_the_steps_of_a_calibration(
    adapts: bool, golden: GoldenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, engine = tiny_model(), BrightnessEngine()
    taxonomy = {"light": ClassEntry(parent="light", normal=False)}
    model = replace(model, card=model.card.model_copy(update={"taxonomy": taxonomy}))
    model = with_channels(model) if adapts else model
    cells = LabCells(crops(), ("dark",) * CELLS)
    there = BrightnessEngine()
    there.targets = there.targets + np.array([0, 0.02, 0], np.float32)
    calls: list[Any] = []

    def adapted(asked: Model, by: object, given: LabCells, out: Path) -> tuple[Model, Any]:
        calls.append(["adapted", asked is model, by is engine, given is cells, out])
        return model, there

    def refitted(asked: Model, errors: np.ndarray, labels: Any, out: Path, name: str) -> Model:
        calls.append(["refitted", asked.bias, errors, list(labels[:2]), len(labels), out, name])
        return asked

    monkeypatch.setattr(laboratory, "adapted_to", adapted)
    monkeypatch.setattr(laboratory, "refitted", refitted)
    seen: list[int] = []
    out = Path("out")
    done = laboratory.recalibrate(model, engine, cells, out, "the lab", seen.append)
    assert isinstance(done, Model) and seen == [CELLS]
    golden(f"calibration-steps-{'adapted' if adapts else 'as-it-is'}", calls, rel=1e-3)


def test_the_adapted_graph_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, engine = tiny_model(), BrightnessEngine()
    calls: list[Any] = []

    def adapt(asked: Model, by: object, cells: Any, names: list[str], graph: Path) -> None:
        calls.append((asked is model, by is engine, len(cells), names))
        graph.write_text("adapted")

    def opened(asked: Model, name: str, precision: str) -> SimpleNamespace:
        return SimpleNamespace(graph=asked.graph, name=name, precision=precision)

    monkeypatch.setattr(laboratory, "adapt_channels", adapt)
    monkeypatch.setattr(laboratory, "open_engine", opened)
    out = tmp_path / "new" / "model"
    for labels, names in ((("dark", "light"), ["dark", "light"]), (("dark", "moon"), [])):
        made, by = laboratory.adapted_to(model, engine, LabCells(crops(2), labels), out)
        assert made.graph == by.graph == out / GRAPH and (by.name, by.precision) == ("fake", "f32")
        assert [path.name for path in out.iterdir()] == [GRAPH]
        assert (out / GRAPH).read_text() == "adapted" and calls.pop() == (True, True, 2, names)


def fitted(confidence: np.ndarray, right: np.ndarray, classes: int) -> Psychometric:
    """Of the means alone: the search for the likeliest takes seconds."""
    return Psychometric(
        float(confidence.mean()), float(right.mean()), 0.02, 1 / classes, len(right)
    )


@pytest.mark.parametrize("labelled", [True, False])
def test_what_a_calibration_writes(
    labelled: bool, tmp_path: Path, golden: GoldenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certainty, "fit_psychometric", fitted)
    facts = {"data": {"name": "home"}, "figures": {"a": {"b": 1}}, "training": {"steps": 4}}
    network = {"network": {"channels": [8]}}
    facts["training"] |= network
    model = load_model(write_tiny_model(tmp_path / "model", **facts))
    rng = np.random.default_rng(2)
    y = np.arange(CELLS) % 3
    errors = rng.gamma(40, 0.02, (CELLS, len(model.sigma), 3)).astype(np.float32)
    errors[np.arange(CELLS), :, y] -= 0.15
    labels = [model.card.classes[c] for c in y] if labelled else ["elsewhere"] * CELLS
    out = tmp_path / "there" / "made"
    made = laboratory.refitted(model, errors, labels, out, "the lab")
    names = [one.name for one in fields(Model) if one.name not in ("card", "graph")]
    tables = {n: getattr(made, n) for n in names if getattr(made, n) is not None}
    card = made.card.model_dump(mode="json", exclude={"sha256"})
    left = {k: v for k, v in card.items() if k in ("training", "data", "figures", "screen")}
    name = "written-labelled" if labelled else "written-unlabelled"
    golden(name, {"card": left, "tables": tables}, rel=2e-3, least=1e-5)
    assert sorted(p.name for p in out.iterdir()) == sorted(
        p.name for p in (tmp_path / "model").iterdir()
    )
    assert (out / GRAPH).read_bytes() == model.graph.read_bytes()
    there = laboratory.refitted(made, errors, labels, out, "again")  # over itself
    assert there.card.data["calibration"].startswith("again: 60 cells, ")
