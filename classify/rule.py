"""When a cell needs no further draw, and what is then said of it: for all cells of a round at
once. A row depends on its own errors alone, to the last bit, whatever stands beside it.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .anomaly import AnomalyScores, Oddity, anomaly_of, assess, oddity_of, prediction_sets
from .elimination import chance_of, survivors_of
from .model_card import Model
from .verdict import Verdict

DIGITS = 6


class DrawScale(Protocol):
    """What turns errors into probabilities: `weight`, `temperature` (D,) and `bias` (K,), as
    `Model` has them.
    """

    @property
    def weight(self) -> np.ndarray: ...

    @property
    def temperature(self) -> np.ndarray: ...

    @property
    def bias(self) -> np.ndarray: ...


@dataclass(frozen=True, slots=True, eq=False)
class RoundDecision:
    """Cells that need no further draw: their `rows` (n,) among those asked about, probabilities and
    classes that are left (n, K), anomaly scores (n,), and the draws they took.
    """

    rows: np.ndarray
    probability: np.ndarray
    left: np.ndarray
    anomaly: AnomalyScores
    draws: int


@dataclass(frozen=True, slots=True, eq=False)
class ClassParents:
    """Which parent each class belongs to: `names` (P,), as a matrix `inside` (P, K), and by class
    name.
    """

    names: tuple[str, ...]
    inside: np.ndarray
    parent_of: dict[str, str]


class Rule:
    """When to stop. `exhaustive` takes every draw and drops no class: the slow reference."""

    def __init__(self, model: Model, exhaustive: bool = False):
        self.model = model
        self.exhaustive = exhaustive
        self.oddity: Oddity = oddity_of(model)
        self.parents = class_parents(model)

    def decide(
        self, errors: np.ndarray, evidence: np.ndarray | None = None
    ) -> RoundDecision | None:
        """Which of the cells of errors (m, d, K) are done after d draws; None where none is. The
        `evidence` (m, K) is the log likelihood of what is known of them beside their pixels.

        A class is out for good when its chance of being the label falls below the card's
        `elimination` (see `elimination`); a cell is done when one class is left and it is not
        anomalous, or its anomaly score is known; or, undecided, when the draws are used up.
        """
        draws = errors.shape[1]
        last = len(self.model.sigma)
        if self.exhaustive and draws < last:
            return None
        probability = posterior(errors, self.model, evidence)
        left = self.left(probability)
        single = left.sum(axis=1) == 1
        rows = np.flatnonzero(single | (draws == last))
        if not len(rows):
            return None
        settled = probability[rows, -1]
        anomaly = assess(self.model, self.oddity, errors[rows], settled)
        card = self.model.card
        if draws < min(last, card.screen_draws):
            plain = anomaly.score <= card.screen
            rows = rows[plain]
            settled = settled[plain]
            anomaly = anomaly.part(plain)
        return RoundDecision(rows, settled, left[rows], anomaly, draws) if len(rows) else None

    def verdicts(self, decision: RoundDecision) -> list[Verdict]:
        """The verdicts of decided cells, in the order of their rows.

        The parent is the likeliest by the sum over its classes, the label the likeliest class of it
        that is left: three classes of one parent are not to lose against one of another.
        """
        card = self.model.card
        names = self.parents.names
        inside = self.parents.inside
        probability = decision.probability
        parents = within(probability, inside)
        best = within(probability * decision.left, inside).argmax(axis=1)
        allowed = decision.left & (inside[best] > 0)
        label = np.where(allowed, probability, -1).argmax(axis=1)
        possible = may_be(self.model, probability)
        single = decision.left.sum(axis=1) == 1
        return [
            Verdict(
                label=card.classes[label[i]],
                scores=_named(card.classes, probability[i]),
                anomaly=anomaly_of(self.model, decision.anomaly, probability[i], i),
                draws=decision.draws,
                decided=bool(single[i]),
                may_be=possible[i],
                parents=_named(names, parents[i]),
                parent=names[best[i]],
                parents_possible=tuple(
                    dict.fromkeys(self.parents.parent_of[name] for name in possible[i])
                ),
            )
            for i in range(len(decision.rows))
        ]

    def left(self, probability: np.ndarray) -> np.ndarray:
        """Classes (m, K) that are not out, given their probabilities (m, d, K) after each draw."""
        settling = self.model.settling
        chance = probability if settling is None else chance_of(probability, settling)
        seen = chance[:, -1:] if self.exhaustive else chance
        return survivors_of(seen, self.model.card.elimination)


def class_parents(model: Model) -> ClassParents:
    card = model.card
    parent_of = {name: card.parent_of(name) for name in card.classes}
    names = card.parents
    own = np.array([names.index(parent_of[name]) for name in card.classes])
    inside = (np.arange(len(names))[:, None] == own).astype(np.float64)
    return ClassParents(names, inside, parent_of)


def within(probability: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Probabilities (m, K) summed over the classes of each parent (m, P)."""
    summed: np.ndarray = np.einsum("mk,pk->mp", probability, inside)
    return summed


def _named(names: tuple[str, ...], probability: np.ndarray) -> dict[str, float]:
    return dict(zip(names, np.round(probability, DIGITS).tolist(), strict=True))


def may_be(model: Model, probability: np.ndarray) -> list[tuple[str, ...]]:
    """The classes that each cell of probabilities (m, K) may be of; the likeliest where the model
    has not learnt which.
    """
    names = model.card.classes
    if model.ill is None:
        return [(names[best],) for best in probability.argmax(axis=1)]
    sets = prediction_sets(probability, model.ill, model.card.coverage)
    return [tuple(name for name, inside in zip(names, row, strict=True) if inside) for row in sets]


def posterior(
    errors: np.ndarray, scale: DrawScale, evidence: np.ndarray | None = None
) -> np.ndarray:
    """Class probabilities (..., d, K) after 1, 2, ... d draws, of errors (..., d, K); `evidence`
    (..., K) is a log likelihood beside that of the errors.
    """
    d = errors.shape[-2]
    seen = -np.cumsum(scale.weight[:d, None] * errors, axis=-2, dtype=np.float64)
    logits = seen / scale.temperature[:d, None] + scale.bias
    if evidence is not None:
        logits = logits + evidence[..., None, :]
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: np.ndarray = p / p.sum(axis=-1, keepdims=True)
    return result
