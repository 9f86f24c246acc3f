"""Every axis of an evaluation over arms that are made up: all its figures, notes and pictures."""

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("matplotlib", reason="the train extra is not installed")

from matplotlib.axes import Axes  # noqa: E402
from matplotlib.axis import Axis  # noqa: E402
from matplotlib.figure import Figure as Canvas  # noqa: E402
from matplotlib.ticker import FixedLocator  # noqa: E402
from PIL import Image  # noqa: E402

from classify.anomaly import fit_oddity  # noqa: E402
from classify.calibration import Psychometric, error_table  # noqa: E402
from classify.evaluation import axes, axis_calibration, axis_generated, plots  # noqa: E402
from classify.evaluation.contender import Arm, Judge, denoising, shipped_arm  # noqa: E402
from classify.evaluation.contenders import Workshop  # noqa: E402
from classify.evaluation.evaluate import AXES  # noqa: E402
from classify.evaluation.figures import Findings  # noqa: E402
from classify.evaluation.scoring import (  # noqa: E402
    ScoreScale,
    bare,
    discriminative,
    fit_nearness,
)
from classify.evaluation.suite import Suite  # noqa: E402
from classify.image_folder import LabelledCrops  # noqa: E402
from classify.model_card import ClassEntry, Model  # noqa: E402
from classify.pixels import to_input  # noqa: E402
from tests.golden_figures import GoldenFile  # noqa: E402
from tests.make import BrightnessEngine, tiny_model  # noqa: E402

pytestmark = pytest.mark.train
TAXONOMY = {
    "dark": ClassEntry(parent="dark"),
    "light": ClassEntry(parent="bright", normal=False),
}
TONES = {"bright": 200, "dark": 60, "speck": 20, "huge": 240}
SLOPES = {"bright": 0.07, "dark": -0.07, "other": 0.0}
PX = 16


def crops(classes: tuple[str, ...], each: int, seed: int) -> LabelledCrops:
    """Plain cells about a tone of their class, of six patients."""
    rng = np.random.default_rng(seed)
    labels = np.arange(len(classes)).repeat(each)
    tones = np.array([TONES[name] for name in classes])[labels]
    coarse = tones[:, None, None, None] + rng.normal(0, 45, (len(labels), 4, 4, 3))
    images = np.clip(coarse, 0, 255).astype(np.uint8).repeat(32, axis=1).repeat(32, axis=2)
    paths = tuple(Path(f"p{n % 6}-{n}.png") for n in range(len(labels)))
    return LabelledCrops(images, labels, classes, paths)


def baseline_arm(classes: tuple[str, ...], seed: int = 0) -> Arm:
    """A classifier of the means of each quarter of a picture."""
    head = np.random.default_rng(seed).normal(0, 0.3, (12, len(classes)))
    head += [SLOPES[name] for name in classes]

    def raw(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), 3, 2, 8, 2, 8).mean(axis=(3, 5)).reshape(-1, 12)

    def see(images: np.ndarray) -> np.ndarray:
        return to_input(images, 96, PX)

    home = raw(see(crops(("bright", "dark"), 20, 9).images))
    known = fit_nearness(home, (home @ head).argmax(axis=1))
    scale = bare(np.ones(1), len(classes))

    def adapted(features: np.ndarray) -> Judge:
        there = fit_nearness(features, (features @ head).argmax(axis=1))
        return lambda f: discriminative(f, f @ head, scale, there)

    return Arm(
        classes, see, raw, lambda f: discriminative(f, f @ head, scale, known), adapted, HERE
    )


HERE = Path("nowhere")


class MadeUp(Workshop):
    """A workshop whose arms are trained on nothing."""

    lab = crops(("bright", "dark"), 12, 3)
    strange = crops(("huge", "speck"), 6, 4)
    asked: list[tuple[Any, ...]]

    def crops(self, folder: Path) -> LabelledCrops:
        return self.lab if folder.name == "lab" else crops(("dark", "bright"), 8, 5)

    def ours(self, classes: tuple[str, ...], seed: int) -> Arm:
        weight = self.model.weight * np.random.default_rng(seed).uniform(0.5, 1, 6)
        raw = partial(error_table, BrightnessEngine(len(classes)), draws=self.model)
        oddity = fit_oddity(raw(to_input(self.val.images, 96, PX)), self.model.sigma)
        fitted = ScoreScale(weight, 20.0, np.zeros(len(classes))), oddity
        return denoising(classes, lambda x: to_input(x, 96, PX), raw, fitted, HERE)

    def arm_of(self, arm: str, classes: tuple[str, ...], seed: int) -> Arm:
        made = self.ours if arm == "ours" else baseline_arm
        return kept_nowhere(made(classes, seed))

    def held_out(self, name: str, arm: str) -> Arm:
        self.asked.append(("held out", name, arm))
        left = tuple(c for c in ("dark", "bright") if c != name)
        return self.arm_of(arm, (*left, "other"), 1)

    def low_data(self, images: int, seed: int, arm: str) -> Arm:
        self.asked.append(("low data", images, seed, arm))
        return self.arm_of(arm, ("dark", "bright", "other"), images + seed)

    def fine_tuned(self, arm: str) -> Arm:
        self.asked.append(("fine-tuned", arm))
        return self.arm_of(arm, ("bright", "dark"), 4)

    def calibrated(self, name: str, data: LabelledCrops) -> Arm:
        self.asked.append(("calibrated", name, len(data.labels)))
        return self.arm_of("ours", ("dark", "bright", "other"), 8)


def kept_nowhere(arm: Arm) -> Arm:
    """The arm without its memory on disk; of what is kept there another test asks."""

    class Fresh(Arm):
        def kept(self, name: str, crops: np.ndarray) -> np.ndarray:
            asked_for.append(f"{name} of {len(crops)}")
            return self.raw(self.see(crops))

    return Fresh(arm.classes, arm.see, arm.raw, arm.judge, arm.adapted, arm.folder)


asked_for: list[str] = []  # names under which an axis keeps scores


def model_of_parents() -> Model:
    model = tiny_model()
    object.__setattr__(model, "card", model.card.model_copy(update={"taxonomy": TAXONOMY}))
    return model


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> MadeUp:
    folder = tmp_path_factory.mktemp("axes")
    (folder / "recipe.toml").write_text(f"[network]\nimage_px = {PX}\n")
    suite = Suite(
        preset="made up",
        recipe=folder / "recipe.toml",
        train=folder,
        val=folder,
        shift={"the lab's": Path("lab"), "other/lab": Path("other")},
        lab={
            "normal": "lab",
            "anomaly": "strange",
            "biological": ("huge",),
            "not_a_cell": ("speck",),
        },
        held_out=("dark",),
        low_data={"images": (2, 6), "seeds": (0, 1)},
        generated=5,
        resamples=7,
    )
    made = MadeUp(suite, model_of_parents(), BrightnessEngine(), folder)
    made.asked = []
    made.val = crops(("bright", "dark"), 16, 1)
    made.train_cells = crops(("bright", "dark"), 9, 2)
    made.lab_normal, made.lab_anomaly = made.lab, made.strange
    made.shipped = kept_nowhere(shipped_arm(made.model, made.engine, folder))
    made.baseline = kept_nowhere(baseline_arm(("dark", "bright", "other")))
    network = SimpleNamespace(image_px=PX)
    made.baseline_run = SimpleNamespace(run=SimpleNamespace(network=network))
    return made


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, Canvas]:
    """What was drawn, by the bytes that stand for it."""
    seen: dict[bytes, Canvas] = {}

    def drawn(canvas: Canvas) -> bytes:
        seen[name := str(len(seen)).encode()] = canvas
        return name

    monkeypatch.setattr(plots, "figure_png", drawn)
    return seen


def described(canvas: Canvas) -> dict[str, Any]:
    """All that was drawn and written on a canvas."""
    title = canvas.get_suptitle()
    return {
        "size": canvas.get_size_inches(),
        "layout": type(canvas.get_layout_engine()).__name__,
        "title": [title, canvas._suptitle.get_fontsize()] if title else title,
        "axes": [of_axes(one) for one in canvas.axes],
    }


def of_axes(one: Axes) -> dict[str, Any]:
    styles = [
        [line.get_label(), line.get_linestyle(), line.get_marker(), line.get_color()]
        + [line.get_linewidth(), line.get_markersize()]
        for line in one.lines
    ]
    points = [np.array(line.get_data(), float) for line in one.lines]
    images = [
        [np.asarray(i.get_array()), i.get_cmap().name, list(i.get_clim()), i.get_interpolation()]
        for i in one.images
    ]
    texts = [
        [*map(float, t.get_position()), t.get_text(), t.get_color(), t.get_fontsize(), t.get_ha()]
        + [t.get_va(), t.get_rotation()]
        for t in one.texts
    ]
    legend = one.get_legend()
    return {
        "words": [one.get_title(), one.get_xlabel(), one.get_ylabel()],
        "scales": [one.get_xscale(), one.get_yscale(), *one.get_xlim(), *one.get_ylim()],
        "ticks": [ticks_of(one.xaxis), ticks_of(one.yaxis)],
        "lines": styles,
        "points": np.concatenate(points, axis=1) if points else [],
        "images": images,
        "texts": texts,
        "legend": legend and [[t.get_text(), t.get_fontsize()] for t in legend.get_texts()],
        "grid": [one.xaxis.get_tick_params(), one.yaxis.get_tick_params()],
    }


def ticks_of(axis: Axis) -> list[list[Any]] | str:
    """Ticks that were set, and not chosen by the scale."""
    if not isinstance(axis.get_major_locator(), FixedLocator):
        return "by the scale"
    return [
        [float(place), tick.get_text(), tick.get_rotation(), tick.get_fontsize(), tick.get_ha()]
        for place, tick in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
    ]


def told(found: Findings, pictures: dict[bytes, Canvas]) -> dict[str, Any]:
    rows: dict[str, dict[str, Any]] = {}
    for figure in found.figures:
        axis, of, metric, arm, *values = figure.as_dict().values()
        assert arm not in rows.setdefault(f"{axis}: {of}: {metric}", {})
        rows[f"{axis}: {of}: {metric}"][arm] = values
    return {
        "figures": rows,
        "notes": found.notes,
        "pictures": {name: described(pictures[png]) for name, png in found.pictures.items()},
    }


@pytest.mark.parametrize("name", AXES)
def test_an_axis_over_arms_that_are_made_up(
    name: str,
    work: MadeUp,
    pictures: dict[bytes, Canvas],
    golden: GoldenFile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[Any] = []

    def generated(model: Model, engine: BrightnessEngine, wanted: np.ndarray) -> Iterator[Any]:
        calls.append([model is work.model, engine is work.engine, wanted.tolist()])
        rng = np.random.default_rng(6)
        tones = np.where(wanted == 0, 100, 150) + rng.normal(0, 60, len(wanted))
        yield from (
            np.clip(t + rng.normal(0, 45, (PX, PX, 3)), 0, 255).astype(np.uint8) for t in tones
        )

    def fitted(confidence, right, classes, resamples) -> Psychometric:
        mean = float(confidence.mean()), 0.2 + float(right.mean())
        calls.append([mean, classes, resamples])
        inside = [(m - 0.1, m + 0.1) for m in (*mean, 0.02)]
        return Psychometric(*mean, 0.02, 1 / classes, len(right), *inside)

    monkeypatch.setattr(axis_generated, "generate_cells", generated)
    monkeypatch.setattr(axis_calibration, "fit_psychometric", fitted)
    monkeypatch.setattr(axes, "can_adapt", lambda model: model is work.model)
    work.asked.clear()
    asked_for.clear()
    _, axis, possible = AXES[name]
    assert possible(work.suite)
    figures = told(axis(work), pictures)
    golden(
        f"axis-{name}",
        figures | {"calls": calls, "asked": work.asked, "kept": " ".join(asked_for)},
        rel=1e-4,
        least=2e-5,
    )


def test_a_picture_is_a_png_that_names_no_program() -> None:
    """Nothing of it changes with the version of what drew it, but for the pixels."""
    canvas = Canvas(figsize=(2, 1), layout="constrained")
    canvas.subplots()
    with Image.open(BytesIO(plots.figure_png(canvas))) as image:
        assert (image.format, "Software" in image.info) == ("PNG", False)
        assert round(image.info["dpi"][0]) == 110
        assert np.allclose(image.size, (220, 110), atol=20)
