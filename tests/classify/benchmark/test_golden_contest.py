"""What a way of judging costs and what draws buy, over a net that is made up and a clock that goes
on by a second each time it is looked at.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from classify.benchmark import judge_timing, paper_procedure, scaling  # noqa: E402
from classify.benchmark.judge_timing import (  # noqa: E402
    ABROAD,
    HOME,
    ODD,
    Cells,
    TimedEntry,
    Watched,
    read_cells,
)
from classify.benchmark.paper_procedure import Procedure, of_class  # noqa: E402
from classify.errors import DataError  # noqa: E402
from classify.image_folder import balanced_batches  # noqa: E402
from classify.model_card import ClassEntry, Model  # noqa: E402
from classify.network import Denoiser, NetworkConfig  # noqa: E402
from tests.golden_figures import GoldenFile  # noqa: E402
from tests.make import BrightnessEngine, tiny_model  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(10**6))
    for module in (judge_timing, paper_procedure, scaling):
        monkeypatch.setattr(module, "perf_counter", lambda: float(next(now)))


def timed(entry: TimedEntry) -> list[Any]:
    figures = [entry.name, entry.seconds, entry.inside_s, entry.passes, entry.cells_per_s]
    return [*figures, entry.labels, entry.odd, entry.draws, entry.decided]


def of_many_levels() -> Model:
    return replace(tiny_model(), sigma=np.geomspace(0.2, 1, 6).astype(np.float32))


def pictures(model: Model, count: int, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    px = model.card.image_px
    tones = rng.choice(BrightnessEngine().targets, count) + rng.normal(0, 0.2, count)
    noise = rng.normal(0, 0.1, (count, 3, px, px))
    return (tones[:, None, None, None] + noise).astype(np.float32)


def test_cells_of_a_contest(tmp_path: Path) -> None:
    entries = {"light": ClassEntry(parent="bright")}
    model = tiny_model()
    card = model.card.model_copy(update={"taxonomy": entries, "crop_px": 8})
    model = replace(model, card=card)
    tone = 0
    for name in ("home/dark/a", "home/light/b", "home/bright/c", "home/moon/d", "odd/dark/e"):
        for number in range(2):
            path = tmp_path / f"{name}{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            tone += 10
            Image.new("RGB", (8, 8), (tone, 0, 0)).save(path)
    (tmp_path / "home" / "dark" / "aa.png").write_text("broken")
    folders = {HOME: tmp_path / "home", ODD: tmp_path / "odd"}
    found = read_cells(model, folders)
    red = found.crops[:, 0, 0, 0].tolist()
    assert red == [50, 60, 10, 20, 30, 40, 70, 80, 90, 100]
    assert found.y.tolist() == [1, 1, 0, 0, 1, 1, -1, -1, -1, -1]
    assert found.group.tolist() == [HOME] * 8 + [ODD] * 2
    assert found.fresh.tolist() == [False, True, False, True, True, False, True, False, False, True]
    assert read_cells(model, folders, 3).crops[:, 0, 0, 0].tolist() == [50, 80, 90, 100]
    nothing = {HOME: tmp_path / "none", ABROAD: tmp_path / "nowhere"}
    with pytest.raises(DataError) as refused:
        read_cells(model, nothing)
    assert refused.value.what == f"{tmp_path}/none, {tmp_path}/nowhere: no image here"
    assert refused.value.hint == "lay it out as FOLDER/CLASS/image"


def test_a_watched_engine_passes_everything_on() -> None:
    engine = BrightnessEngine()
    watched = Watched(engine)
    given = pictures(tiny_model(), 3), np.ones((3, 3, 16, 16), np.float32), np.ones(3, np.float32)
    np.testing.assert_array_equal(watched.denoised(*given), engine.denoised(*given))
    np.testing.assert_array_equal(watched.features(*given), engine.features(*given))
    facts = watched.name, watched.version, watched.precision, watched.batch
    assert facts == ("fake", "0", "f32", 8) and (watched.pairs, watched.seconds) == (0, 0.0)


class Net(torch.nn.Module):
    """Stands for the released net: errors of `BrightnessEngine`."""

    def __init__(self, classes: int = 3):
        super().__init__()
        self.cfg = SimpleNamespace(classes=classes)
        self.seen: list[int] = []

    def errors(
        self, images: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        self.seen.append(len(images))
        given = images.numpy(), noise.numpy(), sigma.numpy()
        return torch.from_numpy(BrightnessEngine(self.cfg.classes).errors(*given))


def one_class(net: Net, c: int) -> SimpleNamespace:
    def errors(*given: torch.Tensor) -> torch.Tensor:
        return net.errors(*given)[:, [c]]

    return SimpleNamespace(errors=errors)


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Net:
    made = Net()
    monkeypatch.setattr(paper_procedure, "released", lambda model: made)
    monkeypatch.setattr(paper_procedure, "of_class", one_class)
    return made


def test_what_each_way_takes(net: Net, seconds: None, golden: GoldenFile) -> None:
    model = of_many_levels()
    images = pictures(model, 5)
    crops = np.random.default_rng(1).integers(0, 255, (6, 4, 4, 3), np.uint8)
    crops = crops.repeat(32, axis=1).repeat(32, axis=2)
    ways: dict[str, Callable[[], Procedure]] = {
        "published": lambda: Procedure(model, True, most=60),
        "one pass": lambda: Procedure(model, False, together=4, most=60),
        "two classes": lambda: Procedure(model, True, classes=2, seed=5, most=44),
    }
    found: dict[str, Any] = {}
    for name, way in ways.items():
        net.seen.clear()
        found[name] = timed(judge_timing.proceeded(name, way(), images))
        found[f"{name}, batches"] = [len(net.seen), sum(net.seen), max(net.seen)]
    found["judge"] = timed(judge_timing.judged("judge", model, BrightnessEngine(), crops))
    every = judge_timing.judged("all", model, BrightnessEngine(), crops, exhaustive=True)
    found["exhaustive"] = timed(every)
    found["first"] = judge_timing.first_verdicts(model, BrightnessEngine(), crops[:3])
    golden("contest", found, rel=1e-4, least=1e-6)


def test_what_draws_and_classes_cost(net: Net, seconds: None, golden: GoldenFile) -> None:
    model, engine = of_many_levels(), BrightnessEngine()
    images = pictures(model, 30)
    y = np.arange(30) % 3
    y[7] = -1
    group = np.repeat([HOME, ODD], [22, 8])
    cells = Cells(np.zeros((30, 1, 1, 3), np.uint8), y, group, np.ones(30, bool))
    found = {
        "draws": scaling.chosen_and_random(model, engine, cells, images, seeds=2),
        "classes": scaling.by_classes(model, engine, cells, images, 3),
    }
    golden("scaling", found, rel=1e-4, least=1e-6)


def test_the_speed_of_a_net_of_so_many_classes(
    seconds: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, asked = tiny_model(), []
    shape = NetworkConfig(classes=3, image_px=16, patch_px=4, channels=(16, 32), blocks=(1, 1))

    def exported(net: Denoiser, folder: Path) -> Path:
        asked.append((net.cfg.classes, net.training, folder.is_dir()))
        assert not any(p.requires_grad for p in net.parameters())
        return folder / "graph"

    def opened(asked_for: Model, name: str, precision: str | None) -> BrightnessEngine:
        asked.append((asked_for.graph.name, name, precision))
        return BrightnessEngine()

    monkeypatch.setattr(scaling, "config_of", lambda model: shape)
    monkeypatch.setattr(scaling, "export_graph", exported)
    monkeypatch.setattr(scaling, "open_engine", opened)
    # it begins at 0 and looks at 1, 2 and 3 s: two passes of 8, of which it says so at 4 s
    assert scaling.pass_cost(model, 7, "bf16") == 2 * 8 / 4
    assert asked == [(7, False, True), ("graph", "openvino", "bf16")]


def test_the_net_of_one_class_shares_all_but_its_head() -> None:
    shape = NetworkConfig(classes=3, image_px=16, patch_px=4, channels=(16, 32), blocks=(1, 1))
    net = Denoiser(shape).eval()
    rows = net.heads.weight.shape[0] // 3
    with torch.no_grad():
        for p in net.heads.parameters():
            p.copy_(torch.arange(p.numel()).reshape(p.shape) / p.numel())
    for c in range(3):
        one = of_class(net, c)
        own = slice(c * rows, (c + 1) * rows)
        assert torch.equal(one.heads.weight, net.heads.weight[own]) and not one.training
        if net.heads.bias is not None:
            assert torch.equal(one.heads.bias, net.heads.bias[own])
        shared = (one.trunk, one.loudness, one.through, one.mask)
        assert all(
            a is b
            for a, b in zip(shared, (net.trunk, net.loudness, net.through, net.mask), strict=True)
        )


def test_batches_of_every_class_equally_often(golden: GoldenFile) -> None:
    labels = np.array([0, 1, 0, 1, 1, 2])
    found = {
        "three classes": [list(one) for one in balanced_batches(labels, 3, 7, 5, range(3, 9))],
        "another": [list(one) for one in balanced_batches(labels[:5], 3, 6, 1, range(4))],
        "around": [list(one) for one in balanced_batches(labels, 4, 9, 2, range(4), 2)],
    }
    golden("batches", found)
