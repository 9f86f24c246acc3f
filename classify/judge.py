"""The judge: draws one after the other for every cell, classes drop out, batches stay full."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from .anomaly import assess, prediction_sets
from .elimination import chance_of, survivors_of
from .engines import Engine
from .model_card import Model
from .pixels import to_input, turned
from .verdict import Anomaly, Verdict

Key = TypeVar("Key")


@dataclass(slots=True, eq=False)
class Pending:
    """A cell under way: its pixels (3, px, px) and the errors (draws so far, K)."""

    image: np.ndarray
    errors: list[np.ndarray] = field(default_factory=list)


class DrawScale(Protocol):
    """What turns errors into probabilities: `weight`, `temperature` (D,) and `bias` (K,), as
    `Model` has them.
    """

    weight: np.ndarray
    temperature: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True, slots=True)
class Rule:
    """When to stop. `exhaustive` takes every draw and drops no class: the slow reference."""

    model: Model
    exhaustive: bool = False

    def verdict(self, errors: np.ndarray) -> Verdict | None:
        """The verdict after the draws of errors (d, K), or None where more must be drawn.

        A class is out for good when its chance of being the label falls below the card's
        `elimination` (see `elimination`); the cell is done when one class is left and it is not
        odd, or its oddness known; or, undecided, when the draws are used up.
        """
        draws, last = len(errors), len(self.model.sigma)
        if self.exhaustive and draws < last:
            return None
        card = self.model.card
        probability = posterior(errors, self.model)
        left = self.left(probability)
        if left.sum() > 1 and draws < last:
            return None
        anomaly = assess(self.model, errors, probability[-1])
        if anomaly.score > card.screen and draws < min(last, card.screen_draws):
            return None
        return self.stated(probability[-1], left, anomaly, draws)

    def stated(
        self, probability: np.ndarray, left: np.ndarray, anomaly: Anomaly, draws: int
    ) -> Verdict:
        """The verdict of a cell that needs no further draw, of probabilities (K,) and the classes
        (K,) that are left.

        The parent is the likeliest by the sum over its classes, the label the likeliest class of it
        that is left: three classes
        of one parent are not to lose against one of another.
        """
        card = self.model.card
        parent_of = np.array([card.parents.index(card.parent_of(name)) for name in card.classes])
        inside = parent_of[:, None] == np.arange(len(card.parents))
        best = int(np.argmax((probability * left) @ inside))
        possible = may_be(self.model, probability)
        return Verdict(
            label=card.classes[int(np.argmax(np.where(left & inside[:, best], probability, -1)))],
            scores=_named(card.classes, probability),
            anomaly=anomaly,
            draws=draws,
            decided=bool(left.sum() == 1),
            may_be=possible,
            parents=_named(card.parents, probability @ inside),
            parent=card.parents[best],
            parents_possible=tuple(dict.fromkeys(map(card.parent_of, possible))),
        )

    def left(self, probability: np.ndarray) -> np.ndarray:
        """Classes (K,) that are not out, given their probabilities (d, K) after each draw."""
        settling = self.model.settling
        chance = probability if settling is None else chance_of(probability, settling)
        return survivors_of(chance[-1:] if self.exhaustive else chance, self.model.card.elimination)


def _named(names: tuple[str, ...], probability: np.ndarray) -> dict[str, float]:
    return {name: round(float(p), 6) for name, p in zip(names, probability, strict=True)}


def may_be(model: Model, probability: np.ndarray) -> tuple[str, ...]:
    """The classes that a cell of probabilities (K,) may be of; the likeliest where the model has
    not learnt which.
    """
    names = np.array(model.card.classes)
    if model.ill is None:
        return (str(names[probability.argmax()]),)
    return tuple(
        map(str, names[prediction_sets(probability[None], model.ill, model.card.coverage)[0]])
    )


def posterior(errors: np.ndarray, scale: DrawScale) -> np.ndarray:
    """Class probabilities (..., d, K) after 1, 2, ... d draws, of errors (..., d, K)."""
    d = errors.shape[-2]
    evidence = -np.cumsum(scale.weight[:d, None] * errors, axis=-2, dtype=np.float64)
    logits = evidence / scale.temperature[:d, None] + scale.bias
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def judge(
    cells: Iterable[tuple[Key, np.ndarray] | None],
    engine: Engine,
    model: Model,
    exhaustive: bool = False,
) -> Iterator[tuple[Key, Verdict]]:
    """Verdicts of (key, crop (h, w, 3) uint8), each as soon as it stands.

    Batches are filled with the next draws of many cells; where few cells wait, with several draws
    of one. A cell's verdict depends on its own errors alone, in the order of the draws, so neither
    order nor company changes it. `None` in `cells` says that nothing waits just now: what is under
    way is then not held back for a full batch.

    Raises:
        ValueError: a crop is smaller than the model's window.
    """
    card = model.card
    with ThreadPoolExecutor(1) as thread:
        round_ = Round(engine, Rule(model, exhaustive), thread)
        for item in cells:
            if item is not None:
                image = to_input(item[1][None], card.window_px, card.image_px, card.white)[0]
                round_.ready[item[0]] = Pending(image)
            yield from round_.turn(flush=item is None)
        yield from round_.turn(flush=True)


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """A pass under way: the cells that wait for it, its (cell, draw number) pairs, and their errors
    (pairs, K) to come.
    """

    cells: dict[Key, Pending]
    pairs: list[tuple[Key, int]]
    errors: Future


class Round:
    """Cells that wait for a pass in `ready`, and the pass that runs meanwhile, so that the engine
    need not wait for verdicts.
    """

    def __init__(self, engine: Engine, rule: Rule, thread: ThreadPoolExecutor):
        self.engine, self.rule, self.thread = engine, rule, thread
        self.ready: dict[Key, Pending] = {}
        self.flight: Flight | None = None

    def turn(self, flush: bool) -> Iterator[tuple[Key, Verdict]]:
        """Passes while enough cells wait to fill one; to `flush`, until none is left."""
        while (full := len(self.ready) >= self.engine.batch) or (
            flush and (self.ready or self.flight)
        ):
            landed, self.flight = self.flight, None
            if full or not landed:
                self.flight = self.launch()
            if landed:
                yield from self.land(landed)

    def launch(self) -> Flight:
        """Begin the next pass."""
        model = self.rule.model
        pairs = next_pairs(self.ready, self.engine.batch, len(model.sigma))
        cells = {key: self.ready.pop(key) for key in dict.fromkeys(key for key, _ in pairs)}
        draws = np.array([d for _, d in pairs])
        images = np.stack([turned(cells[key].image, model.turn[d]) for key, d in pairs])
        errors = self.thread.submit(
            self.engine.errors, images, model.noise[draws], model.sigma[draws]
        )
        return Flight(cells, pairs, errors)

    def land(self, flight: Flight) -> Iterator[tuple[Key, Verdict]]:
        """The cells that a pass finishes; the others are ready for the next."""
        for (key, _), row in zip(flight.pairs, flight.errors.result(), strict=True):
            cell = flight.cells.get(key)
            if cell is None:
                continue  # decided by an earlier draw of this pass
            cell.errors.append(row)
            if verdict := self.rule.verdict(np.stack(cell.errors)):
                del flight.cells[key]
                yield key, verdict
        self.ready = flight.cells | self.ready  # those that came first go first


def next_pairs(pending: dict[Key, Pending], batch: int, last: int) -> list[tuple[Key, int]]:
    """(cell, draw number) pairs of the next pass: the next draw of each cell, then the one after,
    until the batch is full.
    """
    pairs: list[tuple[Key, int]] = []
    for ahead in range(last):
        for key, cell in pending.items():
            if len(pairs) == batch:
                return pairs
            if len(cell.errors) + ahead < last:
                pairs.append((key, len(cell.errors) + ahead))
    return pairs
