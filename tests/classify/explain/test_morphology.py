"""A cell's morphology in words."""

from dataclasses import replace

import numpy as np

from classify.explain import (
    attribute_probabilities,
    attributes_of,
    cell_words,
    describe,
    has_attributes,
    ranked_names,
)
from classify.model_card import ClassEntry
from classify.verdict import Anomaly, Verdict
from tests.make import BrightnessEngine, tiny_model

ATTRIBUTES = {
    "nucleus_shape": ("segmented-multilobed", "unsegmented-band"),
    "nuclear_cytoplasmic_ratio": ("high", "low"),
    "granule_colour": ("nil", "pink"),
}
RATES = np.array(
    [[0.1, 0.9, 0.2, 0.8, 0.3, 0.7], [0.9, 0.1, 0.9, 0.1, 0.9, 0.1], [0, 0, 0, 0, 0, 0]]
)


def model_with_attributes():
    model = tiny_model()
    taxonomy = {
        "dark": ClassEntry(parent="neutrophil", title="Band neutrophil"),
        "light": ClassEntry(parent="monocyte", title="Monocyte"),
        "other": ClassEntry(parent="other", title="Not a cell"),
    }
    card = model.card.model_copy(update={"attributes": ATTRIBUTES, "taxonomy": taxonomy})
    table = np.random.default_rng(0).normal(size=(9, 6))
    return replace(model, card=card, attributes=table, attribute_rates=RATES)


def test_what_speaks_for_a_class_and_against_the_next():
    seen = np.array([0.1, 0.9, 0.3, 0.7, 0.2, 0.8])
    found = describe(model_with_attributes(), seen, ["dark", "light", "other"])
    assert found.sentence == (
        "band nucleus, low N:C ratio, pink granules: speak for band neutrophil; "
        "against monocyte: band nucleus"
    )
    assert found.values["granule_colour"] == "pink"
    assert found.probabilities["nucleus_shape"] == 0.9


def test_a_class_of_which_no_attributes_are_known_is_described_and_no_more():
    seen = np.array([0.9, 0.1, 0.9, 0.1, 0.9, 0.1])
    found = describe(model_with_attributes(), seen, ["other", "light"])
    assert found.sentence == "segmented nucleus, high N:C ratio"


def test_probabilities_add_up_for_each_attribute():
    model = model_with_attributes()
    p = attribute_probabilities(model, np.random.default_rng(1).normal(size=(5, 8)))
    np.testing.assert_allclose(p.reshape(5, 3, 2).sum(axis=2), 1)
    images = np.zeros((4, 3, 16, 16), np.float32)
    assert attributes_of(BrightnessEngine(), model, images).shape == (4, 6)


def test_a_judged_crop_in_words():
    crop = np.full((128, 128, 3), 90, np.uint8)
    scores = {"other": 0.1, "light": 0.3, "dark": 0.6}
    verdict = Verdict("dark", scores, Anomaly(0.1, 0.0, 0.0, ""), 2, True)
    assert ranked_names(verdict) == ["dark", "light", "other"]
    assert cell_words(BrightnessEngine(), model_with_attributes(), crop, verdict)
    assert cell_words(BrightnessEngine(), tiny_model(), crop, verdict) == ""


def test_a_model_without_attributes_tells_none():
    assert has_attributes(model_with_attributes()) and not has_attributes(tiny_model())
