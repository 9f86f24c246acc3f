"""The reports of a training and of an evaluation, whole."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("matplotlib", reason="the train extra is not installed")

from matplotlib.figure import Figure as Canvas  # noqa: E402

from classify.errors import DataError  # noqa: E402
from classify.evaluation import evaluate, plots, training_report  # noqa: E402
from classify.evaluation.evaluate import AXES, chosen_axes, evaluate_model  # noqa: E402
from classify.evaluation.figures import Figure, Findings, plain  # noqa: E402
from classify.evaluation.report import write_report  # noqa: E402
from classify.evaluation.suite import Suite, folders, read_suite  # noqa: E402
from classify.image_folder import LabelledCrops  # noqa: E402
from classify.network import NetworkConfig  # noqa: E402
from classify.training import TrainConfig  # noqa: E402
from tests.approved import approved  # noqa: E402
from tests.classify.evaluation.test_golden_axes import described  # noqa: E402
from tests.golden_figures import GoldenFile  # noqa: E402
from tests.make import BrightnessEngine, tiny_model  # noqa: E402

pytestmark = pytest.mark.train


def figure(of: str, metric: str, arm: str, value: float, low: float, high: float) -> Figure:
    return Figure("in-domain", of, metric, arm, value, low, high, 40)


def findings() -> dict[str, Findings]:
    rows = [
        figure("all", "accuracy", "ours", 0.91234, 0.9, 0.95),
        figure("all", "accuracy", "baseline", 0.05, 0.01, 0.09),
        figure("all", "accuracy", "ours - baseline", 0.1, 0.01, 0.2),
        figure("all", "ECE", "ours - baseline", -0.1, -0.2, -0.01),
        figure("all", "KID", "ours - baseline", 0.2, 0.1, 0.3),
        figure("half", "accuracy", "ours - baseline", -0.2, -0.3, -0.1),
        figure("half", "AUC", "ours - baseline", 0.2, 0.0, 0.3),
        figure("half", "Brier", "ours - baseline", -0.2, -0.3, 0.0),
        plain("other axis", "all <cells>", "count", "ours", 0.1, 7),
    ]
    notes = ["A note & its <sign>.", "Another."]
    return {
        "In domain": Findings(rows, {"Confusion": b"one"}, notes),
        "other axis": Findings([plain("other axis", "x", "y", "ours", -0.05, 3)]),
    }


def test_an_evaluation_as_a_page_and_as_json(tmp_path: Path) -> None:
    head = {"model": "white", "preset": "quick", "date": "today", "model_id": "m1"}
    head |= {"engine": "fake 0, f32", "reading": "Minutes.", "command": "cytostream evaluate <x>"}
    runs = {"baseline": {"arm": "baseline", "minutes": 1.25, "images": 12345, "parameters": 67890}}
    (tmp_path / "report.html").write_text("an older one")
    write_report(tmp_path, head, findings(), runs, {"suite": {"draws": 3}})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json"]
    for name in ("report.html", "report.json"):
        approved(__file__, name, (tmp_path / name).read_text())


def suite(**changes: Any) -> Suite:
    bare = {"preset": "p", "recipe": "r.toml", "train": "t", "val": "v", "generated": 0}
    return Suite(**bare | changes)


def test_which_axes_a_suite_has_data_for() -> None:
    lab = {"normal": "n", "anomaly": "a"}
    for name, change in (
        ("held-out", {"held_out": ("x",)}),
        ("low-data", {"low_data": {}}),
        ("shift", {"shift": {"x": "y"}}),
        ("far", {"lab": lab}),
        ("generated", {"generated": 1}),
    ):
        assert set(chosen_axes(suite(**change), [])) == {"in-domain", "calibration", name}
        with pytest.raises(DataError) as refused:
            chosen_axes(suite(), ["calibration", name])
        assert refused.value.what == f"{name!r} is no axis of this suite"
        assert refused.value.hint == "one of in-domain, calibration"
    assert chosen_axes(suite(), ["calibration", "in-domain"]) == ["in-domain", "calibration"]
    with pytest.raises(DataError) as none:
        _ = suite().laboratory
    assert none.value.what == "the suite names no cells of another lab"
    assert none.value.hint == "add a section [lab] to it"


def test_the_folders_of_a_suite_are_looked_for(tmp_path: Path) -> None:
    whole = suite(lab={"normal": "n", "anomaly": "a"}, shift={"x": "s"}, baseline="b")
    assert list(map(str, folders(whole))) == ["r.toml", "t", "v", "s", "n", "a", "b"]
    (tmp_path / "r.toml").touch()
    path = tmp_path / "suite.toml"
    place = json.dumps(str(tmp_path))
    path.write_text(f'preset = "p"\nrecipe = "r.toml"\ntrain = {place}\nval = {place}\n')
    assert read_suite(path).recipe == tmp_path / "r.toml"
    (tmp_path / "r.toml").unlink()
    with pytest.raises(DataError) as refused:
        read_suite(path)
    assert refused.value.what == f"{path}: {tmp_path / 'r.toml'} is not there"
    assert refused.value.hint == "mend the path, or leave that part of the suite out"
    with pytest.raises(DataError) as unread:
        read_suite(tmp_path / "none.toml")
    assert unread.value.hint == "see configs/evaluation/suite-quick.toml for one that works"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_an_evaluation_goes_axis_by_axis(
    device: str, tmp_path: Path, golden: GoldenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    class Work:
        def __init__(self, suite: Suite, model: object, engine: object, *more: Any):
            self.suite, self.recipe, self.took = suite, TrainConfig(val="v"), {"run": {}}
            assert (model, engine.name, more[0]) == (made, "fake", tmp_path / "a" / "b")

    made = tiny_model()

    def written(folder: Path, head: Any, found: Any, took: Any, settings: Any) -> None:
        head = {k: v for k, v in head.items() if k not in ("date", "model_id")}
        shown = [folder.name, head, list(found), took, sorted(settings)]
        calls.append([*shown, settings["suite"]["preset"], settings["recipe"]["val"]])

    monkeypatch.setattr(evaluate, "load_model", lambda folder: made)
    monkeypatch.setattr(evaluate, "open_engine", lambda model: BrightnessEngine())
    monkeypatch.setattr(evaluate, "Workshop", Work)
    monkeypatch.setattr(evaluate, "write_report", written)
    for name, (title, _, possible) in AXES.items():
        monkeypatch.setitem(AXES, name, (title, lambda work, name=name: name, possible))
    told: list[Any] = []
    folder = tmp_path / "a" / "b"
    found = evaluate_model(
        Path("m"), suite(device=device), folder, tell=lambda *row: told.append(row), command="go"
    )
    golden(f"evaluation-{device}", {"calls": calls, "told": told, "found": found})
    assert folder.is_dir()


def test_a_training_as_pictures_and_figures(
    tmp_path: Path, golden: GoldenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], [9, 7])
    tones = np.where(labels == 0, 70, 150)[:, None, None, None] + rng.normal(0, 50, (16, 4, 4, 3))
    images = np.clip(tones, 0, 255).astype(np.uint8).repeat(32, axis=1).repeat(32, axis=2)
    paths = tuple(Path(f"{n}.png") for n in range(16))
    val = LabelledCrops(images, labels, ("dark", "light"), paths)
    calls: list[Any] = []

    def loaded(folder: Path, px: int, classes: tuple[str, ...]) -> LabelledCrops:
        calls.append([folder.name, px, classes])
        return val

    class Engine(BrightnessEngine):
        def __init__(self, net: Any):
            super().__init__()
            self.net = net

    net = SimpleNamespace(log_gain=lambda sigma: -sigma / 3)
    shape = NetworkConfig(classes=3, image_px=16, patch_px=4, channels=(16, 32), blocks=(1, 1))
    model = torch.nn.Linear(5, 4)
    run = SimpleNamespace(network=shape, model=model, averaged=lambda: net)
    cfg = TrainConfig(val="val", batch=10, seed=6, white=True)
    monkeypatch.setattr(
        training_report, "load_run", lambda folder: (cfg, ("dark", "light", "other"), run)
    )
    monkeypatch.setattr(training_report, "load_crops", loaded)
    monkeypatch.setattr(training_report, "NetEngine", Engine)
    canvases: dict[bytes, Canvas] = {}

    def drawn(canvas: Canvas) -> bytes:
        canvases[name := str(len(canvases)).encode()] = canvas
        return name

    monkeypatch.setattr(plots, "figure_png", drawn)
    rows = [
        {"step": n, "denoising": 1 / n, "cross_entropy": 2 / n, "grad_norm": n**0.5}
        | ({"val_balanced_accuracy": n / 80} if n % 20 == 0 else {})
        for n in range(1, 61)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "report").mkdir()
    out = training_report.report_training(tmp_path, per_class=5)
    figures = {
        "json": json.loads((out / "training.json").read_text()),
        "pictures": {
            p.stem: described(canvases[p.read_bytes()]) for p in sorted(out.glob("*.png"))
        },
        "calls": calls,
    }
    golden("training-report", figures, rel=2e-3, least=1e-4)
    text = (out / "training.json").read_text()
    assert text == json.dumps(json.loads(text), indent=1) + "\n"
    (tmp_path / "log.jsonl").write_text(json.dumps(rows[0]) + "\n")
    training_report.report_training(tmp_path)
    assert json.loads((out / "training.json").read_text())["cells"] > figures["json"]["cells"]
