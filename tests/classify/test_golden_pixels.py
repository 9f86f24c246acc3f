"""From crops to the pixels that a network sees, and what an explanation makes of them."""

from dataclasses import replace

import numpy as np
import pytest

from classify.errors import DataError, ModelError
from classify.explain.card_sheet import card_sheet, mixtures, own_probability, soft_disc
from classify.explain.generate import generate_cells, polish, sample, sigmas
from classify.explain.maps import (
    against,
    as_class,
    every_turn,
    explain_cell,
    inside,
    ranked_classes,
    shared_evidence,
    telling,
    way_down,
)
from classify.explain.morphology import (
    attribute_probabilities,
    attributes_of,
    cell_words,
    describe,
    evidence,
    phrase,
    ranked_names,
)
from classify.explain.nearest import features_of
from classify.judge import judge
from classify.model_card import ClassEntry, Model
from classify.pixels import (
    background,
    central,
    disc,
    on_white,
    resample_matrix,
    to_input,
    to_uint8,
    turned,
    turned_back,
    white_levels,
)
from tests.golden_figures import GoldenFile
from tests.make import BrightnessEngine, tiny_model


def crops(count: int = 4, px: int = 128) -> np.ndarray:
    """8-bit crops (n, px, px, 3): a dark disc beside the middle, on uneven glass."""
    rng = np.random.default_rng(7)
    rows, cols = np.mgrid[:px, :px]
    images = np.empty((count, px, px, 3))
    for number in range(count):
        glass = np.array((240, 228, 210)) - 15 * number - 20 * (cols / px)[..., None]
        away = np.hypot(rows - px / 2 - 5, cols - px / 2 + 3 * number)
        cell = away < 18 + 6 * number
        images[number] = np.where(cell[..., None], (110, 60 + 30 * number, 150), glass)
    return np.clip(images + rng.normal(0, 3, images.shape), 0, 255).astype(np.uint8)


def test_the_pixels_that_a_network_sees(golden: GoldenFile) -> None:
    images = crops()
    figures = {
        "background": background(images),
        "levels": white_levels(images),
        "on white": on_white(images),
        "input": to_input(images, 96, 32),
        "white": to_input(images, 96, 64, white=True),
        "as it is": to_input(images, 64, 64),
        "matrix": resample_matrix(7, 3),
        "larger": resample_matrix(3, 7),
        "disc": [disc(24, 0.84), disc(6, 0.5)],
        "levels back": to_uint8(np.linspace(-1.2, 1.2, 27).reshape(3, 3, 3)),
        "middle": central(images, 51)[:, 0, 0],
    }
    golden("pixels", figures, rel=1e-5)
    black = np.zeros((1, 8, 8, 3), np.uint8)
    assert background(black).tolist() == [[np.float32(0.7)] * 3]
    assert to_uint8(np.array([-1.0, 0.0, 1.0]).reshape(3, 1, 1)).ravel().tolist() == [0, 128, 255]


def test_eight_turns_one_by_one() -> None:
    """Quarter turns against the clock, then the same mirrored."""
    image = np.arange(4).reshape(2, 2)
    expected = ["0123", "1302", "3210", "2031", "1032", "3120", "2301", "0213"]
    made = ["".join(map(str, turned(image, turn).ravel())) for turn in range(8)]
    assert made == expected
    for turn in range(8):
        assert np.array_equal(turned_back(turned(image, turn), turn), image)


class PaintingEngine(BrightnessEngine):
    """A fake whose denoised images are drawn towards the pattern of each class, less at little
    noise.
    """

    def denoised(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        px = images.shape[-1]
        noisy = images + sigma[:, None, None, None] * noise
        at = np.arange(px)
        waves = [np.sin(at * (k + 1) / 3) * np.cos(at / (k + 2))[:, None] for k in range(3)]
        share = (sigma / (1 + sigma))[:, None, None, None, None]
        painted = np.stack(waves)[None, :, None] * np.array([0.5, -0.3, 0.8])[:, None, None]
        return ((1 - share) * noisy[:, None] + share * painted).astype(np.float32)


def painted_model() -> Model:
    model = tiny_model()
    taxonomy = {
        "dark": ClassEntry(parent="grey", title="Dark Cell"),
        "light": ClassEntry(parent="grey"),
    }
    attributes = {"cell_size": ("big", "small"), "granule_type": ("nil", "round", "small")}
    rates = np.array(
        [[0.9, 0.1, 0.1, 0.2, 0.7], [0.3, 0.7, 0.6, 0.3, 0.1], [0.2, 0.8, 0.5, 0.4, 0.1]]
    )
    card = model.card.model_copy(update={"taxonomy": taxonomy, "attributes": attributes})
    table = np.sin(np.arange(45.0)).reshape(9, 5)
    return replace(model, card=card, attributes=table, attribute_rates=rates)


def test_maps_and_counterfactuals(golden: GoldenFile) -> None:
    model, engine = painted_model(), PaintingEngine()
    (crop,) = crops(1)
    x = to_input(crop[None], 96, 16)
    shares = shared_evidence(engine, model, x)
    order = ranked_classes(engine, model, x)
    heat = against(shares, 0, 1, 16)
    found = explain_cell(engine, model, crop)
    chosen = explain_cell(engine, model, crop, ["other", "dark"])
    figures = {
        "order": order,
        "turns": every_turn(model, x),
        "shares": shares,
        "heat": heat,
        "finer": against(shares, 2, 0, 64),
        "telling": [telling(model, np.array(o)) for o in ([0, 1, 2], [2, 1, 0], [1, 2, 0])],
        "as class": as_class(engine, x, [0, 2], 2),
        "other seed": as_class(engine, x, [1], 0, seed=4),
        "way down": way_down(engine, np.repeat(x, 2, axis=0), np.array([1, 0])),
        "inside": [inside(heat, disc(16, 0.5) > 0.5), inside(heat * 0, disc(16, 0.5) > 0.5)],
        "explained": [found.classes, found.heat, found.counterfactual, found.seen, found.words],
        "chosen": [chosen.classes, chosen.heat, chosen.counterfactual],
        "features": features_of(engine, model.card, crop[None]),
    }
    golden("explained", figures, rel=1e-4, least=1e-6)
    with pytest.raises(DataError) as refused:
        explain_cell(engine, model, crop, ["x", "dark", "w"])
    assert refused.value.what == "no class w, x in this model"
    assert refused.value.hint == "of dark, light, other"


def test_generated_cells_and_the_sheet(golden: GoldenFile) -> None:
    model, engine = painted_model(), PaintingEngine()
    noise = np.random.default_rng(2).normal(0, 1, (3, 3, 16, 16)).astype(np.float32)
    classes = np.array([0, 2, 1])
    cells = np.stack(list(generate_cells(model, engine, [0, 1, 2], seed=3, steps=4)))
    mixed = np.array([[0.5, 0.5, 0.0], [0.0, 0.2, 0.8], [1.0, 0.0, 0.0]], np.float32)
    figures = {
        "levels": [sigmas(5), sigmas(18)],
        "sampled": sample(engine, noise, classes, 5),
        "by default": sample(engine, noise, classes),
        "mixed": sample(engine, noise, mixed, 3),
        "polished": polish(engine, noise, classes, np.random.default_rng(1)),
        "cells": cells,
        "many": np.stack(list(generate_cells(model, engine, [0] * 17, steps=2))),
        "mixtures": mixtures(model, engine, 2),
        "disc": soft_disc(16),
        "own": own_probability(model, engine, cells, np.array([0, 1, 2])),
        "sheet": card_sheet(model, engine, columns=2, tried=3),
    }
    golden("generated", figures, rel=1e-4, least=1e-4)


def test_morphology_in_words(golden: GoldenFile) -> None:
    model, engine = painted_model(), PaintingEngine()
    images = to_input(crops(3), 96, 16)
    rng = np.random.default_rng(1)
    probability = rng.dirichlet((1, 1), 4), rng.dirichlet((1, 1, 1), 4)
    rows = np.concatenate(probability, axis=1)
    (crop,) = crops(1)
    ((_, verdict),) = judge([(0, crop)], engine, model)
    names = [("dark", "light", "other"), ("other", "dark"), ("light", "other"), ("other",)]
    figures = {
        "probabilities": attribute_probabilities(model, rng.normal(0, 1, (2, 8))),
        "of images": attributes_of(engine, model, images),
        "described": [describe(model, *pair) for pair in zip(rows, names, strict=True)],
        "evidence": [
            evidence(model, {"cell_size": "big", "granule_type": value}, name)
            for name in ("dark", "light", "absent")
            for value in ("nil", "small")
        ],
        "words": [cell_words(engine, model, crop, verdict), ranked_names(verdict)],
        "phrases": [
            phrase(*pair)
            for pair in (
                ("cell_size", "big"),
                ("granule_type", "round"),
                ("cytoplasm_colour", "blue"),
                ("nucleus_shape", "odd"),
            )
        ],
    }
    golden("morphology", figures, rel=1e-5)
    with pytest.raises(ModelError) as refused:
        attribute_probabilities(tiny_model(), np.zeros((1, 8)))
    assert (refused.value.what, refused.value.hint) == (
        ".: tells no attributes",
        "take a model that does",
    )
    assert evidence(replace(model, attribute_rates=None), {}, "dark") == {}
    alone = np.where(np.arange(3)[:, None] == 0, model.attribute_rates, 0)
    assert evidence(replace(model, attribute_rates=alone), {}, "dark") == {}
    assert cell_words(engine, tiny_model(), crop, verdict) == ""
