"""The loop of a training and the release of its model, over a network and an engine that cost
nothing: every row, every file, every figure.
"""

import json
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from classify.calibration import Psychometric, certainty  # noqa: E402
from classify.engines.channel_statistics import ChannelMoments  # noqa: E402
from classify.errors import DataError, ModelError  # noqa: E402
from classify.image_folder import LabelledCrops  # noqa: E402
from classify.model_card import SHEET_FILE, CellSize, Model  # noqa: E402
from classify.network import Denoiser, NetworkConfig  # noqa: E402
from classify.training import (  # noqa: E402  # noqa: E402
    Ranks,
    TrainConfig,
    Training,
    export_onnx,
    model_sizes,
    release,
    train_model,
)
from classify.training import train as loop  # noqa: E402
from classify.training.sources import Source  # noqa: E402
from tests.classify.training.test_golden_training import TINY, filled  # noqa: E402
from tests.golden_figures import GoldenFile  # noqa: E402
from tests.make import BrightnessEngine, tiny_model  # noqa: E402
from tests.tiny_graph import tiny_graph  # noqa: E402

pytestmark = pytest.mark.train


def data_of(classes: tuple[str, ...] = ("a", "b"), **more: Any) -> LabelledCrops:
    labels = np.array([0, 1, 0, 1, 1])
    images = np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    paths = tuple(Path(f"{n}.png") for n in range(5))
    return LabelledCrops(images, labels, classes, paths, **more)


class Counted:
    """Stands for a training: a step adds one."""

    ranks = Ranks()

    def __init__(self, cfg: TrainConfig, classes: tuple[str, ...], device: str, ranks: Ranks):
        self.cfg, self.classes, self.device, self.ranks = cfg, classes, device, ranks
        self.step, self.did = 0, []
        self.network = SimpleNamespace(image_px=32)
        self.targets = self.maps = None

    def advance(self, images, numbers, off, laboratories, attributes) -> dict[str, Any]:
        self.step += 1
        shown = [images[:, 0, 0, 0], numbers, off.int(), laboratories, attributes]
        self.did.append([None if x is None else x.tolist() for x in shown])
        return {"step": self.step, "of": [self.cfg.steps, self.cfg.warmup_steps]}

    def averaged(self) -> torch.nn.Linear:
        return torch.nn.Linear(1, 1)

    def begin_with(self, initial: object) -> None:
        self.did.append(["begin", str(initial)])

    def save(self, path: Path) -> None:
        path.write_text(str(self.step))
        self.did.append(["save", path.name])

    def load(self, path: Path) -> None:
        self.step = int(path.read_text())
        self.did.append(["load", path.name])


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What a training reads and measures; its clock goes on by 3 s each time it is looked at."""
    made = SimpleNamespace(data=data_of(), values=None, seconds=iter(range(0, 10**6, 3)), calls=[])

    def read(cfg: TrainConfig) -> tuple[Any, ...]:
        val = replace(data_of(), skipped={Path("v.png"): "broken"})
        return made.data, val, ("a", "b", "other"), made.values

    def validated(net: torch.nn.Module, x: Any, y: Any) -> float:
        made.calls.append(["validated", x, y])
        return 0.25 * len(made.calls)

    def validation(data: LabelledCrops, cfg: TrainConfig, image_px: int) -> tuple[str, str]:
        made.calls.append(["validation set", len(data.labels), image_px])
        return "x", "y"

    monkeypatch.setattr(loop, "Training", Counted)
    monkeypatch.setattr(loop, "read_data", read)
    monkeypatch.setattr(loop, "validate", validated)
    monkeypatch.setattr(loop, "validation_set", validation)
    clock = SimpleNamespace(perf_counter=lambda: float(next(made.seconds)))
    monkeypatch.setattr(loop, "time", clock)
    return made


def config(out: Path, **changes: Any) -> TrainConfig:
    small = {"steps": 7, "batch": 4, "checkpoint_every": 3, "validate_every": 2, "seed": 2}
    return TrainConfig(**{"train": "t", "val": "v", "out": out} | small | changes)


def read_rows(out: Path) -> list[Any]:
    return [list(json.loads(line).items()) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", ["steps", "minutes", "laboratories"])
def test_a_training_row_by_row(
    kind: str, played: SimpleNamespace, tmp_path: Path, golden: GoldenFile
) -> None:
    out = tmp_path / "deep" / "run"
    changes: dict[str, Any] = {"minutes": 2.0, "warmup_steps": 9} if kind == "minutes" else {}
    if kind == "laboratories":
        played.values = (2, 3)
        played.data = data_of(
            ("a", "b", "other"),
            laboratories=np.array([0, 1, 1, 0, 1]),
            attributes=np.arange(10).reshape(5, 2),
        )
    rows: list[Any] = []

    def killed(row: dict[str, Any]) -> None:
        rows.append(dict(row))
        if row["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(config(out, **changes), killed)
    kept = (out / "last.pt").read_text()
    done = train_model(config(out, **changes), rows.append)
    written = json.loads((out / "config.json").read_text())
    network = written["config"]["network"]
    golden(
        f"loop-{kind}",
        {
            "rows": [list(row.values()) for row in rows],
            "log": read_rows(out)[-2:],
            "kept": kept,
            "did": done.did,
            "calls": played.calls,
            "skipped": json.loads((out / "skipped.json").read_text()),
            "files": sorted(path.name for path in out.iterdir()),
            "written": [network, written["classes"], done.cfg.network],
        },
    )
    assert len(read_rows(out)) == len(rows) and done.device == "cpu"


def test_a_further_process_writes_nothing(played: SimpleNamespace, tmp_path: Path) -> None:
    done = train_model(config(tmp_path), device="cpu", ranks=Ranks(1, 2))
    assert list(tmp_path.iterdir()) == [] and done.step == 7
    assert [one[1] for one in played.calls] == [5], "it validates nothing"
    assert [len(one[0]) for one in done.did] == [2] * 7, "its part of each batch"


def test_a_training_begins_with_other_weights(
    played: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    initial = SimpleNamespace(white=True, window_px=80, network={"image_px": 32})
    monkeypatch.setattr(loop, "read_initial", lambda folder: initial)
    done = train_model(config(tmp_path, steps=1, init="other"))
    assert done.did[0] == ["begin", str(initial)]
    assert (done.cfg.white, done.cfg.window_px, done.cfg.network) == (True, 80, {"image_px": 32})
    again = train_model(config(tmp_path, steps=1, init="other"))
    assert again.did == [["load", "last.pt"]], "its own checkpoint comes first"
    with pytest.raises(DataError) as refused:
        train_model(config(tmp_path, steps=2, init="other"))
    assert refused.value.what == f"{tmp_path / 'config.json'} is of another configuration"
    assert refused.value.hint == "choose another `out` or remove that folder"


def test_a_graph_is_exported_whole_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = filled(Denoiser(NetworkConfig(3, **TINY)))
    asked: list[Any] = []

    def exported(model: Denoiser, example: tuple[Any, ...], **how: Any) -> SimpleNamespace:
        dims = [
            {k: (d.__name__, d.min, d.max) for k, d in s.items()} for s in how["dynamic_shapes"]
        ]
        ones = [(tuple(x.shape), float(x.sum())) for x in example]
        asked.append((model is net, model.training, ones, how | {"dynamic_shapes": dims}))
        return SimpleNamespace(model_proto=tiny_graph())

    checked: list[Any] = []
    monkeypatch.setattr(torch.onnx, "export", exported)
    monkeypatch.setattr(export_onnx.onnx.checker, "check_model", checked.append)
    path = export_onnx.export_graph(net, tmp_path / "a" / "b")
    assert path == tmp_path / "a" / "b" / "denoiser.onnx"
    assert path.read_bytes() == checked[0].SerializeToString()
    export_onnx.export_graph(net, tmp_path / "a" / "b")  # again, over what is there
    picture = (2, 3, 32, 32)
    batch = {0: ("n", 1, 4096)}
    assert asked[0] == (
        True,
        False,
        [(picture, 0.0), (picture, 0.0), ((2,), 2.0)],
        {
            "dynamo": True,
            "dynamic_shapes": [batch] * 3,
            "verbose": False,
            "input_names": ["image", "noise", "sigma"],
            "output_names": ["errors", "denoised", "features"],
        },
    )
    monkeypatch.setattr(torch.onnx, "export", lambda *given, **how: None)
    with pytest.raises(ModelError) as refused:
        export_onnx.export_graph(net, tmp_path)
    assert refused.value.what == "the network has no ONNX graph"
    assert refused.value.hint == "use the versions of the train extra"


TONES = {"dark": 60, "light": 150}


def write_cells(folder: Path, each: int) -> Path:
    rng = np.random.default_rng(each)
    for name, tone in TONES.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            coarse = np.clip(tone + rng.normal(0, 50, (4, 4, 3)), 0, 255).astype(np.uint8)
            pixels = coarse.repeat(32, axis=0).repeat(32, axis=1)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def run_of(folder: Path, **changes: Any) -> TrainConfig:
    """A run that was never trained: its weights are those of a formula."""
    train, val = write_cells(folder / "train", 5), write_cells(folder / "val", 8)
    given = {"train": train, "val": val, "out": folder / "run", "network": TINY, "seed": 3}
    cfg = TrainConfig(**given | changes)
    classes = tuple(cfg.taxonomy) or ("dark", "light", "other")
    run = Training(cfg, classes)
    filled(run.model)
    run.average = {k: v.detach().clone() for k, v in run.model.state_dict().items()}
    run.step = 12
    cfg.out.mkdir()
    loop.keep_config(cfg, classes)
    run.save(cfg.out / "last.pt")
    return cfg


class Released:
    """Stands for what a release calls, and keeps what it was called with."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def export_graph(self, net: Denoiser, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "denoiser.onnx").write_bytes(b"a graph")
        self.calls.append(["export", folder.name])

    def open_engine(self, model: Model, name: str, precision: str | None = None) -> Any:
        self.calls.append(["open", name, precision, len(model.sigma)])
        engine = BrightnessEngine(len(model.card.classes))
        engine.targets = engine.targets + 0.01 * (precision == "bf16")
        return engine

    def card_sheet(self, model: Model, engine: Any, columns: int, tried: int) -> np.ndarray:
        self.calls.append(["sheet", model.card.name, engine.precision, columns, tried])
        return np.full((6, 4, 3), 90, np.uint8)

    def measure(self, model: Model, images: np.ndarray, draws: int) -> ChannelMoments:
        self.calls.append(["channels", images, draws])
        mean = images.mean(axis=(2, 3))
        return ChannelMoments(mean, mean**2 + 0.25)

    def sizes(self, cfg: TrainConfig) -> dict[str, CellSize]:
        return {"dark": CellSize(log_mean=4.0, log_spread=0.2, white=0.5, cells=9)}


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> Released:
    made = Released()
    for name, function in (
        ("export_graph", made.export_graph),
        ("open_engine", made.open_engine),
        ("card_sheet", made.card_sheet),
        ("measure_channels", made.measure),
        ("sizes_of_classes", made.sizes),
        ("CANDIDATES", 6),
        ("RELEASED_DRAWS", 4),
        ("ORDER_CELLS", 30),
    ):
        monkeypatch.setattr(release, name, function)

    def fitted(confidence, right, classes) -> Psychometric:
        return Psychometric(float(confidence.mean()), 0.5, 0.02, 1 / classes, len(right))

    monkeypatch.setattr(certainty, "fit_psychometric", fitted)
    seconds = iter((10.0, 35.4))
    clock = SimpleNamespace(perf_counter=lambda: next(seconds))
    monkeypatch.setattr(release, "time", clock)
    return made


def figures_of(model: Model) -> dict[str, Any]:
    names = [one.name for one in fields(Model) if one.name not in ("card", "graph")]
    tables = {n: getattr(model, n) for n in names if getattr(model, n) is not None}
    card = model.card.model_dump(mode="json", exclude={"sha256"})
    return {"card": card, "tables": tables}


def test_a_release_of_one_folder(released: Released, tmp_path: Path, golden: GoldenFile) -> None:
    cfg = run_of(tmp_path)
    out = tmp_path / "made" / "model"
    (tmp_path / "made" / "model.part").mkdir(parents=True)  # left by one that was killed
    (tmp_path / "made" / "model.part" / "old").touch()
    made = release.release_model(cfg.out, out, "tiny")
    figures = figures_of(made) | {"calls": released.calls}
    figures["files"] = sorted(str(p.relative_to(tmp_path)) for p in out.parent.rglob("*"))
    golden("released", figures, rel=5e-3, least=1e-4)
    with Image.open(out / SHEET_FILE) as sheet:
        assert sheet.size == (4, 6)


def test_a_release_of_several_laboratories(
    released: Released, tmp_path: Path, golden: GoldenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "attributes.csv"
    lines = ["img_name,cell_size,granularity", *(f"{n}.png,big,no" for n in range(3))]
    table.write_text("\n".join([*lines, "3.png,small,no"]) + "\n")
    home = Source(folder=tmp_path / "train", laboratory="home", held_out=2)
    away = Source(folder=tmp_path / "val", laboratory="away", held_out=4, labels={"dark": "pale"})
    cfg = run_of(
        tmp_path,
        sources=(home, away),
        taxonomy={"dark": {"parent": "pale", "prior": 0.5}, "light": {"parent": "light"}},
        attributes=table,
        white=True,
        data={"name": "mine"},
        network=TINY | {"attributes": (2, 1)},
    )
    made = release.release_model(cfg.out, tmp_path / "model", "tiny")
    figures = figures_of(made) | {"calls": released.calls}
    golden("released-of-laboratories", figures, rel=5e-3, least=1e-4)
    px = 32
    parts = release.labelled_cells(cfg, ("dark", "light"), px)
    chosen = release.ordering_cells(cfg, ("dark", "light"), px)
    held = release.held_out_crops(cfg, ("dark", "light"))
    names = [f"{p.parent.parent.name} {p.stem}" for p in held.paths]
    found = {"labelled": parts, "ordering": [chosen.images, chosen.y], "held out": names}
    golden("release-cells", found | {"labels": held.labels}, rel=5e-3, least=1e-3)
    model = tiny_model()
    inputs = SimpleNamespace(images=np.arange(12.0).reshape(4, 3, 1, 1), y=np.array([0, 0, 2, 0]))
    golden("channel-tables", release.channel_tables(model, inputs), rel=1e-4)


def test_what_is_no_run_is_not_released(tmp_path: Path) -> None:
    for text in (None, "{", "{}", '{"config": {"val": "v"}, "classes": ["a", "b"]}'):
        if text:
            (tmp_path / "config.json").write_text(text)
        with pytest.raises(ModelError) as refused:
            release.load_run(tmp_path)
        assert refused.value.what.startswith(f"{tmp_path}: not a training run: ")
        assert refused.value.hint == "train one with `cytostream train CONFIG`"
    with pytest.raises(DataError) as none:
        release.attribute_rates(TrainConfig(val="v"), ("a",))
    assert none.value.what == "no table of attributes"
    assert none.value.hint == "name one with `attributes` in the recipe"


def test_sizes_of_the_cells_that_a_recipe_keeps(
    tmp_path: Path, golden: GoldenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    def measured(images: np.ndarray, allowed: list[list[str]], laboratories: np.ndarray) -> Any:
        calls.append([images, allowed, laboratories])
        return "measured"

    def fitted(found: str) -> dict[str, CellSize]:
        calls.append(found)
        size = CellSize(log_mean=4.0, log_spread=0.2, white=0.5, cells=9)
        return {"dark": size, "elsewhere": size}

    monkeypatch.setattr(model_sizes, "measure_crops", measured)
    monkeypatch.setattr(model_sizes, "fit_sizes", fitted)
    write_cells(tmp_path / "val", 4)
    write_cells(tmp_path / "train", 3)
    home = Source(folder=tmp_path / "train", laboratory="z")
    away = Source(folder=tmp_path / "val", laboratory="b", held_out=3, labels={"dark": "pale"})
    taxonomy = {"dark": "pale", "light": "light", "grey": "pale"}
    plain = TrainConfig(val=tmp_path / "val")
    several = TrainConfig(val=tmp_path / "val", sources=(home, away), taxonomy=taxonomy)
    sizes = [set(model_sizes.sizes_of_classes(cfg)) for cfg in (plain, several)]
    assert sizes == [{"dark", "elsewhere"}] * 2
    golden("sizes-measured", calls)
    for other in ({"crop_um": 35.0}, {"crop_px": 64}):
        assert model_sizes.sizes_of_classes(plain.model_copy(update=other)) == {}
    card = tiny_model().card
    (tmp_path / "card.json").write_text(card.model_dump_json())
    written = model_sizes.write_sizes(plain, tmp_path)
    assert set(written.sizes) == {"dark"}
    kept = (tmp_path / "card.json").read_text()
    assert kept == written.model_dump_json(indent=1) + "\n"
    monkeypatch.setattr(model_sizes, "sizes_of_classes", lambda cfg: {})
    with pytest.raises(DataError) as refused:
        model_sizes.write_sizes(plain, tmp_path)
    assert refused.value.what == f"{tmp_path}: no cell of its classes could be measured"
    assert refused.value.hint == "is it the model of that recipe?"
