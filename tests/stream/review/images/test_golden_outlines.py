"""The outlines of small label images, point by point."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ingest import StoreError
from stream.review.images import outlines
from stream.review.images.outlines import Shapes, cell_rings, field_rings, red_kinds, ring_of

LABELS = outlines.LABEL_COLUMN


def label_image(side=24):
    """A cell with its nucleus, off the middle."""
    y, x = np.mgrid[:side, :side]
    cell = np.hypot(x - 10, y - 13) < 7
    return cell.astype(np.uint8) + (np.hypot(x - 9, y - 12) < 4)


def store_of(**columns):
    """A store that has these columns; `read` gives rows from one to another."""

    def read(name, first=0, last=None):
        return np.asarray(columns[name])[first:last]

    group = dict.fromkeys(columns)
    scales = {"coordinateTransformations": [{"scale": [1.0, 0.75, 0.5]}]}
    about = {"ome": {"multiscales": [{"datasets": [scales]}]}}
    group[outlines.RED_CELL_LABELS.rpartition("/")[0]] = SimpleNamespace(attrs=about)
    facts = {"red_classes": ["normal", "oval"]}
    return SimpleNamespace(group=group, read=read, facts=facts)


def shapes(monkeypatch, tmp_path, mpp, **columns):
    monkeypatch.setattr(outlines, "store_path", lambda store, slide_id: tmp_path)
    monkeypatch.setattr(outlines.SlideStore, "open", lambda path: store_of(**columns))
    return Shapes(Path("st"), "s1", mpp)


def test_outlines_of_cells(monkeypatch, tmp_path, golden):
    whole = label_image()
    images = np.stack([whole, np.zeros_like(whole), (whole > 0).astype(np.uint8)])
    cell, none, no_core = cell_rings(images)
    assert none is None and no_core is None
    for ring in cell:
        assert (ring[0] == ring[-1]).all()
        x, y = ring[:-1].T
        assert np.dot(x, np.roll(y, -1)) > np.dot(y, np.roll(x, -1))
    monkeypatch.setattr(outlines, "CHUNK_ROWS", 2)
    many = np.concatenate([images, images[:1]])
    found = shapes(monkeypatch, tmp_path, 0.25, **{LABELS: many})
    at = SimpleNamespace(place=3, x_px0=500, y_px0=300)
    placed = found.of(at)
    for place in (1, 2, 4, 5):
        at.place = place
        assert found.of(at) is None
    figures = {"cell": cell[0], "nucleus": cell[1], "ring": placed[0], "core": placed[1]}
    golden("cell_outlines", figures)
    assert shapes(monkeypatch, tmp_path, 0.25).of(at) is None
    assert shapes(monkeypatch, tmp_path, None, **{LABELS: many}).of(at) is None
    assert ring_of(np.zeros((4, 4), bool)) is None


def test_outlines_of_red_cells(monkeypatch, tmp_path, golden):
    field = np.zeros((2, 30, 40), np.int32)
    y, x = np.mgrid[:30, :40]
    field[0][np.hypot(x - 10, y - 12) < 5] = 1
    field[0][np.hypot(x - 28, y - 9) < 6] = 2
    field[0][20, 20] = 3
    field[1][np.hypot(x - 12, y - 14) < 8] = 1
    columns = {
        outlines.RED_CELL_LABELS: field,
        outlines.BOXES: [[101, 203, 181, 263], [400, 600, 480, 660]],
        outlines.RED_KIND_COLUMN: [1, 0, -1, 0],
        "reds/field": [0, 0, 0, 1],
        "reds/area_um2": [50.123456, 60.0, 0.1, 70.0],
        "reds/roundness": [0.912345, 0.9, 0.1, 0.8],
        "reds/pallor": [0.312345, 0.3, 0.1, 0.2],
    }
    found = list(shapes(monkeypatch, tmp_path, 0.25, **columns).reds())
    golden("red_outlines", found)
    assert outlines.red_mpp(store_of(**columns)) == 0.5
    is_none = {name: ring is None for name, ring in field_rings(field[0]).items()}
    assert is_none == {1: False, 2: False, 3: True}
    field[0][field[0] == 1] = 0
    with pytest.raises(StoreError) as gone:
        list(shapes(monkeypatch, tmp_path, 0.25, **columns).reds())
    assert (gone.value.what, gone.value.hint) == (
        "label 1 is gone",
        "was the store changed by hand?",
    )
    assert list(shapes(monkeypatch, tmp_path, 0.25).reds()) == []
    assert list(shapes(monkeypatch, tmp_path, None, **columns).reds()) == []
    assert red_kinds(store_of(), 3) == ["", "", ""]
    assert red_kinds(store_of(**columns), 4) == ["oval", "normal", "", "normal"]
