"""Workers that read and segment; and this process as the simplest of them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from ingest.errors import CytostreamError

from .limits import Item, Result, outcome_of


class Workers(Protocol):
    @property
    def count(self) -> int:
        """Items that are worked on at a time."""

    def call(self, function: Callable[[Item], Result], item: Item, limit_s: float) -> Result:
        """`function(item)`, once, on a worker.

        Raises:
            CytostreamError: it failed, or ended the worker, or took longer than `limit_s`.
            ClusterLostError: the workers as a whole have gone.
        """

    def call_here(self, function: Callable[[Item], Result], item: Item, limit_s: float) -> Result:
        """As `call`, on this machine, wherever the workers are."""

    def everywhere(
        self, function: Callable[[Item], Result], item: Item
    ) -> dict[str, Result | BaseException]:
        """`function(item)` on every worker of other machines, by its address, or what it raised.
        Empty where all workers are processes of this machine.

        Raises:
            ClusterLostError: the workers as a whole have gone.
        """

    def each(
        self, function: Callable[[Item], Result], items: Iterable[Item], limit_s: float
    ) -> Iterator[tuple[Item, Result | CytostreamError] | None]:
        """`function(item)` of every item as they finish, a few in flight; `None`, every 10 ms,
        while the next one is awaited.

        A `CytostreamError`, or the death of the worker, is the item's outcome. A call that takes
        longer than `limit_s` ends its worker process, since a hung decoder cannot be asked to stop.

        Raises:
            ClusterLostError: the workers as a whole have gone.
        """


class SerialWorkers:
    """This process, one item at a time and without a limit: for a single field of view, and the
    fake beside Dask.
    """

    count = 1

    def everywhere(
        self, function: Callable[[Item], Result], item: Item
    ) -> dict[str, Result | BaseException]:
        return {}

    def call(self, function: Callable[[Item], Result], item: Item, limit_s: float) -> Result:
        return only(self.each(function, [item], limit_s))

    def call_here(self, function: Callable[[Item], Result], item: Item, limit_s: float) -> Result:
        return self.call(function, item, limit_s)

    def each(
        self, function: Callable[[Item], Result], items: Iterable[Item], limit_s: float
    ) -> Iterator[tuple[Item, Result | CytostreamError] | None]:
        for item in items:
            yield item, outcome_of(function, item)
            yield None


def only(outcomes: Iterator[tuple[Item, Result | CytostreamError] | None]) -> Result:
    ((_, outcome),) = filter(None, outcomes)
    if isinstance(outcome, CytostreamError):
        raise outcome
    return outcome
