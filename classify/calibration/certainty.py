"""What a verdict may be trusted with: the classes a cell may be of, and how often a label of some
confidence is right.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from classify.anomaly import label_scores, padded_scores
from classify.model_card import Model, load_model, save_tables, write_card
from classify.rule import Rule
from classify.verdict import Verdict

from .fit import ErrorTable
from .psychometric import fit_psychometric

CERTAINTY_NAMES = (
    "sigma",
    "noise",
    "weight",
    "temperature",
    "bias",
    "mean",
    "spread",
    "normal",
    "settling",
    "centre",
    "covariance",
    "parts",
    "part_tails",
    "part_weights",
    "tail",
    "ill",
    "usual",
    "turn",
    "gain",
    "guide",
    "attributes",
    "channel_mean",
    "channel_spread",
    "attribute_rates",
)
# Right and wrong labels of a class, before it has a psychometric function of its own; chosen, not
# measured.
_LEAST = 20
FUNCTION_DIGITS = 4


def replayed_verdicts(model: Model, errors: np.ndarray) -> list[tuple[Verdict, np.ndarray]]:
    """What the judge would say, and the probabilities (K,) it would say it with, of cells' errors
    (n, D, K).
    """
    rule = Rule(model)
    found: list[tuple[Verdict, np.ndarray] | None] = [None] * len(errors)
    waiting = np.arange(len(errors))
    for draws in range(1, errors.shape[1] + 1):
        decision = rule.decide(errors[waiting, :draws]) if len(waiting) else None
        if decision is None:
            continue
        stated = zip(rule.verdicts(decision), decision.probability, strict=True)
        for row, pair in zip(waiting[decision.rows], stated, strict=True):
            found[row] = pair
        waiting = np.delete(waiting, decision.rows)
    return [pair for pair in found if pair]


def finish(folder: Path, table: ErrorTable, labelled: bool = True) -> None:
    """Add to a model folder what only its judge's own verdicts on calibration cells can tell; the
    last step of a release.

    `usual` of all, and where the class numbers are a person's and not the model's `ill` and the
    psychometric functions.
    """
    model = load_model(folder)
    verdicts, probability = zip(*replayed_verdicts(model, table.errors), strict=True)
    probability = np.stack(probability)
    made = {"usual": usual_of(model, verdicts)}
    card = model.card.model_dump(exclude={"sha256"})
    if labelled:
        made["ill"] = label_scores(probability, table.y, least=round(1 / (1 - model.card.coverage)))
        card["figures"] = {
            **card["figures"],
            "psychometric, calibration cells": functions_of(model, probability, table.y),
        }
    kept = {
        name: values for name in CERTAINTY_NAMES if (values := getattr(model, name)) is not None
    }
    save_tables(folder, kept | made)
    write_card(folder, card)


def usual_of(model: Model, verdicts: tuple[Verdict, ...]) -> np.ndarray:
    """Absolute anomaly of the cells called each class (K, q), sorted, padded with infinity."""
    rows = [
        np.sort([v.anomaly.absolute for v in verdicts if v.label == name])
        for name in model.card.classes
    ]
    return padded_scores(rows).astype(np.float32)


def functions_of(model: Model, probability: np.ndarray, y: np.ndarray) -> dict[str, dict[str, Any]]:
    """Psychometric functions of all labels together, and of each label that has enough right and
    wrong ones.
    """
    label = probability.argmax(axis=1)
    sure = probability.max(axis=1)
    right = label == y
    groups = {"all": np.ones(len(y), bool)} | {
        name: label == c for c, name in enumerate(model.card.classes)
    }
    told = {
        n: g
        for n, g in groups.items()
        if n == "all" or min(right[g].sum(), (~right[g]).sum()) >= _LEAST
    }
    fits = {
        name: asdict(fit_psychometric(sure[g], right[g], len(model.card.classes)))
        for name, g in told.items()
    }
    return {
        name: {k: np.round(v, FUNCTION_DIGITS).tolist() for k, v in fit.items()}
        for name, fit in fits.items()
    }
