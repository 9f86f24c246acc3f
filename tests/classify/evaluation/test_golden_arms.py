"""What an evaluation trains for its arms, on which cells, and what it makes of what was trained."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("matplotlib", reason="the train extra is not installed")

from classify.calibration import LabCells  # noqa: E402
from classify.errors import DataError  # noqa: E402
from classify.evaluation import contender, contenders  # noqa: E402
from classify.evaluation import retrain as retraining  # noqa: E402
from classify.evaluation.baseline import Classifier  # noqa: E402
from classify.evaluation.contender import Arm, NetEngine, NetRunner  # noqa: E402
from classify.evaluation.contenders import Workshop, minutes_of  # noqa: E402
from classify.evaluation.retrain import BASELINE, OUR_ARM, Plan, Retrained, retrain  # noqa: E402
from classify.evaluation.suite import Suite  # noqa: E402
from classify.image_folder import LabelledCrops  # noqa: E402
from classify.model_card import CARD, ClassEntry  # noqa: E402
from classify.network import Denoiser, NetworkConfig  # noqa: E402
from classify.training import LabelledInputs, TrainConfig  # noqa: E402
from tests.golden_figures import GoldenFile  # noqa: E402
from tests.make import BrightnessEngine, tiny_model  # noqa: E402

pytestmark = pytest.mark.train
PX = 16
NETWORK = {"image_px": PX, "patch_px": 4, "channels": (16, 32), "blocks": (1, 1)}
SOURCES = """
[[sources]]
folder = "home"
laboratory = "first"
held_out = 3
labels = { a = "band", b = "segmented", c = "blast" }
[[sources]]
folder = "away"
laboratory = "second"
labels = { x = "band" }
[taxonomy]
band = "neutrophil"
segmented = "neutrophil"
blast = { parent = "blast", normal = false }
"""


def crops(classes: tuple[str, ...], each: int, tone: int = 90) -> LabelledCrops:
    labels = np.arange(len(classes)).repeat(each)
    steps = np.arange(len(labels))[:, None, None, None]
    images = np.broadcast_to(tone + 3 * steps, (len(labels), 128, 128, 3)).astype(np.uint8)
    images[:, :60] //= 2
    paths = tuple(Path(f"p{n % 8}-{n}.png") for n in range(len(labels)))
    return LabelledCrops(images, labels, classes, paths)


def summed(data: LabelledCrops) -> dict[str, Any]:
    return {
        "classes": data.classes,
        "labels": data.labels,
        "paths": " ".join(path.stem for path in data.paths),
        "tones": data.images.mean(axis=(1, 2, 3)).round().astype(int),
        "laboratories": data.laboratories,
    }


class Calls:
    """Stands for what an evaluation calls, and keeps what it was called with."""

    def __init__(self, folder: Path):
        self.folder, self.kept = folder, []

    def note(self, call: str, /, **facts: Any) -> None:
        self.kept.append({"call": call, **{k: self.named(v) for k, v in facts.items()}})

    def named(self, value: Any) -> Any:
        if isinstance(value, LabelledCrops):
            return summed(value)
        if isinstance(value, TrainConfig):
            return value.model_dump(mode="json", exclude_defaults=True, exclude={"train", "val"})
        if isinstance(value, Path):
            inside = value.is_relative_to(self.folder)
            return str(value.relative_to(self.folder) if inside else value)
        return value

    def load_crops(self, folder: Path, px: int, classes: tuple[str, ...] = ()) -> LabelledCrops:
        self.note("load_crops", folder=folder, px=px, classes=classes)
        names = ("huge", "speck") if folder.name == "odd" else ("large", "middle", "small")
        return crops(classes or names, 8, tone=len(folder.name))

    def read_data(self, recipe: TrainConfig) -> tuple[LabelledCrops, None]:
        self.note("read_data", recipe=recipe)
        return crops(tuple(recipe.taxonomy), 2), None

    def read_sources(self, sources, px: int, white: bool, labels) -> LabelledCrops:
        facts = [source.model_dump(mode="json") for source in sources]
        self.note("read_sources", sources=facts, px=px, white=white, labels=labels)
        data = crops(("band", "segmented", "blast", "neutrophil"), 2)
        return replace(data, laboratories=np.zeros(8, int))

    def labelled_cells(self, recipe: TrainConfig, classes, px: int) -> LabelledInputs:
        self.note("labelled_cells", recipe=recipe, classes=classes, px=px)
        return LabelledInputs(np.zeros((1, 3, px, px)), np.zeros(1, int))

    def calibration_cells(self, data, recipe: TrainConfig, classes, px: int) -> LabelledInputs:
        self.note("calibration_cells", data=data, recipe=recipe, classes=classes, px=px)
        return LabelledInputs(np.zeros((2, 3, px, px)), np.ones(2, int))

    def retrain(self, plan: Plan, tell: Callable[[dict[str, Any]], None]) -> Retrained:
        data = plan.data()
        facts = {k: v for k, v in plan.as_kept().items() if k != "recipe"}
        self.note("retrain", plan=facts, folder=plan.folder, recipe=plan.recipe, data=data)
        tell({"rows": len(data.labels)})
        classes = (*data.classes, "other")
        cfg = NetworkConfig(classes=len(classes), **NETWORK)
        kind = Classifier if plan.arm == BASELINE else Denoiser
        plan.begin(run := Run(cfg, kind, self))
        took = {"minutes": plan.minutes, "classes": classes, "steps": 3}
        return Retrained(run, classes, took)

    def denoiser_arm(self, done, net, recipe, cells, folder, draws, device) -> Arm:
        facts = {"net": type(net).__name__, "draws": draws, "device": device}
        return self.arm("denoiser_arm", done, recipe, cells, folder, facts)

    def baseline_arm(self, done, net, recipe, cells, folder, device) -> Arm:
        facts = {"net": type(net).__name__, "device": device}
        return self.arm("baseline_arm", done, recipe, cells, folder, facts)

    def arm(self, name: str, done, recipe, cells, folder, facts) -> Arm:
        calibrated = cells and [cells.images.shape, cells.y]
        self.note(name, recipe=recipe, cells=calibrated, folder=folder, facts=facts)
        same = done.classes
        return Arm(same, lambda x: x, lambda x: x, lambda x: x, lambda x: lambda y: y, folder)

    def recalibrate(self, model, engine, cells: LabCells, folder: Path, name: str) -> None:
        facts = {"cells": cells.crops.shape, "labels": cells.labels, "name": name}
        self.note("recalibrate", folder=folder, **facts)
        folder.mkdir(parents=True)
        (folder / CARD).touch()


class Run:
    """Stands for a training."""

    def __init__(self, cfg: NetworkConfig, kind: type, calls: Calls):
        self.network, self.kind, self.calls = cfg, kind, calls
        self.model, self.average = self, {"weight": torch.tensor([1.0, 2.0])}

    def averaged(self) -> torch.nn.Module:
        return self.kind(self.network)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.calls.note("load_state_dict", state=list(state))


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls(tmp_path)
    names = ("load_crops", "read_data", "read_sources", "labelled_cells", "calibration_cells")
    for name in (*names, "retrain", "denoiser_arm", "baseline_arm", "recalibrate"):
        monkeypatch.setattr(contenders, name, getattr(calls, name))
    return calls


def workshop(calls: Calls, recipe: str = "", **changes: Any) -> Workshop:
    path = calls.folder / "recipe.toml"
    path.write_text(f"steps = 77\nseed = 5\n{recipe}")
    suite = Suite(
        preset="tiny",
        recipe=path,
        train=Path("train"),
        val=Path("val"),
        lab={"normal": "lab", "anomaly": "odd"},
        **changes,
    )
    told = calls.told = []
    model, engine = tiny_model(), BrightnessEngine()
    return Workshop(suite, model, engine, calls.folder, lambda *row: told.append(row))


def all_arms(work: Workshop, left_out: str) -> list[Arm]:
    tuned = [work.fine_tuned(arm) for arm in (BASELINE, OUR_ARM)]
    few = work.low_data(3, 1, OUR_ARM), work.low_data(2, 0, BASELINE)
    held_out = [work.held_out(left_out, arm) for arm in (OUR_ARM, BASELINE)]
    return [work.baseline, *tuned, *few, *held_out]


def test_what_is_trained_for_the_arms(calls: Calls, golden: GoldenFile) -> None:
    minutes = {"baseline": 4, "held_out": 3, "low_data": 2, "fine_tune": 1}
    work = workshop(calls, "white = true\n", minutes=minutes, draws=9, fine_tune_rate=0.25)
    arms = all_arms(work, "middle")
    lab = {"normal": summed(work.lab_normal), "anomaly": summed(work.lab_anomaly)}
    patients = {k: sorted(getattr(work.patients, k)) for k in ("train", "calibrate", "test")}
    rows = {k: work.patients.rows(work.lab_normal, k) for k in patients}
    found = {"calls": calls.kept, "told": calls.told, "took": work.took, "lab": lab}
    golden("arms", found | {"patients": patients, "rows": rows, "arms": [a.classes for a in arms]})
    assert work.recipe.attributes is None and work.recipe.init is None
    assert work.baseline_run is work.baseline_run


def test_a_training_whose_minutes_are_of_the_processor_has_one_thread(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    for device in ("cpu", "cuda"):
        workshop(calls, device=device)
    assert set_to == [1, 7]


def test_what_is_trained_of_several_sources(calls: Calls, golden: GoldenFile) -> None:
    work = workshop(calls, SOURCES)
    baseline, held_out = work.baseline, work.held_out("blast", OUR_ARM)
    found = {"calls": calls.kept, "val": summed(work.val)}
    golden("arms-of-sources", found | {"classes": [baseline.classes, held_out.classes]})


def test_the_model_is_calibrated_for_a_set_once(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, engine = tiny_model(), BrightnessEngine()
    monkeypatch.setattr(contenders, "load_model", lambda folder: (folder, model))
    monkeypatch.setattr(contenders, "open_engine", lambda *what: (engine, *what))
    monkeypatch.setattr(contenders, "shipped_arm", lambda *what: what)
    work = workshop(calls)
    data = crops(("a", "b"), 3)
    folder = calls.folder / "calibrated" / f"{model.model_id}-other-lab"
    found = work.calibrated("other/lab", data)
    assert found == work.calibrated("other/lab", data)
    loaded = (folder, model)
    scores = calls.folder / "scores"
    assert found == (loaded, (engine, loaded, "fake", "f32"), scores)
    assert [one["call"] for one in calls.kept] == ["recalibrate"]
    assert calls.kept[0]["labels"] == () and calls.kept[0]["name"] == "other/lab"
    assert work.shipped == (work.model, work.engine, scores)


def test_what_cannot_be_an_arm_is_refused(calls: Calls, tmp_path: Path) -> None:
    work = workshop(calls)
    other = Run(NetworkConfig(classes=3, **NETWORK), lambda cfg: torch.nn.Linear(1, 1), calls)
    with pytest.raises(DataError, match="runs/x: a network of another kind ") as refused:
        work.arm(Retrained(other, ("a",), {}), work.recipe, None, Path("runs/x"))
    assert refused.value.hint == "choose another --report folder"
    for text in (None, "{", "{}"):
        if text:
            (tmp_path / "plan.json").write_text(text)
        with pytest.raises(DataError, match="no baseline trained by an evaluation: ") as refused:
            minutes_of(tmp_path)
        assert refused.value.hint == "name runs/baseline of a report folder"
    (tmp_path / "plan.json").write_text('{"minutes": 2.5}')
    assert minutes_of(tmp_path) == 2.5
    for text in ("steps = ", "steps = 0"):
        (tmp_path / "bad.toml").write_text(f"val = 'v'\n{text}")
        with pytest.raises(DataError, match="bad.toml: no training configuration: ") as refused:
            contenders.suite_recipe(tmp_path / "bad.toml")
        assert refused.value.hint == "see configs/ for some that work"
        assert "\n" not in refused.value.what


def test_a_run_begins_with_the_weights_of_another_or_of_a_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there, taken = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    average = {k: v.detach() + 1 for k, v in there.state_dict().items()}
    run = SimpleNamespace(model=taken, average={})
    contenders.begin_with_run(SimpleNamespace(average=average), run)
    assert all(torch.equal(taken.state_dict()[k], v) for k, v in average.items())
    assert all(torch.equal(run.average[k], v) for k, v in average.items())
    run.average["bias"] += 1
    assert not torch.equal(run.average["bias"], average["bias"])
    begun = []
    monkeypatch.setattr(contenders, "of_model", lambda folder: ("weights of", folder))
    monkeypatch.setattr(contenders, "Training", SimpleNamespace)
    contenders.begin_with_model(tiny_model(), SimpleNamespace(begin_with=begun.append))
    contenders.begin_with_model(tiny_model(), Run)  # of another kind: it stays as it is
    assert begun == [("weights of", Path())]


class Net(torch.nn.Module):
    """Stands for a denoiser: one linear layer, whose calls are kept."""

    def __init__(self, classes: int = 3):
        super().__init__()
        self.cfg = SimpleNamespace(classes=classes)
        self.seen: list[Any] = []

    def denoise(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        self.seen.append((len(x), x.dtype, torch.is_autocast_enabled("cpu"), self.training))
        return x * sigma[:, None, None, None]

    def log_gain(self, sigma: torch.Tensor) -> torch.Tensor:
        return -sigma / 2


def test_a_network_under_training_runs_in_batches_in_16_bits() -> None:
    net = Net()
    engine = NetEngine(net)
    x = np.linspace(-1, 1, 130 * 3).reshape(130, 3, 1, 1)
    sigma = np.linspace(0.2, 1, 130)
    found = engine.denoised(x, 2 * x, sigma)
    exact = (x + 2 * sigma[:, None, None, None] * x) * sigma[:, None, None, None]
    np.testing.assert_allclose(found, exact, rtol=1e-5)
    assert found.dtype == np.float32
    assert net.seen == [(n, torch.float32, True, False) for n in (64, 64, 2)]
    kind = torch.get_autocast_dtype("cpu")
    assert (kind, engine.batch, engine.name, engine.precision) == (
        torch.bfloat16,
        64,
        "torch",
        "bf16",
    )
    assert engine.version == torch.__version__


def of(arm: Arm, images: np.ndarray) -> dict[str, Any]:
    seen = arm.scores("cells", images)
    there = arm.measured_again("cells", images, np.arange(0, len(images), 2))
    again = there.scores("cells", images)
    return {
        "classes": arm.classes,
        "seen": arm.see(images),
        "raw": arm.kept("cells", images),
        "probability": seen.probability,
        "odd": seen.odd,
        "again": again.odd,
    }


def test_what_is_made_of_what_was_trained(
    tmp_path: Path, golden: GoldenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors and features are those of made-up engines: only what follows is asked for."""

    def plainly(runner: NetRunner, function: Callable[..., Any], *inputs: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return function(*map(runner.tensor, inputs)).numpy()

    asked = []

    def engine(net: Net, device: str) -> BrightnessEngine:
        asked.append(device)
        return BrightnessEngine()

    monkeypatch.setattr(contender, "NetEngine", engine)
    monkeypatch.setattr(NetRunner, "run", plainly)
    rng = np.random.default_rng(3)
    tones = rng.integers(20, 235, (24, 4, 4, 3), dtype=np.uint8)
    images = tones.repeat(32, axis=1).repeat(32, axis=2)
    bright = 2 * tones.mean(axis=(1, 2, 3)) / 255 - 1
    y = np.digitize(bright, [-0.1, 0.05])
    entries = {"dark": ClassEntry(parent="dark", prior=0.5), "light": ClassEntry(parent="light")}
    recipe = TrainConfig(val="v", taxonomy=entries, seed=4, window_px=80)
    classes = ("dark", "light", "other")
    run = SimpleNamespace(network=NetworkConfig(classes=3, **NETWORK))
    done = Retrained(run, classes, {})
    cells = LabelledInputs(rng.normal(0, 0.4, (24, 3, PX, PX)).astype(np.float32), y)
    net = Net()
    made = contender.denoiser_arm(done, net, recipe, cells, tmp_path / "ours", 3, "cpu")
    head = Classifier(run.network)
    weights = torch.linspace(-1, 1, 144).reshape(3, 48)
    shifts = torch.tensor([0.1, -0.2, 0.3])
    parts = {"head.weight": weights, "head.bias": shifts}
    head.load_state_dict(head.state_dict() | parts)
    head.features = lambda image: 3 * image[:, :, :, 0].flatten(1)
    base = contender.baseline_arm(done, head, recipe, cells, tmp_path / "base", "cpu")
    raw = contender.denoiser_arm(done, net, recipe, None, tmp_path / "raw", 3, "cpu")
    unfitted = contender.baseline_arm(done, head, recipe, None, tmp_path / "plain", "cpu")
    bare = raw.scores("cells", images[:3])
    figures = {
        "ours": of(made, images),
        "baseline": of(base, images),
        "nothing calibrated": [bare.probability, bare.odd, unfitted.scores("c", images[:3])],
        "files": sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.npy")),
        "devices": asked,
    }
    golden("trained-arms", figures, rel=1e-3, least=1e-6)
    assert not head.training
    with pytest.raises(DataError, match="that nothing calibrated cannot be adapted") as refused:
        raw.measured_again("cells", images[:3], np.arange(2))
    assert refused.value.hint == "calibrate it first"


def test_the_shipped_model_as_an_arm(tmp_path: Path, golden: GoldenFile) -> None:
    model = tiny_model()
    entries = {"dark": ClassEntry(parent="d", normal=False), "light": ClassEntry(parent="other")}
    card = model.card.model_copy(update={"taxonomy": entries})
    model = replace(model, card=card, bias=np.array([0.3, 0, -0.4], np.float32))
    images = crops(("a", "b"), 5).images
    golden("shipped-arm", of(contender.shipped_arm(model, BrightnessEngine(), tmp_path), images))
    assert [p.parent.name for p in tmp_path.rglob("*.npy")] == [model.model_id]


class Trained:
    """Stands for a training whose steps cost nothing."""

    def __init__(self, recipe: TrainConfig, classes: tuple[str, ...], device: str):
        self.cfg, self.classes, self.step, self.did = recipe, classes, 0, [device]
        self.model = torch.nn.Linear(3, 2)

    def load(self, path: Path) -> None:
        self.step = int(path.read_text())
        self.did.append(f"load {self.step}")

    def save(self, path: Path) -> None:
        path.write_text(str(self.step))
        self.did.append(f"save {self.step}")


@pytest.mark.parametrize("arm", [OUR_ARM, BASELINE])
def test_a_retraining_step_by_step(
    arm: str, tmp_path: Path, golden: GoldenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes 7 s of a clock that is made up; a kill comes after 8 of 17."""
    clock = iter(range(0, 10_000, 7))
    learnt: list[Any] = []

    def learn(run: Trained, data: LabelledCrops, steps: range) -> Iterator[dict[str, Any]]:
        learnt.append([steps.start, steps.stop, len(data.labels)])
        for _ in steps:
            run.step += 1
            yield {"step": run.step, "of": run.cfg.steps, "warmup": run.cfg.warmup_steps}

    for name in ("Training", "BaselineTraining"):
        kind = type(name, (Trained,), {})
        monkeypatch.setattr(retraining, name, kind)
    monkeypatch.setattr(retraining, "learn", learn)
    monkeypatch.setattr(retraining, "prepare", lambda run, data: run.did.append(len(data.labels)))
    monkeypatch.setattr(retraining, "clock", lambda device: next(clock) + len(device))
    recipe = TrainConfig(val="v", batch=5, steps=50, warmup_steps=40)
    begun: list[Any] = []
    plan = Plan(
        folder=tmp_path / "run",
        arm=arm,
        recipe=recipe,
        minutes=2,
        data=lambda: crops(("a", "b"), 4),
        begin=lambda run: begun.append(type(run).__name__),
        facts={"more": 3},
    )
    rows: list[Any] = []

    def killed(row: dict[str, Any]) -> None:
        rows.append(row)
        if row["step"] == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrain(plan, killed)
    done = retrain(plan, rows.append)
    plan_kept = json.loads((plan.folder / "plan.json").read_text())
    recipe_kept = plan_kept.pop("recipe")
    assert plan_kept.pop("arm") == arm
    assert set(recipe_kept) == set(TrainConfig.model_fields) - retraining.PACE
    log = (plan.folder / "log.jsonl").read_text().splitlines()
    figures = {
        "rows": [list(row.values()) for row in rows],
        "log": [list(json.loads(line).values()) for line in log],
        "learnt": learnt,
        "did": done.run.did,
        "plan": plan_kept,
        "done": json.loads((plan.folder / "done.json").read_text()),
        "took": done.took,
        "classes": done.classes,
        "files": sorted(path.name for path in plan.folder.iterdir()),
    }
    golden("retraining", figures)
    assert begun == ["BaselineTraining" if arm == BASELINE else "Training"]
    again = retrain(plan, rows.append)
    assert again.run.did == ["cpu", "load 18"] and again.classes == done.classes


def test_time_is_that_of_the_process_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = SimpleNamespace(process_time=lambda: 1.0, perf_counter=lambda: 2.0)
    monkeypatch.setattr(retraining, "time", clocks)
    assert (retraining.clock("cpu"), retraining.clock("cuda")) == (1.0, 2.0)
