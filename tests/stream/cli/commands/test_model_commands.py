"""The commands about models on a few small images, with a model of three classes and an engine
that needs no net: what they call, print and write, whole.
"""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from classify import SHIPPED, DataError, Nearest
from classify.calibration import laboratory
from stream.cli import session
from stream.cli.commands.model import authenticity, calibrate, classify, compile, explain, teach
from tests.approved import approved, laid_out
from tests.make import CLASSES, BrightnessEngine, tiny_model
from tests.recorded import Named

MODEL = tiny_model()


class Net(BrightnessEngine):
    def __init__(self):
        super().__init__()
        self.card = MODEL.card


def hold(name, lines, folder):
    approved(__file__, name, "\n".join(lines), folder=folder, shipped=SHIPPED)


@pytest.fixture
def tiny(recorded):
    """The tiny model in the place of any other."""
    for place in (authenticity, calibrate, classify, compile, explain, teach, session):
        if hasattr(place, "load_model"):
            recorded.put(place, "load_model", MODEL)
        if hasattr(place, "open_engine"):
            recorded.put(place, "open_engine", lambda *_, **__: Net())
    return recorded


@pytest.fixture
def cells(tmp_path):
    """Two cells of each class that differ by how bright they are, and one file that is no image."""
    for number, name in enumerate(("dark", "light")):
        folder = tmp_path / "cells" / name
        folder.mkdir(parents=True)
        for cell in range(2):
            crop = np.full((128, 128, 3), 235, np.uint8)
            crop[40:88, 40:88] = 50 + 90 * number + 10 * cell
            crop[50 + cell : 60, 50:60] = (120, 40, 160)
            Image.fromarray(crop).save(folder / f"p{cell}-{number}.png")
    (tmp_path / "cells" / "light" / "z.png").write_bytes(b"none")
    return tmp_path / "cells"


def test_a_folder_is_classified(tiny, typed, cells, tmp_path):
    typed("classify", cells, "--json", "-")
    typed("classify", cells, "--json", "v.jsonl", "--features", "f.npy", "--exhaustive")
    typed("classify", cells / "dark", "--mpp", 0.2, "--engine", "onnxruntime", "--model", "white")
    typed("classify", cells, "--morphology", code=1)
    tiny.lines += (tmp_path / "v.jsonl").read_text().splitlines()
    lines = [laid_out(json.loads(x)) if x.startswith("{") else x for x in tiny.lines]
    features = np.load(tmp_path / "f.npy")
    lines.append(f"{features.dtype} {features.shape} {features.mean(axis=0).round(2).tolist()}")
    hold("classify", lines, tmp_path)


def test_cells_are_explained_and_indexed(tiny, typed, cells, tmp_path, monkeypatch):
    open_index = Nearest.open.__func__
    monkeypatch.setattr(Nearest, "open", classmethod(tiny.function("Nearest.open", open_index)))
    many = tmp_path / "many"
    for name in CLASSES:
        (many / name).mkdir(parents=True)
        for number in range(3):
            shade = 60 + 50 * CLASSES.index(name) + 5 * number
            Image.new("RGB", (128, 128), (shade, shade, 200)).save(many / name / f"{number}.png")
    (many / CLASSES[0] / "x.png").write_bytes(b"none")
    typed("index", many, "--out", "known.npz")
    typed("explain", cells, "--out", "far/why", "--known", "known.npz")
    typed("explain", cells / "light", "--out", "far/why")
    typed("explain", cells / "dark" / "p1-0.png", "--out", "one", "--classes", " light, dark,")
    typed("explain", cells, "--out", "no", "--classes", "blue", code=1)
    typed("explain", "none.png", "--out", "no", code=1)
    for folder in ("far/why", "one"):
        for line in (tmp_path / folder / "explained.jsonl").read_text().splitlines():
            row = json.loads(line)
            for distances in row.get("nearest", {}).values():
                assert distances == sorted(round(one, 3) for one in distances)
                distances[:] = [round(one) // 10 for one in distances]
            tiny.lines.append(laid_out(row))
        for path in sorted((tmp_path / folder).glob("*.png")):
            with Image.open(path) as sheet:
                tiny.lines.append(f"{folder}/{path.name}: {sheet.size}")
        for path in sorted((tmp_path / folder).glob("*.npz")):
            with np.load(path) as maps:
                shapes = {name: (maps[name].shape, str(maps[name].dtype)) for name in maps.files}
                tiny.lines.append(f"{folder}/{path.name}: {shapes} {maps['classes'].tolist()}")
    hold("explain", tiny.lines, tmp_path)


def test_a_model_is_calibrated(tiny, typed, cells, tmp_path):
    def recalibrate(model, engine, found, out, name, progress=lambda done: None):
        progress(2)
        out.mkdir()
        figures = [int(crop.mean()) for crop in found.crops]
        tiny.lines.append(f"calibrated on {found.labels} {figures}")
        card = model.card.model_copy(update={"data": {"calibration": f"{len(figures)} cells"}})
        return replace(model, card=card)

    tiny.monkeypatch.setattr("classify.calibration.recalibrate", recalibrate)
    assert laboratory.recalibrate is not recalibrate
    typed("calibrate", cells, "--out", "m1")
    typed("calibrate", cells, code=1)
    (tmp_path / "none").mkdir()
    typed("calibrate", "none", "--out", "m2", code=1)
    typed("calibrate", cells, "--out", "m2", "--reviewed", 4, code=1)
    typed("calibrate", cells, "--check", code=1)
    (cells / "dark").rename(cells / "blue")
    tiny.lines.append("of 60 cells at most 50 are taken, by chance, in their order")
    for number in range(56):
        crop = np.full((128, 128, 3), 100 + number, np.uint8)
        Image.fromarray(crop).save(cells / "blue" / f"q{number:02}.png")
    typed("calibrate", cells, "--out", "m3", "--cells", 50)
    hold("calibrate", tiny.lines, tmp_path)


@pytest.mark.parametrize("after", [0.5, 0.75])
def test_a_calibration_on_reviewed_cells_is_kept_where_it_is_better(
    tiny, typed, tmp_path, after, monkeypatch
):
    reviewed = SimpleNamespace(
        crops=np.arange(80, dtype=np.uint8)[:, None, None, None].repeat(3, 3),
        labels=("dark", "light") * 40,
        slides=("s1", "s1", "s2", "s2", "s3", "s4", "s4", "s4") * 10,
    )

    def recalibrate(model, engine, found, out, name):
        tiny.lines.append(f"calibrated on {found.crops.ravel()[::3].tolist()} for {name}")
        out.mkdir()
        card = model.card.model_copy(update={"data": {"calibration": "4 cells"}})
        return replace(model, card=card)

    def share(model, engine, cells):
        tiny.lines.append(f"measured on {cells.crops.ravel()[::3].tolist()}")
        return after if model.card.data else 0.5

    class Library:
        def __init__(self, store, config):
            tiny.lines.append(f"library of {store}")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(calibrate, "has_state", lambda store: True)
    monkeypatch.setattr("classify.calibration.recalibrate", recalibrate)
    monkeypatch.setattr("classify.calibration.balanced_share", share)
    monkeypatch.setattr("stream.review.SlideLibrary", Library)
    tiny.monkeypatch.setattr(
        "stream.review.reviewed_cells", tiny.function("reviewed_cells", reviewed)
    )
    words = "calibrate", "store", "--reviewed", 3, "--out"
    (tmp_path / "store").mkdir()
    for number, given in enumerate(((), ("--yes",))):
        typed(*words, f"m{number}", *given, answer="\n")
    typed(*words, "other", answer="n\n")
    tiny.lines.append(f"kept: {sorted(path.name for path in tmp_path.iterdir())}")
    (tmp_path / "there").mkdir()
    typed(*words, "there", code=1)
    hold(f"calibrate_reviewed_{after}", tiny.lines, tmp_path)


def test_an_expert_tells_generated_cells_from_real_ones(tiny, typed, cells, tmp_path):
    pictures = tiny.function("generate_cells", lambda _, __, ys, ___: [grey(y) for y in ys])
    tiny.monkeypatch.setattr("classify.explain.generate_cells", pictures)
    typed("authenticity", cells, "--out", "test", "--count", 1, "--seed", 3)
    key = json.loads((tmp_path / "test" / "key.json").read_text())
    tiny.lines.append(laid_out(key))
    answers = {name: "real" for name in key["key"]}
    text = json.dumps({"test": key.get("test"), "answers": answers})
    (tmp_path / "answers.json").write_text(text)
    typed("authenticity", "test", "--answers", "answers.json")
    typed("authenticity", tmp_path, code=1)
    hold("authenticity", tiny.lines, tmp_path)


def grey(shade):
    return np.full((16, 16, 3), 100 + shade, np.uint8)


def test_images_are_generated(tiny, typed, tmp_path):
    pictures = tiny.function("generate_cells", lambda _, __, ys, ___: [grey(y) for y in ys])
    tiny.monkeypatch.setattr("classify.explain.generate_cells", pictures)
    typed("generate", "light", "--out", "made/here", "--count", 2, "--seed", 4)
    typed("generate", "other", "--out", "made/here")
    typed("generate", "light", "--out", "made/here", "--engine", "openvino")
    typed("generate", "blue", "--out", "made", code=1)
    files = sorted((tmp_path / "made").rglob("*.png"))
    tiny.lines += [str(path) for path in files]
    assert np.asarray(Image.open(files[0])).tolist() == grey(1).tolist()
    hold("generate", tiny.lines, tmp_path)


def test_engines_are_compiled_for_cards_that_are_not_here(tiny, typed, tmp_path):
    made = iter(
        [
            SimpleNamespace(seconds=12.34, megabytes=8.76, path=tmp_path / "a.engine"),
            SimpleNamespace(seconds=None, megabytes=8.0, path=tmp_path / "b.engine"),
        ]
        * 2
    )
    tiny.put(compile, "compile_ahead", lambda *_: next(made))
    words = "compile", "white", "--targets", "sm_86, sm_120", "--out", "engines"
    typed(*words)
    typed(*words, "--json", "--precision", "f16", "--engine", "tensorrt")
    hold("compile", tiny.lines, tmp_path)


def test_a_class_is_taught(tiny, typed, cells, tmp_path, monkeypatch):
    def taught(*given):
        expected = SimpleNamespace(
            by="patient",
            auc=0.98765,
            sensitivity=0.9,
            sensitivity_interval=(0.8, 0.95),
            sensitivity_at_96=0.875,
            false_rate=0.01,
            false_rate_interval=(0.001, 0.05),
        )
        return SimpleNamespace(
            name=given[1], version=2, cells=(1, 2), patients=0, warnings=["few"], expected=expected
        )

    def written(one, out):
        tiny.lines.append(f"written {one.name} to {out}")

    monkeypatch.setattr(teach, "write_taught", written)
    monkeypatch.setattr(teach, "teach_class", tiny.function("teach_class", taught))
    folders = "--cells", cells / "dark", "--normal", cells / "light"
    words = "--by", "Dr. A", "--note", "new", "--prior", 0.02, "--mpp", 0.3
    typed("teach", "--class", "hairy", *folders, *words, "--out", "h.json")
    typed("teach", "--class", "hairy", *folders, code=1)
    typed("teach", "--class", "hairy", *folders[:2], "--out", "h.json", code=1)
    (tmp_path / "store").mkdir()
    typed("teach", "store", "--from", "reviewed", code=1)
    typed("teach", "store", "--from", "all", "--class", "hairy", code=1)
    typed("teach", "store", "--from", "reviewed", "--class", "hairy", code=1)
    typed("teach", "store", "--class", "hairy", code=1)
    typed("teach", "store")
    hold("teach", tiny.lines, tmp_path)


def test_what_a_store_teaches_and_takes_over(tiny, typed, tmp_path, monkeypatch):
    class Library(Named):
        def __init__(self, folder):
            super().__init__("library", folder=folder, newest=lambda: {"a": one, "b": other})

        def switch(self, name, on):
            tiny.lines.append(f"switch({name}, on={on})")

        def is_disabled(self, name):
            return name == "b"

        def add(self, taught):
            tiny.lines.append(f"add({taught})")
            return taught

    def lesson(name, patients):
        expected = SimpleNamespace(
            by="slide",
            auc=0.5,
            sensitivity=0.25,
            sensitivity_interval=(0.125, 0.5),
            sensitivity_at_96=0.75,
            false_rate=0.0625,
            false_rate_interval=(0.0, 0.5),
        )
        facts = {"version": 1, "cells": (1, 2, 3), "patients": patients, "warnings": []}
        return Named(name, expected=expected, **facts)

    one, other = lesson("a", 5), lesson("b", 0)
    monkeypatch.setattr(teach, "TaughtLibrary", Library)
    tiny.put(teach, "read_taught", one)
    tiny.put(teach, "write_taught")
    for name in ("has_state", "teach_from_store", "SlideLibrary"):
        place = "stream.store" if name == "has_state" else "stream.review"
        answer = {"has_state": True, "teach_from_store": other}.get(name)
        if name == "SlideLibrary":
            tiny.context(importlib.import_module(place), name, Named("slides"))
        else:
            monkeypatch.setattr(f"{place}.{name}", tiny.function(name, answer))
    for name in ("store", "a.json", "cells", "normal"):
        (tmp_path / name).mkdir()
    typed("teach", "store", "--import", "a.json")
    typed("teach", "store", "--disable", "a", "--enable", "b")
    typed("teach", "store", "--enable", "b")
    given = "--class", "b", "--by", "Dr. B", "--prior", 0.1, "--note", "n"
    typed("teach", "store", "--from", "reviewed", *given, "--out", "b.json")
    typed("teach", "store", "--from", "reviewed", "--class", "b")
    typed("teach", "store", "--normal", "normal", code=1)
    typed("teach", "store", "--cells", "cells", code=1)
    typed("teach", "--import", "a.json", code=1)
    hold("teach_store", tiny.lines, tmp_path)


def test_a_store_without_cells_calibrates_nothing(monkeypatch, recorded):
    empty = SimpleNamespace(rows=0, facts={"classes": []})
    monkeypatch.setattr(calibrate.SlideStore, "open", lambda path: empty)
    monkeypatch.setattr(calibrate, "stores_in", lambda source: ["a", "b"])
    assert calibrate.cells_of(Path("st"), MODEL, 5).crops.shape == (0, 1, 1, 3)
    assert calibrate.counted_crops(empty, MODEL).shape == (0, 1, 1, 3)


def test_how_far_slides_are_from_a_calibration(recorded, tmp_path, capsys, monkeypatch):
    columns = {"label": [1, 0, 1], "anomaly": np.arange(9.0).reshape(3, 3)}
    read = SimpleNamespace(rows=3, facts={"classes": CLASSES}, read=columns.get)
    empty = SimpleNamespace(rows=0, facts={"classes": CLASSES}, read=None)
    stores = {Path("s1.zarr"): read, Path("s2.zarr"): empty}
    drifts = [
        SimpleNamespace(cells=3, distance=0.4567, p_value=0.000123, far=True),
        SimpleNamespace(cells=0, distance=0.0, p_value=1.0, far=False),
    ]
    left = iter(drifts)

    def drift(model, names, values):
        recorded.lines.append(f"{model is MODEL} {list(names)} {values.tolist()}")
        return next(left)

    monkeypatch.setattr("classify.anomaly.calibration_drift", drift)
    monkeypatch.setattr(calibrate, "stores_in", lambda source: list(stores))
    monkeypatch.setattr(calibrate.SlideStore, "open", stores.get)
    calibrate.show_drift(Path("st"), MODEL)
    recorded.lines += capsys.readouterr().err.splitlines()
    hold("drift", recorded.lines, tmp_path)


def test_images_that_cannot_be_read_are_named_and_no_more_than_ten(recorded, tmp_path, capsys):
    skipped = {tmp_path / f"{number}.png": "no image" for number in range(12)}
    explain.tell_skipped(SimpleNamespace(skipped=skipped))
    said = capsys.readouterr().err.splitlines()
    assert said == [f"  left out {path}: no image" for path in list(skipped)[:10]]
    with pytest.raises(DataError, match="no such image or folder"):
        explain.images_at(tmp_path / "none", 128)
