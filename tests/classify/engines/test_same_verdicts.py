"""The real engine: the same verdicts to the last bit for any batch, any order, and from two
processes at once.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from classify import judge, load_model
from classify.engines.openvino import OpenVinoEngine
from classify.model_card import read_sheet

ROOT = Path(__file__).parents[3]


def cells(model):
    """A few of the shipped generated cells as crops (n, 128, 128, 3), easy ones and a mixture of
    two classes.
    """
    px, pad = model.card.image_px, (128 - model.card.image_px) // 2
    sheet = read_sheet(len(model.card.counted) + 1).reshape(-1, px, px, 3)[4::20]
    return np.pad(sheet, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="edge")


def said(batch=None, order=None):
    """Verdicts with their features by cell number, as JSON would have them."""
    model = load_model()
    engine, crops = OpenVinoEngine(model), cells(model)
    engine.batch = batch or engine.batch
    order = range(len(crops)) if order is None else order
    found = judge(((i, crops[i]) for i in order), engine, model)
    return {str(i): asdict(v) | {"features": v.features.tolist()} for i, v in found}


@pytest.fixture(scope="module")
def expected():
    return json.loads(json.dumps(said()))


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_whatever_the_batch_and_the_order(expected, batch):
    shuffled = np.random.default_rng(batch).permutation(len(expected))
    assert json.loads(json.dumps(said(batch, shuffled.tolist()))) == expected


def test_from_two_processes_at_once(expected):
    code = (
        "import json; from tests.classify.engines.test_same_verdicts import said; "
        "print(json.dumps(said()))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [json.loads(p.communicate(timeout=100)[0]) for p in both] == [expected, expected]


def test_the_number_of_cores_does_not_matter(expected, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2})
    assert json.loads(json.dumps(said())) == expected
