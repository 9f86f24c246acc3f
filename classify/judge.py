"""The judge: draws one after the other for every cell, classes drop out, the engine stays busy."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from .engines import Engine, draw_errors_and_features
from .model_card import Model
from .pixels import to_input, turned
from .rule import RoundDecision, Rule
from .verdict import Verdict

Key = TypeVar("Key")
ROUND_PAIRS = 128  # a longer round holds its first cells back for its last
FEATURE_DRAWS = 4  # of a cell, over which its features are averaged
MOST_ROUNDS = 2  # under way at a time: the engine has the next when one ends


def judge(
    cells: Iterable[tuple[Key, np.ndarray] | None],
    engine: Engine,
    model: Model,
    exhaustive: bool = False,
    evidence: Callable[[Key], np.ndarray] | None = None,
) -> Iterator[tuple[Key, Verdict]]:
    """Verdicts of (key, crop (h, w, 3) uint8), each as soon as it stands; `evidence` gives the log
    likelihood (K,) of what else is known of a cell (`cell_size.size_evidence`).

    Rounds are filled with the next draws of many cells; where few cells wait, with several draws
    of one. A cell's verdict depends on its own errors alone, in the order of the draws, so neither
    order nor company changes it. `None` in `cells` says that nothing waits just now: what is there
    is then not held back for a full batch. After it `cells` is asked again at each round's end, so
    a source waits a little before it says None once more.

    Raises:
        ValueError: a crop is smaller than the model's window.
    """
    card = model.card
    with ThreadPoolExecutor(1) as thread:
        rounds: Rounds[Key] = Rounds(engine, Rule(model, exhaustive), thread)
        for item in cells:
            if item is not None:
                image = to_input(item[1][None], card.window_px, card.image_px, card.white)[0]
                rounds.add(item[0], image, evidence(item[0]) if evidence else 0.0)
            yield from rounds.turn(idle=item is None)
        while rounds.busy:
            yield from rounds.turn(idle=True)


class CellTable(Generic[Key]):
    """Cells under way, a row each: their pixels, errors, features of the first draws and number of
    draws so far. Rows are used again when a cell is done, and the arrays grow where none is free.
    """

    def __init__(self, rows: int, model: Model):
        px = model.card.image_px
        draws = len(model.sigma)
        self.images = np.empty((rows, 3, px, px), np.float32)
        self.errors = np.empty((rows, draws, len(model.card.classes)), np.float32)
        self.evidence = np.empty((rows, len(model.card.classes)))
        self.features = np.empty((rows, FEATURE_DRAWS, model.card.features), np.float32)
        self.draws = np.zeros(rows, int)
        self.keys: dict[int, Key] = {}
        self.free = list(range(rows))[::-1]

    def add(self, key: Key, image: np.ndarray, evidence: np.ndarray | float) -> int:
        if not self.free:
            self.grow()
        row = self.free.pop()
        self.images[row] = image
        self.evidence[row] = evidence
        self.draws[row] = 0
        self.keys[row] = key
        return row

    def grow(self) -> None:
        rows = len(self.draws)
        self.images, self.errors, self.evidence, self.features, self.draws = (
            np.concatenate([column, np.empty_like(column)])
            for column in (self.images, self.errors, self.evidence, self.features, self.draws)
        )
        self.free = list(range(rows, 2 * rows))[::-1]

    def features_of(self, row: int, draws: int) -> np.ndarray:
        """The features (F,) float16 of a cell that was decided after so many draws."""
        mean: np.ndarray = self.features[row, :draws].mean(axis=0)
        return mean.astype(np.float16)

    def drop(self, row: int) -> Key:
        self.free.append(row)
        return self.keys.pop(row)


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """A round under way: the rows that wait for it, the row and draw number of each of its pairs,
    and their errors (pairs, K) and features (pairs, F) to come.
    """

    waiting: np.ndarray
    rows: np.ndarray
    draws: np.ndarray
    found: "Future[tuple[np.ndarray, np.ndarray]]"


class Rounds(Generic[Key]):
    """Cells that wait for a round in `ready`, and the rounds that run meanwhile, so that the engine
    need not wait for verdicts.
    """

    def __init__(self, engine: Engine, rule: Rule, thread: ThreadPoolExecutor):
        self.engine = engine
        self.rule = rule
        self.thread = thread
        self.most = engine.batch * max(1, ROUND_PAIRS // engine.batch)
        self.cells: CellTable[Key] = CellTable((1 + MOST_ROUNDS) * self.most, rule.model)
        self.ready: list[int] = []
        self.flights: deque[Flight] = deque()

    @property
    def busy(self) -> bool:
        return bool(self.ready or self.flights)

    def add(self, key: Key, image: np.ndarray, evidence: np.ndarray | float = 0.0) -> None:
        self.ready.append(self.cells.add(key, image, evidence))

    def turn(self, idle: bool) -> Iterator[tuple[Key, Verdict]]:
        """Begin the rounds that can be filled, and take in those that have ended; where there is
        nothing else to do, wait for one.
        """
        self.launch_ready(idle)
        while self.flights and (
            idle or len(self.ready) >= self.most or self.flights[0].found.done()
        ):
            decisions = self.land(self.flights.popleft())
            self.launch_ready(idle)
            yield from self.stated(decisions)
            if idle:
                break

    def launch_ready(self, idle: bool) -> None:
        while len(self.flights) < MOST_ROUNDS and len(self.ready) >= self.engine.batch:
            self.launch()
        if idle and self.ready and not self.flights:
            self.launch()

    def launch(self) -> None:
        """Begin the next round: whole batches, or one that few cells fill with several draws
        each.
        """
        model = self.rule.model
        batch = self.engine.batch
        size = max(batch, min(self.most, len(self.ready) // batch * batch))
        waiting = np.array(self.ready[:size])
        del self.ready[:size]
        rows, draws = next_pairs(waiting, self.cells.draws[waiting], size, len(model.sigma))
        images = self.cells.images[rows]
        for draw in np.unique(draws[model.turn[draws] != 0]):
            images[draws == draw] = turned(images[draws == draw], model.turn[draw])
        found = self.thread.submit(draw_errors_and_features, self.engine, model, images, draws)
        self.flights.append(Flight(waiting, rows, draws, found))

    def land(self, flight: Flight) -> list[tuple[list[int], RoundDecision]]:
        """Which cells a round has decided; the others are ready for the next, before those that
        came later.
        """
        cells = self.cells
        errors, features = flight.found.result()
        cells.errors[flight.rows, flight.draws] = errors
        early = flight.draws < FEATURE_DRAWS
        cells.features[flight.rows[early], flight.draws[early]] = features[early]
        known = cells.draws[flight.waiting]
        taken = known + np.bincount(flight.rows, minlength=len(cells.draws))[flight.waiting]
        cells.draws[flight.waiting] = taken
        open_rows = flight.waiting
        found = []
        for draws in range(known.min() + 1, taken.max() + 1):
            seen = open_rows[(known < draws) & (draws <= taken)]
            decision = (
                self.rule.decide(cells.errors[seen, :draws], cells.evidence[seen])
                if len(seen)
                else None
            )
            if decision:
                done = seen[decision.rows]
                found.append((done.tolist(), decision))
                left = ~np.isin(open_rows, done)
                open_rows = open_rows[left]
                known = known[left]
                taken = taken[left]
            if not len(open_rows):
                break
        self.ready[:0] = open_rows.tolist()
        return found

    def stated(
        self, decisions: list[tuple[list[int], RoundDecision]]
    ) -> Iterator[tuple[Key, Verdict]]:
        for rows, decision in decisions:
            for row, verdict in zip(rows, self.rule.verdicts(decision), strict=True):
                features = self.cells.features_of(row, verdict.draws)
                yield self.cells.drop(row), replace(verdict, features=features)


def next_pairs(
    waiting: np.ndarray, known: np.ndarray, size: int, last: int
) -> tuple[np.ndarray, np.ndarray]:
    """Row and draw number of each of at most `size` pairs of the next round, of rows (n,) that have
    `known` (n,) draws of `last`: the next draw of each, then the one after, until it is full.
    """
    ahead = np.arange(last if len(waiting) < size else 1)
    draws = known + ahead[:, None]
    rows = np.broadcast_to(waiting, draws.shape)
    possible = draws < last
    return rows[possible][:size], draws[possible][:size]
