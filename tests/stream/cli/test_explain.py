"""explain, index, calibrate, authenticity as typed: what goes wrong is one line with a next step;
drift from a store.
"""

import sys

import numpy as np
import pytest

from stream.cli import main
from stream.cli.commands.model.calibrate import cells_of, show_drift
from stream.store.slide_store import SlideStore
from tests.make import CLASSES, tiny_model


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["explain", "missing.png", "--out", "o"], "no such file"),
        (["index", "."], "no image here"),
        (["calibrate", "."], "no folder for the calibrated model"),
        (["calibrate", ".", "--check"], "no results here"),
        (["authenticity", "t", "--answers", "none.json"], "cannot be read"),
        (["authenticity", "."], "no folder named as a class"),
    ],
)
def test_errors_are_one_line_with_a_next_step(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cytostream", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr().err
    assert stopped.value.code == 1 and says in said and "->" in said and "Traceback" not in said


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    store = SlideStore.create(tmp_path / "s1.zarr", {"classes": list(CLASSES)})
    label = np.arange(90, dtype=np.uint8) % 3
    anomaly = np.stack([np.zeros(90), np.zeros(90), rng.normal(4, 1, 90)], axis=1).astype(
        np.float32
    )
    store.write(
        0,
        {
            "label": label,
            "anomaly": anomaly,
            "crop": rng.integers(0, 255, (90, 128, 128, 3), dtype=np.uint8),
        },
    )
    return tmp_path


def test_a_store_gives_its_cells_to_count(store):
    found = cells_of(store, tiny_model(), 50)
    assert found.crops.shape == (50, 128, 128, 3) and len(found.labels) == 0


def test_a_slide_that_left_the_calibration_is_told(store, capsys):
    from dataclasses import replace

    usual = np.sort(np.random.default_rng(1).normal(0, 1, (3, 300)), axis=1)
    show_drift(store, replace(tiny_model(), usual=usual))
    assert "far: calibrate" in capsys.readouterr().err
