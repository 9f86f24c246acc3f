"""Workers of a Dask cluster. In-flight work is bounded."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from time import monotonic

from distributed import Client, Future, KilledWorker

from ingest.errors import ClusterLostError, CytostreamError

from .limits import Item, Result, ended_error, limited
from .mounts import Mounts, as_there, error_here
from .own_process import call_in_own_process
from .workers import only


class Killed:
    """The worker died of the item, or with it."""


KILLED = Killed()
TRIES = 3  # of an item that ended its worker before the limit: it may have been ended by others
RESTART_S = 60
COUNT_S = 1.0  # between two looks at how many workers there are, while tasks come back
POLL_S = 0.01  # that `each` waits for the next result before it says that there is none yet


class DaskWorkers:
    """A Dask cluster: tasks are few (a tile each), results come back as they finish.

    The function travels with every task, and should be small: scattered data or a shared task would
    be lost with a worker that dies, and take its neighbours along.
    """

    def __init__(self, client: Client, of_others: bool = False, mounts: Mounts = ()):
        self.client = client
        self.of_others = of_others
        self.mounts = mounts
        self.most = 0
        self.counted_s = -COUNT_S

    @property
    def count(self) -> int:
        """Workers there are now: an adaptive cluster has more while tasks wait."""
        return max(1, len(self.client.scheduler_info(n_workers=-1)["workers"]))

    def room(self) -> int:
        """How many items may be in flight: three a worker. The scheduler is asked now and then, and
        not at each result: it answers with all it knows of every worker.
        """
        if monotonic() - self.counted_s >= COUNT_S:
            self.most = 3 * self.count
            self.counted_s = monotonic()
        return self.most

    def everywhere(
        self, function: Callable[[Item], Result], item: Item
    ) -> dict[str, Result | BaseException]:
        if not self.of_others:
            return {}
        call, argument = self.there(function, item)
        with loss_told():
            found: dict[str, Result | BaseException] = self.client.run(
                call, argument, on_error="return"
            )
        return found

    def call(self, function: Callable[[Item], Result], item: Item, limit_s: float) -> Result:
        return only(self.one_by_one(function, [item], limit_s))

    def call_here(self, function: Callable[[Item], Result], item: Item, limit_s: float) -> Result:
        one = call_in_own_process if self.of_others else self.call
        return one(function, item, limit_s)

    def each(
        self, function: Callable[[Item], Result], items: Iterable[Item], limit_s: float
    ) -> Iterator[tuple[Item, Result | CytostreamError] | None]:
        todo = iter(items)
        suspects: list[Item] = []
        alive: dict[Future[Result | CytostreamError], Item] = {}
        ended: SimpleQueue[Future[Result | CytostreamError]] = SimpleQueue()

        def start(item: Item) -> None:
            future = self.begun(function, item, limit_s)
            alive[future] = item
            future.add_done_callback(ended.put)

        for item in first(todo, self.room()):
            start(item)
        while alive:
            try:
                future = ended.get(timeout=POLL_S)
            except Empty:
                yield None
                continue
            item = alive.pop(future)
            outcome = self.result_of(future)
            for following in first(todo, self.room() - len(alive)):
                start(following)
            future.release()
            if isinstance(outcome, Killed):
                suspects.append(item)
            else:
                yield item, outcome
        yield from self.one_by_one(function, suspects, limit_s)

    def there(
        self, function: Callable[[Item], Result], item: Item
    ) -> tuple[Callable[[Item], Result], Item]:
        """Both as a worker is to be given them."""
        return as_there((function, item), self.mounts) if self.mounts else (function, item)

    def begun(
        self, function: Callable[[Item], Result], item: Item, limit_s: float
    ) -> "Future[Result | CytostreamError]":
        """The call, on its way to a worker.

        Raises:
            ClusterLostError: the scheduler has gone.
        """
        call, argument = self.there(function, item)
        try:
            return self.client.submit(limited, call, argument, limit_s, pure=False)
        except (OSError, RuntimeError) as error:
            raise lost(error) from error

    def result_of(
        self, future: "Future[Result | CytostreamError]"
    ) -> Result | CytostreamError | Killed:
        """The outcome; KILLED where workers died of it, or died with it: a result stays on its
        worker until it is fetched.

        Raises:
            ClusterLostError: the cluster lost the task, or its workers lack this package.
        """
        try:
            result: Result | CytostreamError = future.result()
        except KilledWorker:
            return KILLED
        except Exception as error:  # whatever a cluster of others may raise
            raise lost(error) from error
        if self.mounts and isinstance(result, CytostreamError):
            return error_here(result, self.mounts)
        return result

    def wait_for_one(self) -> None:
        """Until there is a worker again.

        Raises:
            ClusterLostError: none comes back.
        """
        try:
            self.client.wait_for_workers(1, timeout=RESTART_S)
        except TimeoutError as error:
            raise ClusterLostError(
                f"no worker has come back for {RESTART_S} s", "the same command goes on"
            ) from error
        except (OSError, RuntimeError) as error:
            raise lost(error) from error

    def one_by_one(
        self, function: Callable[[Item], Result], suspects: list[Item], limit_s: float
    ) -> Iterator[tuple[Item, Result | CytostreamError]]:
        """One at a time: only the item that ended its worker is to blame, not those that
        waited beside it. One that has taken its time is not tried again.
        """
        for item in suspects:
            for _ in range(TRIES):
                self.wait_for_one()
                start_s = monotonic()
                outcome = self.result_of(self.begun(function, item, limit_s))
                if not isinstance(outcome, Killed) or monotonic() - start_s >= limit_s:
                    break
            yield item, ended_error(limit_s) if isinstance(outcome, Killed) else outcome


@contextmanager
def loss_told() -> Iterator[None]:
    """What a client raises that finds no scheduler, which differs by the time, as one error.

    Raises:
        ClusterLostError: the scheduler has gone.
    """
    try:
        yield
    except CytostreamError:
        raise
    except Exception as error:
        raise lost(error) from error


def lost(error: Exception) -> ClusterLostError:
    """What is said where the cluster itself fails: the scheduler has gone, or a task was lost."""
    what = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, AttributeError):  # of a client that has given up
        what = "the connection to the scheduler is lost"
    return ClusterLostError(
        f"the Dask cluster failed: {what}",
        "start it again, with this version of cytostream everywhere; the same command goes on",
    )


def first(items: Iterator[Item], n: int) -> list[Item]:
    return [item for _, item in zip(range(n), items, strict=False)]
