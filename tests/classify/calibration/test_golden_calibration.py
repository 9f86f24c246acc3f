"""What a calibration writes, figure by figure."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize
from scipy.special import log_softmax

from classify.anomaly import ANOMALY_WEIGHTS
from classify.calibration import cell_sizes, certainty
from classify.calibration.adaptation import (
    class_shares,
    first_draws,
    home_channels,
    measured_normal,
)
from classify.calibration.cell_sizes import MeasuredCell, class_size, fit_sizes, measure_crops
from classify.calibration.certainty import functions_of, replayed_verdicts, usual_of
from classify.calibration.comparison import CalibrationGain, by_groups, part_of, split_cells
from classify.calibration.draws import (
    PULL,
    best_temperature,
    candidates,
    log_loss,
    order,
    random_draws,
    unforetold,
    weigh,
    weight_of,
)
from classify.calibration.fit import ErrorTable, error_table, fit, own_errors
from classify.calibration.laboratory import (
    LabCells,
    abnormal_bias,
    classes_of,
    drawn,
    lab_scale,
    lab_statistics,
    mean_probability,
    measured,
    own_labels,
    recalibrate,
)
from classify.calibration.psychometric import binned, curve, fit_psychometric
from classify.errors import DataError, ModelError
from classify.model_card import ClassEntry, Model
from tests.golden_figures import GoldenFile
from tests.make import BrightnessEngine, tiny_model
from tests.segment.smears import glass, white_cell

FITTED = {"rel": 2e-3, "least": 1e-4}  # a minimum is found to within its tolerance
CLASSES = 3
RNG = np.random.default_rng(6)
Y = RNG.integers(0, CLASSES, 150)
ERRORS = RNG.gamma(20, 1 / 20, (150, 6, CLASSES)) + 0.2 * np.arange(6)[:, None]
ERRORS[np.arange(150), :, Y] -= np.linspace(0.1, 0.45, 6)
TABLE = ErrorTable(ERRORS.astype(np.float32), Y)
WEIGHT = np.array([2.0, 3.0, 1.0, 4.0, 2.5, 1.5])
SIGMA = np.array([0.3, 0.1, 0.7, 0.2, 1.0, 0.5], np.float32)


def test_draws_are_those_of_their_seed(golden: GoldenFile) -> None:
    listed = candidates(10, 4, 7)
    chance = random_draws(6, 4, 7)
    figures = {
        "candidates": listed,
        "random": chance,
        "default seed": candidates(3, 2).noise,
        "order": order(ERRORS, WEIGHT, Y, 6),
        "unforetold": [unforetold(ERRORS, 4, known) for known in ([0], [0, 2], [1, 3, 5])],
        "weight": weight_of(np.array([0.05, 0.3, 2.0]), SIGMA, WEIGHT),
    }
    golden("draws", figures, rel=1e-5)


def test_weights_are_likeliest_near_those_that_training_found() -> None:
    """A cell's log loss, and a pull of the weights towards one common multiple."""
    changes = np.log(weigh(ERRORS, WEIGHT, Y) / WEIGHT)

    def loss(change: np.ndarray) -> float:
        logits = -sum(
            w * np.exp(c) * ERRORS[:, d]
            for d, (w, c) in enumerate(zip(WEIGHT, change, strict=True))
        )
        own = log_softmax(logits, axis=1)[np.arange(len(Y)), Y]
        return float(-own.mean() + PULL * np.var(change))

    assert PULL == 0.02
    best = loss(changes)
    for d in range(6):
        for step in (-0.1, 0.1):
            assert loss(changes + step * np.eye(6)[d]) > best
    spread = np.linspace(-1, 1, 6)
    assert loss(changes + 0.02 * spread) > best - 1e-7


def test_weights_and_temperatures(golden: GoldenFile) -> None:
    logits = -np.einsum("d,ndk->nk", WEIGHT, ERRORS)
    figures = {
        "weights": weigh(ERRORS, WEIGHT, Y),
        "temperature": best_temperature(logits, Y),
        "with bias": best_temperature(logits, Y, np.array([0.5, 0.0, -1.0])),
        "log loss": log_loss(logits, Y),
        "fit": fit(
            TABLE,
            WEIGHT,
            SIGMA,
            np.array([True, True, False]),
            np.array([0.2, 0.0, -0.4]),
            ANOMALY_WEIGHTS,
        ),
        "own": own_errors(TABLE),
    }
    golden("fit", figures, **FITTED)


def test_errors_of_every_draw_and_turn(golden: GoldenFile) -> None:
    model = tiny_model()
    images = noisy_images(5)
    golden("error-table", error_table(BrightnessEngine(), images, model), rel=1e-4)


def noisy_images(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.4, (count, 3, 16, 16)).astype(np.float32)


def test_the_psychometric_function(golden: GoldenFile) -> None:
    rng = np.random.default_rng(3)
    sure = rng.uniform(0.2, 1, 120)
    right = rng.random(120) < curve(sure, 0.6, 0.3, 0.05, 1 / CLASSES)
    found = fit_psychometric(sure, right, CLASSES, resamples=12)
    few = fit_psychometric(sure[:9], right[:9], 5, resamples=0)
    figures = {
        "found": found,
        "few": few,
        "curve": found(np.array([0.0, 0.3, 0.5, 0.7, 1.0])),
        "binned": binned(np.array([0, 3, 3, 199]), np.array([1.0, 0.0, 1.0, 1.0])),
        "all right": fit_psychometric(sure, np.ones(120, bool), CLASSES, resamples=0),
    }
    golden("psychometric", figures, **FITTED)
    with pytest.raises(ValueError, match="^no cells to fit a psychometric function to$"):
        fit_psychometric(sure[:0], right[:0], CLASSES)


def test_the_psychometric_function_is_the_likeliest_with_its_priors() -> None:
    """A Beta(1, 10) on the lapses, a normal one on the logarithm of the width, about 0.3."""
    sure = np.linspace(0.3, 0.99, 14)
    right = np.array([0, 1, 0, 0, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1], bool)
    found = fit_psychometric(sure, right, 4, resamples=0)
    middles = (np.floor(sure * 200) + 0.5) / 200

    def loss(threshold: float, width: float, lapse: float) -> float:
        rise = 1 / (1 + np.exp(-2 * np.log(19) * (middles - threshold) / width))
        p = 0.25 + (0.75 - lapse) * rise
        prior = 9 * np.log1p(-lapse) - np.log(width / 0.3) ** 2 / (2 * 1.5**2)
        return float(-np.where(right, np.log(p), np.log1p(-p)).sum() - prior)

    best = optimize.minimize(
        lambda v: loss(v[0], np.exp(v[1]), 0.5 / (1 + np.exp(-v[2]))),
        [0.6, -1.0, -4.0],
        method="Nelder-Mead",
        options={"maxiter": 2000},
        bounds=[(-0.5, 1.5), (np.log(0.01), np.log(5.0)), (-12, 4)],
    )
    assert loss(found.threshold, found.width, found.lapse) <= best.fun + 1e-4
    assert found.threshold == pytest.approx(best.x[0], abs=0.01)
    assert found.width == pytest.approx(np.exp(best.x[1]), rel=0.03)


def test_the_psychometric_function_stays_within_its_bounds() -> None:
    """Threshold -0.5 to 1.5, width 0.01 to 5, lapses up to nearly a half."""
    sure = np.linspace(0.05, 0.95, 400)
    chance = np.random.default_rng(0).random(400)
    never = fit_psychometric(sure, chance < 0.01, 2, resamples=0)
    slips = fit_psychometric(sure, (sure > 0.2) & (chance < 0.5), 10**6, resamples=0)
    flat = fit_psychometric(sure, chance < 0.5, 10**6, resamples=0)
    assert never.threshold == 1.5 and flat.width == pytest.approx(5.0)
    assert never.lapse == pytest.approx(0.5 / (1 + np.exp(12)), rel=1e-6, abs=0)
    assert slips.lapse == pytest.approx(0.5 / (1 + np.exp(-4)), rel=1e-4)


def judged_model() -> Model:
    model = tiny_model()
    light = ClassEntry(parent="light", code="LI", title="Light", normal=False, prior=0.2)
    return replace(model, card=model.card.model_copy(update={"taxonomy": {"light": light}}))


def judged_errors(cells: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(9)
    y = np.arange(cells) % 3
    errors = 0.3 + np.abs(rng.normal(0.25, 0.15, (cells, 6, 3)))
    errors[np.arange(cells), :, y] *= rng.uniform(0.5, 1.05, cells)[:, None]
    return errors.astype(np.float32), y


def test_what_calibration_cells_say(golden: GoldenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certainty, "fit_psychometric", partial(fit_psychometric, resamples=3))
    model = judged_model()
    errors, y = judged_errors()
    replayed = replayed_verdicts(model, errors)
    verdicts = tuple(v for v, _ in replayed)
    rng = np.random.default_rng(2)
    probability = rng.dirichlet((1, 1, 1), 200)
    said, sure = probability.argmax(axis=1), probability.max(axis=1)
    truth = np.where(rng.random(200) < curve(sure, 0.7, 0.3, 0, 0.2), said, (said + 1) % 3)
    figures = {
        "verdicts": [[v.label, v.draws, v.decided, v.anomaly.absolute] for v in verdicts],
        "probability": np.stack([p for _, p in replayed]),
        "usual": usual_of(model, verdicts),
    }
    golden("calibration-cells", figures, rel=1e-5)
    functions = functions_of(model, probability, truth)
    least = functions_of(model, probability[:70], truth[:70])
    golden("functions", {"all": functions, "of few": list(least)}, rel=0.02, least=2e-3)


def test_a_laboratorys_own_scale_and_statistics(golden: GoldenFile) -> None:
    model = judged_model()
    errors, y = judged_errors()
    labels = [model.card.classes[c] for c in y]
    shares = mean_probability(model, errors)
    figures = {
        "statistics": lab_statistics(model, ErrorTable(errors * 1.1, y)),
        "without a class": lab_statistics(model, ErrorTable(errors[y != 1], y[y != 1])),
        "drawn": drawn(errors[:7, :, 0], model.mean[:, 0], model.spread[:, 0]),
        "drawn of none": drawn(errors[:0, :, 0], model.mean[:, 0], model.spread[:, 0]),
        "shares": shares,
        "own labels": own_labels(model, labels)[:4],
        "other labels": own_labels(model, [*labels, "eosinophil"]),
        "classes": [classes_of(model, errors, labels), classes_of(model, errors, ["x"])],
    }
    golden("laboratory", figures, rel=1e-5)
    fitted = {
        "scale": lab_scale(model, errors, y),
        "uneven": lab_scale(model, errors[:40], np.sort(y[:40] % 2)),
        "abnormal": abnormal_bias(model, errors, shares * np.array([1, 1.3, 1])),
    }
    golden("laboratory-scale", fitted, rel=5e-3, least=1e-3)


def test_errors_are_measured_in_batches(golden: GoldenFile) -> None:
    crops = np.random.default_rng(0).integers(90, 255, (70, 128, 128, 3), np.uint8)
    crops[:, 40:88, 40:88] //= 2
    told: list[int] = []
    found = measured(tiny_model(), BrightnessEngine(), crops, told.append)
    golden("measured", {"errors": found, "told": told}, rel=1e-4)


def test_too_few_cells_are_refused(tmp_path: Path) -> None:
    cells = LabCells(np.zeros((49, 128, 128, 3), np.uint8))
    with pytest.raises(DataError) as refused:
        recalibrate(tiny_model(), BrightnessEngine(), cells, tmp_path, "here")
    assert refused.value.what == "49 cells are too few to calibrate on"
    assert refused.value.hint == "give 50 or more, some hundred if you can"


def test_shares_of_classes(golden: GoldenFile) -> None:
    spread = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], np.float32)
    model = replace(tiny_model(), channel_mean=spread * 0, channel_spread=spread)
    images = noisy_images(12) + np.linspace(-1, 1, 12, dtype=np.float32)[:, None, None, None]
    none = replace(model, channel_spread=np.zeros_like(spread))
    figures = {
        "by verdicts": class_shares(model, BrightnessEngine(), images, []),
        "by labels": class_shares(model, BrightnessEngine(), images, ["dark", "other"] * 6),
        "of no such class": class_shares(model, BrightnessEngine(), images, ["other"] * 12),
        "measured": [measured_normal(model), measured_normal(none)],
        "first draws": [getattr(first_draws(model, 4), n).shape for n in ("sigma", "noise")],
        "others": [getattr(first_draws(model, 4), n) for n in ("turn", "weight", "temperature")],
    }
    golden("class-shares", figures, rel=1e-4)
    with pytest.raises(ModelError) as refused:
        home_channels(tiny_model())
    assert refused.value.what == ".: no statistics of an encoder in its tables"
    assert refused.value.hint == "calibrate without adapting the encoder"


def test_cell_sizes(golden: GoldenFile) -> None:
    rng = np.random.default_rng(5)
    cells = [
        MeasuredCell(names, laboratory, kind, float(area))
        for names, laboratory, kind, count, size in (
            (("dark",), 0, "wbc", 12, 100),
            (("dark", "light"), 1, "wbc", 9, 60),
            (("dark",), 1, "platelet", 4, 12),
            (("light",), 2, "platelet", 10, 9),
            (("other",), 2, "wbc", 9, 300),
        )
        for area in rng.lognormal(np.log(size), 0.2, count)
    ]
    figures = {name: size.model_dump() for name, size in fit_sizes(cells).items()}
    assert list(figures) == ["dark", "light"] and class_size([]) is None
    golden("cell-sizes", figures)


def test_crops_are_measured_by_laboratory(
    golden: GoldenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = []
    for number in range(8):
        crop = glass(128, 128)
        if number != 3:
            white_cell(crop, 63.5, 63.5, 3.5 + 0.5 * number, 1 + number % 3)
        crops.append(crop)
    allowed = [("dark",), ("light", "other")] * 4
    found = measure_crops(np.stack(crops), allowed, np.arange(8) // 4)
    monkeypatch.setattr(cell_sizes, "MOST_MEASURED", 5)
    many = measure_crops(np.stack(crops[4:] * 2), [("dark",)] * 8, np.zeros(8, int))
    figures = {
        "cells": [[c.classes, c.laboratory, c.kind, c.area_um2] for c in found],
        "of the first five": len(many),
    }
    golden("measured-crops", figures)


def test_which_cells_are_held_out(golden: GoldenFile) -> None:
    labels = ["dark"] * 24 + ["light"] * 26
    crops = np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1)
    cells = LabCells(crops, labels)
    slides = [f"slide {n % 7}" for n in range(50)]
    figures = {
        name: split_cells(cells, groups, seed).held_out.crops.ravel().tolist()
        for name, groups, seed in (
            ("by slide", slides, 0),
            ("other seed", slides, 4),
            ("of one slide", ["a"] * 50, 0),
        )
    }
    golden("held-out", figures)
    assert by_groups(np.array(labels), np.array(labels), np.random.default_rng(0)) is None
    split = split_cells(cells, slides)
    both = sorted([*split.fitted.crops.ravel(), *split.held_out.crops.ravel()])
    assert both == list(range(50))
    assert part_of(cells, np.arange(50) == 30).labels == ("light",)
    with pytest.raises(DataError) as refused:
        split_cells(part_of(cells, np.arange(50) % 25 < 19), ["a"] * 38)
    assert refused.value.what == "18 cells can be held out: too few to say whether it is better"
    assert refused.value.hint == "review 40 or more, of every class"
    gains = [CalibrationGain(0.8, after, 30).is_better for after in (0.79, 0.8, 0.81)]
    assert gains == [False, False, True]
