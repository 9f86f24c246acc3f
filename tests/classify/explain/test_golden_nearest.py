"""An index of known cells and the blinded test, figure by figure and to the word."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from classify.errors import DataError, ModelError
from classify.explain.authenticity import (
    MADE,
    REAL,
    Shown,
    as_png,
    read_json,
    score_answers,
    score_of,
    write_test,
)
from classify.explain.nearest import Known, Nearest, build_index, whitening
from tests.classify.test_golden_pixels import crops
from tests.golden_figures import GoldenFile
from tests.make import BrightnessEngine, tiny_model


def known(count: int) -> list[Known]:
    images = crops(4)
    cells = [np.clip(images[n % 4].astype(int) + 3 * n, 0, 255) for n in range(count)]
    return [Known("ba"[n % 2], f"cell {n}", c.astype(np.uint8)) for n, c in enumerate(cells)]


def test_an_index_finds_the_same_cells(golden: GoldenFile, tmp_path: Path) -> None:
    told: list[int] = []
    cells = known(66)
    engine, model = BrightnessEngine(), tiny_model()
    assert build_index(engine, model, cells, tmp_path / "deep" / "i.npz", told.append) == 66
    index = Nearest.open(tmp_path / "deep" / "i.npz", model)
    found = index.find(engine, cells[5].crop, k=3)
    figures = {
        "told": told,
        "classes": index.classes,
        "labels": np.bincount(index.label),
        "features": np.linalg.norm(index.features.astype(float), axis=1),
        "whiten": index.whiten @ index.whiten.T,
        "found": {c: [[d, p.shape, name] for d, p, name in rows] for c, rows in found.items()},
        "default": [len(rows) for rows in index.find(engine, cells[5].crop).values()],
        "pictures": len(index.start),
    }
    golden("nearest", figures, rel=5e-3, least=5e-3)
    assert found["a"][0][2] == "cell 5" and found["a"][0][0] < 0.05
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["i.npz"]
    with pytest.raises(DataError) as refused:
        build_index(engine, model, known(1), tmp_path / "one.npz")
    assert refused.value.what == "1 labelled cells are too few for an index"
    assert refused.value.hint == "lay them out as FOLDER/CLASS/image"
    other = model.card.model_copy(update={"sha256": {"denoiser.onnx": "1" * 64}})
    changed = tiny_model()
    object.__setattr__(changed, "card", other)
    with pytest.raises(ModelError) as refused:
        Nearest.open(tmp_path / "deep" / "i.npz", changed)
    assert refused.value.what.endswith("i.npz: made with another network (tiny)")
    assert refused.value.hint == "make it again with `cytostream index`"


def test_distances_are_those_within_a_class(golden: GoldenFile) -> None:
    rng = np.random.default_rng(4)
    label = np.arange(300) % 3
    features = rng.normal(0, (1, 3, 9), (300, 3)) + 20 * label[:, None]
    white = whitening(features, label)
    spread = features @ white
    inside = [spread[label == c] - spread[label == c].mean(axis=0) for c in range(3)]
    squares = [(part**2).sum(axis=1).mean() for part in inside]
    assert np.sqrt(2 * np.mean(squares)) == pytest.approx(1, rel=0.01)
    few = whitening(features[:9], label[:9])
    golden("whitening", [white @ white.T, few @ few.T], rel=1e-4, least=1e-5)


def test_what_answers_are_worth(golden: GoldenFile, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shown = [
        Shown(rng.integers(0, 255, (8, 8, 3), np.uint8), "ab"[n % 2], (REAL, MADE)[n // 6])
        for n in range(12)
    ]
    page = write_test(shown, tmp_path / "test", seed=3)
    key = json.loads((tmp_path / "test" / "key.json").read_text())
    said = {name: REAL if n % 3 else MADE for n, name in enumerate(key["key"])}
    said |= {"0000": "maybe", "9999": REAL}
    (tmp_path / "answers.json").write_text(json.dumps({"test": key["test"], "answers": said}))
    scores = score_answers(tmp_path / "test", tmp_path / "answers.json")
    golden("answers", {"key": key["key"], "scores": scores})
    for name, score in scores.items():
        exact = stats.binomtest(score.right, score.of).proportion_ci(method="exact")
        assert score.interval == pytest.approx(tuple(exact)), name
        assert score.accuracy == score.right / score.of
    text = page.read_text()
    assert key["test"] in text and as_png(shown[0].picture) in text and '"truth"' not in text
    assert "@cells@" not in text and "@test@" not in text
    for wrong in ({"test": "x", "answers": said}, {"test": key["test"], "answers": {}}):
        (tmp_path / "answers.json").write_text(json.dumps(wrong))
        with pytest.raises(DataError) as refused:
            score_answers(tmp_path / "test", tmp_path / "answers.json")
        what = f"{tmp_path / 'answers.json'}: not answers to the test in {tmp_path / 'test'}"
        assert refused.value.what == what
        assert refused.value.hint == "save them from the page of that folder"
    (tmp_path / "answers.json").write_text("[]")
    with pytest.raises(DataError) as refused:
        read_json(tmp_path / "answers.json")
    assert refused.value.what == f"{tmp_path / 'answers.json'}: no answers"
    assert (score_of([]).right, score_of([True]).interval[1]) == (0, 1.0)
