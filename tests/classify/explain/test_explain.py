"""Why: maps that add up to what the judge says, counterfactuals, known cells, the authenticity
test.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from classify import (
    DataError,
    LabCells,
    ModelError,
    Nearest,
    explain_cell,
    judge,
    load_model,
    open_engine,
)
from classify.calibration.fit import error_table
from classify.calibration.laboratory import recalibrate
from classify.explain.authenticity import Shown, score_answers, write_test
from classify.explain.maps import inside, ranked_classes, shared_evidence
from classify.explain.nearest import Known, build_index
from classify.model_card import read_sheet
from classify.pixels import to_input
from classify.rule import posterior
from tests.make import BrightnessEngine, tiny_model


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def engine(model):
    return open_engine(model, "openvino", "f32")


@pytest.fixture(scope="module")
def crop(model):
    """A generated neutrophil, laid out as a crop."""
    px = model.card.window_px
    sheet = read_sheet(len(model.card.counted) + 1)
    cell = sheet.reshape(len(model.card.counted) + 1, -1, *sheet.shape[-3:])[
        model.card.classes.index("segmented-neutrophil"), 0
    ]
    pad = (model.card.crop_px - px) // 2
    return np.pad(
        np.asarray(Image.fromarray(cell).resize((px, px))),
        ((pad, pad), (pad, pad), (0, 0)),
        mode="edge",
    )


@pytest.fixture(scope="module")
def why(model, engine, crop):
    return explain_cell(engine, model, crop)


def test_the_maps_are_of_the_classes_that_matter(model, why):
    px = model.card.image_px
    assert len(why.classes) == 3 and why.heat.shape == (3, px, px) and why.heat.dtype == np.float32
    assert why.counterfactual.shape == (3, px, px, 3) and why.seen.dtype == np.uint8
    assert np.abs(why.counterfactual[0].astype(int) - why.seen).max() <= 1
    assert np.abs(why.counterfactual[1].astype(int) - why.seen).mean() > 1


def test_the_evidence_of_the_pixels_adds_up_to_the_judges(model, engine, crop):
    card = model.card
    x = to_input(crop[None], card.window_px, card.image_px, card.white)
    shares = shared_evidence(engine, model, x).sum(axis=(1, 2))
    one, other = ranked_classes(engine, model, x)[:2]
    errors = error_table(engine, x, model)[0]
    log_p = np.log(posterior(errors, model)[-1]) - model.bias
    assert shares[one] - shares[other] == pytest.approx(
        log_p[one] - log_p[other], rel=0.02, abs=0.02
    )


def test_a_map_points_at_the_cell(model, why):
    r = np.hypot(*np.mgrid[-1 : 1 : model.card.image_px * 1j, -1 : 1 : model.card.image_px * 1j])
    assert inside(why.heat[0], r < 0.6) > 0.6
    assert inside(np.zeros((4, 4)), np.ones((4, 4), bool)) == 0


def test_an_unknown_class_is_refused(model, engine, crop):
    with pytest.raises(DataError, match="no class unicorn"):
        explain_cell(engine, model, crop, ["unicorn"])


def some_crops(n, seed=0):
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 3
    level = np.array([50, 135, 230])[label]
    return label, np.clip(
        level[:, None, None, None] + rng.normal(0, 20, (n, 128, 128, 3)), 0, 255
    ).astype(np.uint8)


@pytest.fixture
def index(tmp_path):
    label, crops = some_crops(90)
    cells = (
        Known("abc"[c], f"{c}/{i}.png", crop)
        for i, (c, crop) in enumerate(zip(label, crops, strict=True))
    )
    build_index(BrightnessEngine(), tiny_model(), cells, tmp_path / "known.npz")
    return tmp_path / "known.npz"


def test_a_cells_own_picture_is_its_nearest(index):
    label, crops = some_crops(90)
    found = Nearest.open(index, tiny_model()).find(BrightnessEngine(), crops[4], 3)
    assert set(found) == {"a", "b", "c"} and all(len(rows) == 3 for rows in found.values())
    distance, picture, name = found["abc"[label[4]]][0]
    assert name == f"{label[4]}/4.png" and distance < 0.1 and picture.shape == (64, 64, 3)
    assert abs(int(picture.mean()) - int(crops[4].mean())) < 10
    assert [d for d, *_ in found["a"]] == sorted(d for d, *_ in found["a"])


def test_an_index_of_another_network_is_refused(index, tmp_path):
    other = tiny_model()
    other = replace(
        other, card=other.card.model_copy(update={"sha256": {"denoiser.onnx": "1" * 64}})
    )
    with pytest.raises(ModelError, match="another network"):
        Nearest.open(index, other)
    (tmp_path / "broken.npz").write_text("no index")
    with pytest.raises(DataError, match="no index of known cells"):
        Nearest.open(tmp_path / "broken.npz")
    with pytest.raises(DataError, match="too few"):
        build_index(BrightnessEngine(), other, [], tmp_path / "none.npz")


def graph_of(model, folder):
    """The tiny model, with a file for its graph: calibrating copies it."""
    folder.mkdir()
    (folder / "denoiser.onnx").write_bytes(b"graph")
    return replace(model, graph=folder / "denoiser.onnx")


class OtherStain(BrightnessEngine):
    """Every class explains every cell half as ill again."""

    def errors(self, images, noise, sigma):
        return 1.5 * super().errors(images, noise, sigma)


def odd_share(model, crops):
    verdicts = dict(judge(enumerate(crops), OtherStain(), model, exhaustive=True))
    return np.mean([v.anomaly.p_value <= 0.05 for v in verdicts.values()])


def test_another_laboratory_is_odd_until_it_is_calibrated(tmp_path):
    model = graph_of(tiny_model(), tmp_path / "home")
    lab = recalibrate(model, OtherStain(), LabCells(some_crops(200, 1)[1]), tmp_path / "lab", "lab")
    new = some_crops(200, 2)[1]
    assert odd_share(model, new) > 0.3 > 0.12 > odd_share(lab, new)
    assert (
        "200 cells, unlabelled" in lab.card.data["calibration"] and lab.model_id != model.model_id
    )


def test_labels_give_sets_and_a_psychometric_function(tmp_path):
    model = graph_of(tiny_model(), tmp_path / "home")
    label, crops = some_crops(200, 1)
    names = [model.card.classes[c] for c in label]
    lab = recalibrate(model, BrightnessEngine(), LabCells(crops, names), tmp_path / "lab", "lab")
    assert lab.ill is not None and "all" in lab.card.figures["psychometric, calibration cells"]
    label, new = some_crops(200, 2)
    verdicts = dict(judge(enumerate(new), BrightnessEngine(), lab))
    covered = np.mean([model.card.classes[c] in verdicts[i].may_be for i, c in enumerate(label)])
    assert covered > 0.9 and {v.outcome for v in verdicts.values()} <= {
        *model.card.classes,
        "unidentified",
    }


def test_too_few_cells_to_calibrate_on(tmp_path):
    with pytest.raises(DataError, match="too few"):
        recalibrate(
            tiny_model(), BrightnessEngine(), LabCells(some_crops(9)[1]), tmp_path / "lab", "lab"
        )


def test_the_test_page_is_blind_and_its_answers_score(tmp_path):
    rng = np.random.default_rng(0)
    shown = [
        Shown(rng.integers(0, 255, (16, 16, 3), np.uint8), "ig", truth)
        for truth in ("real", "generated") * 10
    ]
    page = write_test(shown, tmp_path / "test").read_text()
    key = json.loads((tmp_path / "test" / "key.json").read_text())
    assert "truth" not in page and page.count("iVBOR") == 20 and key["test"] in page
    answers = tmp_path / "answers.json"
    told = {name: "real" for name in key["key"]}
    answers.write_text(json.dumps({"test": key["test"], "answers": told}))
    scores = score_answers(tmp_path / "test", answers)
    assert (
        scores["all"].right,
        scores["all"].of,
        scores["real"].accuracy,
        scores["generated"].accuracy,
    ) == (10, 20, 1, 0)
    low, high = scores["all"].interval
    assert low == pytest.approx(0.272, abs=1e-3) and high == pytest.approx(0.728, abs=1e-3)
    answers.write_text(json.dumps({"test": "another", "answers": told}))
    with pytest.raises(DataError, match="not answers to the test"):
        score_answers(tmp_path / "test", answers)
