"""The commands of training and of measuring a model, with functions in the place of those that
need torch and take minutes: what they are given, what is shown meanwhile, and what is missing.
"""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import BaseModel, Field

from classify import SHIPPED
from stream.cli.commands.bench import judge
from stream.cli.commands.model import evaluate, training
from tests.approved import approved
from tests.recorded import Named

STEP = {"step": 5, "denoising": 0.12345, "cross_entropy": 1.23456, "images_per_s": 99.6}
SUITE = "suite.toml"


class Recipe(BaseModel):
    out: Path = Path("runs/a")
    steps: int = Field(default=20, gt=0)
    minutes: float | None = None
    batch: int = 4
    compact: bool = False
    init: Path | None = None


class Bars:
    """In the place of rich's progress bars: what is drawn is written down."""

    def __init__(self, lines, *columns, console):
        self.lines, self.console = lines, console

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.append("bars end")

    def add_task(self, name, **state):
        self.lines.append(f"bar {name}: {state}")
        return name

    def update(self, task, **state):
        self.lines.append(f"bar {task}: {state}")


@pytest.fixture
def bars(recorded):
    for place in (training, evaluate):
        recorded.monkeypatch.setattr(
            place, "Progress", lambda *given, **named: Bars(recorded.lines, *given, **named)
        )
    return recorded


@pytest.fixture
def trained(bars, monkeypatch):
    """Training that takes two steps."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)

    def train_model(recipe, show, device, ranks):
        bars.lines.append(f"train_model({recipe!r}, {device!r}, rank {ranks.rank})")
        recipe.out.mkdir(parents=True, exist_ok=True)
        skipped = {"a.png": "no image"} if recipe.init else {}
        (recipe.out / "skipped.json").write_text(json.dumps(skipped))
        show(STEP)
        show({**STEP, "step": 10, "val_balanced_accuracy": 0.98765})
        show({**STEP, "step": 12})

    Path("a.toml").write_text("steps = 30\n")
    card = SimpleNamespace(elimination=0.00123, precisions=("bf16", "f32"))
    sizes = {"blast": SimpleNamespace(log_mean=5.0, log_spread=0.25, white=0.987, cells=40)}
    bars.module(
        "classify.training",
        TrainConfig=Recipe,
        train_model=train_model,
        Ranks=lambda: SimpleNamespace(rank=0),
        join=bars.function("join", lambda rank, *_: SimpleNamespace(rank=rank)),
        release_model=bars.function("release_model", SimpleNamespace(sigma=[1, 2, 3], card=card)),
        write_sizes=bars.function("write_sizes", SimpleNamespace(sizes=sizes)),
        write_field_crops=bars.function("write_field_crops", {"blast": 3, "red": 12}),
        pack_recipe=bars.function("pack_recipe", lambda _, out: out.write_bytes(b"x" * 300_000)),
        unpack_data=bars.function("unpack_data", {"steps": 7}),
    )
    report = bars.function("report_training", lambda run: run / "report.html")
    bars.module("classify.evaluation", report_training=report)
    return bars


def test_a_recipe_is_trained(trained, typed, tmp_path, monkeypatch):
    typed("train", "a.toml")
    given = "--out", "b", "--init", "white", "--minutes", 0.5, "--batch", 8, "--compact"
    typed("train", "a.toml", "--device", "cuda", *given)
    Path("d.zip").write_bytes(b"")
    typed("train", "d.zip")
    Path("bad.toml").write_text("steps = 0\n")
    typed("train", "bad.toml", code=1)
    Path("none.toml").write_text("steps =")
    typed("train", "none.toml", code=1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        typed("train", "a.toml")
    approved(__file__, "train", "\n".join(trained.lines), folder=tmp_path)


def test_what_comes_of_a_training(trained, typed, tmp_path):
    for name in ("run", "b.json", "s.tiff"):
        Path(name).touch()
    typed("export", "run", "--out", "m")
    typed("export", "run", "--out", "m", "--name", "mine")
    typed("sizes", "a.toml")
    typed("sizes", "a.toml", "--model", "red")
    typed("field-crops", "s.tiff", "--out", "crops")
    typed("field-crops", "s.tiff", "--out", "crops", "--boxes", "b.json")
    typed("pack-data", "a.toml", "--out", "p.zip")
    shipped = SHIPPED.parent
    approved(__file__, "trained", "\n".join(trained.lines), folder=tmp_path, classify=shipped)


def test_a_model_is_measured(bars, typed, tmp_path, monkeypatch):
    def evaluate_model(model, settings, report, only, show, command):
        words = model, settings, report, only, command.split()[0]
        bars.lines.append(f"evaluate_model{words}")
        show("noise", {})
        row = {"budget": 60, "step": 3, "cross_entropy": 0.98765, "used": 20}
        show("shift", row)
        show("shift", row)
        return {"Noise": SimpleNamespace(figures=[1, 2])}

    read = bars.function("read_suite", "the suite")
    bars.module("classify.evaluation", evaluate_model=evaluate_model, read_suite=read)
    monkeypatch.setattr("sys.argv", ["cytostream", "evaluate", "a b"])
    words = "evaluate", "white", "--suite", SUITE, "--report", "r"
    typed(*words)
    typed(*words, "--only", "noise", "--only", "shift")
    approved(__file__, "evaluate", "\n".join(bars.lines), folder=tmp_path)


def test_what_is_not_installed_is_said_with_what_to_install(bars, typed, monkeypatch, tmp_path):
    for name in ("training", "evaluation", "benchmark"):
        monkeypatch.setitem(os.sys.modules, f"classify.{name}", None)
    for name in ("a.toml", "run", "s.tiff", "cells"):
        Path(name).touch()
    for words in (
        "train a.toml",
        "export run --out m",
        "sizes a.toml",
        "field-crops s.tiff --out c",
        "pack-data a.toml --out p.zip",
        f"evaluate white --suite {SUITE} --report r",
        "bench judge cells",
    ):
        typed(*words.split(), code=1)
    approved(__file__, "not_installed", "\n".join(bars.lines), folder=tmp_path)


def test_the_judge_is_compared(bars, typed, tmp_path, monkeypatch):
    def cells_of(count):
        crops = np.zeros((count, 2, 2, 3), np.uint8)
        name, y = f"{count} cells", list(range(count))
        return Named(name, y=y, crops=crops, thinned=bars.function("thinned", cells_of))

    card = SimpleNamespace(
        name="tiny",
        classes=("a", "b", "c"),
        window_px=96,
        image_px=16,
        white=True,
        error_level=0.01,
    )
    model = Named("model", card=card, model_id="m1")
    monkeypatch.setattr(judge, "load_model", bars.function("load_model", model))
    engine = Named("fake", precision="f16")
    monkeypatch.setattr(judge, "open_engine", bars.function("open_engine", engine))
    monkeypatch.setattr(
        "classify.to_input", bars.function("to_input", lambda crops, *_: crops[:, 0, 0])
    )
    speeds = iter(range(10, 100))

    def row(name, *_, **__):
        return Named(name, cells_per_s=float(next(speeds)))

    def proceeded(name, procedure, images):
        bars.lines.append(f"proceeded on {len(list(images))} images")
        return row(name)

    def figures(entry, cells, reference):
        ratio = entry.cells_per_s / reference.cells_per_s
        return {"cells": len(cells.y), "cells_per_s": entry.cells_per_s, "ratio": ratio}

    timing = SimpleNamespace(
        proceeded=proceeded,
        judged=bars.function("judged", row),
        figures=figures,
        disagreement=lambda fast, cells, slow: {f"{fast.name} {slow.name}": (3, 120)},
        first_verdicts=lambda model, engine, crops: np.linspace(0.01, 0.02, len(crops)),
    )
    costs = {"chosen_and_random": [{"draws": 1, "chosen": 0.98765}], "pass_cost": 123.456}
    made = SimpleNamespace(
        chosen_and_random=bars.function("chosen_and_random", costs["chosen_and_random"]),
        by_classes=bars.function("by_classes", [{"classes": 2, "our_draws": 3.25}]),
        pass_cost=bars.function("pass_cost", costs["pass_cost"]),
    )
    bars.module(
        "classify.benchmark",
        HOME=0,
        ABROAD=1,
        ODD=2,
        judge_timing=timing,
        scaling=made,
        Procedure=bars.function("Procedure"),
        read_cells=bars.function("read_cells", cells_of(120)),
    )
    for name in ("home", "odd", "lab"):
        Path(name).mkdir()
    words = "--anomalous", "odd", "--same-lab", "lab", "--cells", 9, "--paper-cells", 2
    more = "--paper-draws", 30, "--paper-batch", 3, "--draw-cells", 5, "--json", "r.json"
    typed("bench", "judge", "home", *words, *more, "--engine", "openvino", "--model", "white")
    report = json.loads(Path("r.json").read_text())
    bars.lines.append(json.dumps(report, indent=1))
    typed("bench", "judge", "home", "--draw-cells", 0)
    typed("bench", "judge", "home", "--no-growth")
    approved(__file__, "bench_judge", "\n".join(bars.lines), folder=tmp_path, model=SHIPPED)
