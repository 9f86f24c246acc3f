"""A cell's morphology in words: attributes read off the trunk's features (WBCAtt, Tsutsui et al.
2023), and which classes they are evidence for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from classify.engines import Engine
from classify.errors import ModelError
from classify.model_card import Card, Model
from classify.pixels import to_input, turned
from classify.verdict import Verdict

SEEN_DRAWS = (0, 2)  # of the shipped model those of little noise: detail is what they show
MOST_SAID = 3
SPEAKS = 0.5  # natural log of how much more often a class has a value than the others do
PHRASES = {
    ("cell_size", "big"): "large cell",
    ("cell_size", "small"): "small cell",
    ("cell_shape", "round"): "round cell",
    ("cell_shape", "irregular"): "irregular outline",
    ("nucleus_shape", "segmented-bilobed"): "nucleus of two lobes",
    ("nucleus_shape", "segmented-multilobed"): "segmented nucleus",
    ("nucleus_shape", "unsegmented-band"): "band nucleus",
    ("nucleus_shape", "unsegmented-indented"): "indented nucleus",
    ("nucleus_shape", "unsegmented-round"): "round nucleus",
    ("nucleus_shape", "irregular"): "irregular nucleus",
    ("nuclear_cytoplasmic_ratio", "high"): "high N:C ratio",
    ("nuclear_cytoplasmic_ratio", "low"): "low N:C ratio",
    ("chromatin_density", "densely"): "coarse chromatin",
    ("chromatin_density", "loosely"): "loose chromatin",
    ("cytoplasm_vacuole", "yes"): "vacuoles",
    ("cytoplasm_vacuole", "no"): "no vacuoles",
    ("granule_type", "nil"): "no granules",
    ("granule_colour", "nil"): "no coloured granules",
    ("granularity", "yes"): "granular cytoplasm",
    ("granularity", "no"): "no granularity",
}
NOUNS = {
    "cytoplasm_texture": "cytoplasm",
    "cytoplasm_colour": "cytoplasm",
    "granule_type": "granules",
    "granule_colour": "granules",
}


@dataclass(frozen=True, slots=True)
class Morphology:
    """The likeliest value of each attribute and its probability; one sentence for a person."""

    values: dict[str, str]
    probabilities: dict[str, float]
    sentence: str


def phrase(attribute: str, value: str) -> str:
    """An attribute's value as a haematologist says it."""
    plain = f"{value} {NOUNS.get(attribute, attribute.replace('_', ' '))}"
    return PHRASES.get((attribute, value), plain)


def has_attributes(model: Model) -> bool:
    """Whether the model tells attributes."""
    return model.attributes is not None and bool(model.card.attributes)


def attribute_probabilities(model: Model, features: np.ndarray) -> np.ndarray:
    """Probabilities (n, V) of all attribute values, summing to 1 an attribute, of features (n,
    F).
    """
    table = model.attributes
    if table is None:
        raise ModelError(f"{model.graph.parent}: tells no attributes", "take a model that does")
    logits = features @ table[:-1] + table[-1]
    parts = np.split(logits, _ends(model.card)[:-1], axis=1)
    return np.concatenate([_softmax(part) for part in parts], axis=1)


def attributes_of(engine: Engine, model: Model, images: np.ndarray) -> np.ndarray:
    """Probabilities (n, V) of images (n, 3, px, px), the mean over a few draws."""
    seen = [
        attribute_probabilities(
            model,
            engine.features(
                turned(images, model.turn[draw]),
                np.broadcast_to(model.noise[draw], images.shape),
                np.full(len(images), model.sigma[draw], np.float32),
            ),
        )
        for draw in SEEN_DRAWS
        if draw < len(model.sigma)
    ]
    result: np.ndarray = np.mean(seen, axis=0)
    return result


def describe(model: Model, probability: np.ndarray, ranked: Sequence[str]) -> Morphology:
    """Attributes of one cell, of probabilities (V,), in words: what is evidence for the likeliest
    of the class names `ranked`, and what against the next of another parent.
    """
    card = model.card
    parts = np.split(probability, _ends(card)[:-1])
    named = dict(zip(card.attributes, parts, strict=True))
    values = {name: card.attributes[name][int(part.argmax())] for name, part in named.items()}
    sure = {name: round(float(part.max()), 4) for name, part in named.items()}
    label = ranked[0]
    others = [name for name in ranked if card.parent_of(name) != card.parent_of(label)]
    return Morphology(values, sure, _sentence(model, values, label, next(iter(others), "")))


def cell_words(engine: Engine, model: Model, crop: np.ndarray, verdict: Verdict) -> str:
    """The sentence on a judged crop (h, w, 3) uint8; empty of a model that tells no attributes."""
    if not has_attributes(model):
        return ""
    card = model.card
    image = to_input(crop[None], card.window_px, card.image_px, card.white)
    return describe(model, attributes_of(engine, model, image)[0], ranked_names(verdict)).sentence


def ranked_names(verdict: Verdict) -> list[str]:
    """The class names of a verdict, its label first, then the likeliest."""
    ranked = sorted(verdict.scores, key=verdict.scores.__getitem__, reverse=True)
    return [verdict.label, *(name for name in ranked if name != verdict.label)]


def evidence(model: Model, values: dict[str, str], name: str) -> dict[str, float]:
    """By attribute: how much more often, as a natural log, a class has this value than the other
    known classes have; empty of a class that no attributes are known of.
    """
    rates = model.attribute_rates
    if rates is None or name not in model.card.classes:
        return {}
    own = model.card.classes.index(name)
    known = np.asarray(rates.any(axis=1))
    others = known & (np.arange(len(rates)) != own)
    if not known[own] or not others.any():
        return {}
    ratio = np.log(rates[own] / rates[others].mean(axis=0))
    return {
        attribute: float(ratio[column])
        for column, (attribute, value) in enumerate(_columns(model.card))
        if values[attribute] == value
    }


def _sentence(model: Model, values: dict[str, str], label: str, rival: str) -> str:
    speaks = evidence(model, values, label)
    said = sorted((name for name in speaks if speaks[name] > SPEAKS), key=lambda n: -speaks[n])
    if said:
        words = ", ".join(phrase(name, values[name]) for name in said[:MOST_SAID])
        text = f"{words}: {_verb(said[:MOST_SAID])} for {_title(model.card, label)}"
    else:
        shown = ("nucleus_shape", "nuclear_cytoplasmic_ratio", "chromatin_density", "granule_type")
        text = ", ".join(phrase(name, values[name]) for name in shown if name in values)
    against = evidence(model, values, rival)
    worst = min(against, key=against.__getitem__, default=None)
    if worst is None or against[worst] > -SPEAKS:
        return text
    return f"{text}; against {_title(model.card, rival)}: {phrase(worst, values[worst])}"


def _verb(said: list[str]) -> str:
    return "speaks" if len(said) == 1 else "speak"


def _title(card: Card, name: str) -> str:
    entry = card.taxonomy.get(name)
    return (entry.title if entry and entry.title else name).lower()


def _columns(card: Card) -> list[tuple[str, str]]:
    return [(name, value) for name, values in card.attributes.items() for value in values]


def _ends(card: Card) -> np.ndarray:
    return np.cumsum([len(values) for values in card.attributes.values()])


def _softmax(logits: np.ndarray) -> np.ndarray:
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: np.ndarray = p / p.sum(axis=1, keepdims=True)
    return result
