"""Workers that read and segment: Dask, here or on a cluster, behind two functions. In-flight work
is bounded.

Whoever may connect to a Dask scheduler runs code on it. The processes here use TLS with a
certificate that is made at the start and never leaves their memory; a cluster of others is used
over TLS, or on explicit request without.
"""

import faulthandler
import logging
import resource
import signal
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

import dask
from distributed import Client, Future, KilledWorker, LocalCluster
from distributed.security import Security

from .errors import CytostreamError, SlideError


class Killed:
    """The worker died of the item, or with it."""


KILLED = Killed()
RESTART_S = 60
WORKER_S = 30
POLL_S = 0.01  # that `each` waits for the next result before it says that there is none yet
MEMORY_BYTES = (
    4 << 30
)  # of address space that a worker may take beyond what it has when the first item comes
STATM = Path("/proc/self/statm")
# tasks in flight are few, and short: an adaptive cluster would not grow for them by its own measure
TARGET_S = "500ms"
_T = TypeVar("_T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Scheduler:
    """A Dask cluster of others: `address` as tls://host:8786, and PEM files of the authority, of
    the own certificate and its key (where none is given, those of Dask's own configuration).
    `insecure` permits tcp://, where anyone who reaches the port runs code on the cluster and here.
    """

    address: str
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False


class Workers(Protocol):
    @property
    def count(self) -> int:
        """Items that are worked on at a time."""

    def call(self, function: Callable[[_T], R], item: _T, limit_s: float) -> R:
        """`function(item)`, once, on a worker.

        Raises:
            CytostreamError: it failed, or ended the worker, or took longer than `limit_s`.
        """

    def everywhere(self, function: Callable[[_T], R], item: _T) -> dict[str, R | BaseException]:
        """`function(item)` on every worker of other machines, by its address, or what it raised.
        Empty where all workers are processes of this machine.
        """

    def each(
        self, function: Callable[[_T], R], items: Iterable[_T], limit_s: float
    ) -> Iterator[tuple[_T, R | CytostreamError] | None]:
        """`function(item)` of every item as they finish, a few in flight; `None`, every 10 ms,
        while the next one is awaited.

        A `CytostreamError`, or the death of the worker, is the item's outcome. A call that takes
        longer than `limit_s` ends its worker process, since a hung decoder cannot be asked to stop.
        """


class SerialWorkers:
    """This process, one item at a time: for a single field of view, and the fake beside Dask."""

    count = 1

    def everywhere(self, function: Callable[[_T], R], item: _T) -> dict[str, R | BaseException]:
        return {}

    def call(self, function: Callable[[_T], R], item: _T, limit_s: float) -> R:
        return only(self.each(function, [item], limit_s))

    def each(
        self, function: Callable[[_T], R], items: Iterable[_T], limit_s: float
    ) -> Iterator[tuple[_T, R | CytostreamError] | None]:
        for item in items:
            yield item, outcome_of(function, item)
            yield None


class DaskWorkers:
    """A Dask cluster: tasks are few (a tile each), results come back as they finish.

    The function travels with every task, and should be small: scattered data or a shared task would
    be lost with a worker that dies, and take its neighbours along.
    """

    def __init__(self, client: Client, of_others: bool = False):
        self.client = client
        self.of_others = of_others

    @property
    def count(self) -> int:
        """Workers there are now: an adaptive cluster has more while tasks wait."""
        return max(1, len(self.client.scheduler_info(n_workers=-1)["workers"]))

    def everywhere(self, function: Callable[[_T], R], item: _T) -> dict[str, R | BaseException]:
        if not self.of_others:
            return {}
        found: dict[str, R | BaseException] = self.client.run(function, item, on_error="return")
        return found

    def call(self, function: Callable[[_T], R], item: _T, limit_s: float) -> R:
        return only(self.one_by_one(function, [item], limit_s))

    def each(
        self, function: Callable[[_T], R], items: Iterable[_T], limit_s: float
    ) -> Iterator[tuple[_T, R | CytostreamError] | None]:
        todo = iter(items)
        suspects: list[_T] = []
        alive: dict[Future[R | CytostreamError], _T] = {}
        ended: SimpleQueue[Future[R | CytostreamError]] = SimpleQueue()

        def start(item: _T) -> None:
            future = self.client.submit(limited, function, item, limit_s, pure=False)
            alive[future] = item
            future.add_done_callback(ended.put)

        for item in first(todo, 3 * self.count):
            start(item)
        while alive:
            try:
                future = ended.get(timeout=POLL_S)
            except Empty:
                yield None
                continue
            item = alive.pop(future)
            outcome = result_of(future)
            for following in first(todo, 3 * self.count - len(alive)):
                start(following)
            future.release()
            if isinstance(outcome, Killed):
                suspects.append(item)
            else:
                yield item, outcome
        yield from self.one_by_one(function, suspects, limit_s)

    def wait_for_one(self) -> None:
        """Until there is a worker again.

        Raises:
            CytostreamError: none comes back.
        """
        try:
            self.client.wait_for_workers(1, timeout=RESTART_S)
        except TimeoutError as error:
            raise CytostreamError(
                f"no worker has come back for {RESTART_S} s", "the same command goes on"
            ) from error

    def one_by_one(
        self, function: Callable[[_T], R], suspects: list[_T], limit_s: float
    ) -> Iterator[tuple[_T, R | CytostreamError]]:
        """One at a time: only the item that ended its worker is to blame, not those that
        waited beside it.
        """
        for item in suspects:
            self.wait_for_one()
            outcome = result_of(self.client.submit(limited, function, item, limit_s, pure=False))
            if isinstance(outcome, Killed):
                outcome = CytostreamError(
                    f"reading it ended the worker, or took over {limit_s:.0f} s",
                    "scan the slide again",
                )
            yield item, outcome


def result_of(future: "Future[R | CytostreamError]") -> R | CytostreamError | Killed:
    """The outcome; KILLED where workers died of it, or died with it: a result stays on its worker
    until it is fetched.

    Raises:
        CytostreamError: the cluster lost the task, or its workers lack this package.
    """
    try:
        result: R | CytostreamError = future.result()
        return result
    except KilledWorker:
        return KILLED
    except Exception as error:  # whatever a cluster of others may raise
        raise CytostreamError(
            f"the Dask cluster failed: {error}", "do its workers have this version of cytostream?"
        ) from error


def only(outcomes: Iterator[tuple[_T, R | CytostreamError] | None]) -> R:
    ((_, outcome),) = filter(None, outcomes)
    if isinstance(outcome, CytostreamError):
        raise outcome
    return outcome


def first(items: Iterator[_T], n: int) -> list[_T]:
    return [item for _, item in zip(range(n), items, strict=False)]


def outcome_of(function: Callable[[_T], R], item: _T) -> R | CytostreamError:
    """What `function` returns, or what stopped it: a fault that shows on one item must not
    stop the others.
    """
    try:
        return function(item)
    except CytostreamError as error:
        return error
    except MemoryError:
        hint = "convert it to a pyramidal TIFF of tiles of 512 px"
        return SlideError("reading it takes more memory than a worker may have", hint)
    except Exception as error:  # the last stop before a worker's edge; the text names the fault
        return CytostreamError(
            f"unexpected {type(error).__name__}: {error}", "report it, with this slide if you may"
        )


def limited(function: Callable[[_T], R], item: _T, limit_s: float) -> R | CytostreamError:
    """Run under a watchdog in C, which works where a decoder holds the interpreter's lock: past the
    limit the process ends.

    Address space is limited too, so that a small file that unpacks to a large image costs itself
    and not the machine.
    """
    limit_memory()
    with open("/dev/null", "w") as nowhere:  # noqa: PTH123
        faulthandler.dump_traceback_later(limit_s, exit=True, file=nowhere)
        try:
            return outcome_of(function, item)
        finally:
            faulthandler.cancel_dump_traceback_later()


def limit_memory() -> None:
    """Once a process, where the system says how much it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY and STATM.exists():
        now = int(STATM.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_BYTES, hard))


@contextmanager
def open_workers(
    count: int = 2, scheduler: Scheduler | None = None, most: int = 0, dashboard: str = ""
) -> Iterator[Workers]:
    """A local cluster of `count` processes of one thread, or the cluster of `scheduler`; 0 is this
    process.

    Where `most` is above `count`, workers are added up to that while tasks wait, and end when none
    do. `dashboard` is the host and port of Dask's pages; none without it.

    Raises:
        CytostreamError: no scheduler answers there, or not over TLS, or the pages need a package.
    """
    if count == 0:
        yield SerialWorkers()
        return
    settings: dict[str, object] = {
        "distributed.scheduler.allowed-failures": 1,
        "distributed.adaptive.target-duration": TARGET_S,
        "distributed.admin.large-graph-warning-threshold": "1GB",
        "distributed.worker.http.routes": [],
        # else one that dies again while it is restarted is given up
        "distributed.deploy.lost-worker-timeout": "365 days",
    }
    if not dashboard:
        settings["distributed.scheduler.http.routes"] = []
    with dask.config.set(settings):
        if scheduler:
            with connect(scheduler) as client:
                check_workers(client)
                yield DaskWorkers(client, of_others=True)
        else:
            with ExitStack() as stack:
                with interrupts_later():
                    cluster = stack.enter_context(
                        LocalCluster(
                            n_workers=count,
                            threads_per_worker=1,
                            silence_logs=logging.CRITICAL,
                            security=Security.temporary(),
                            dashboard_address=dashboard_address(dashboard),
                            scheduler_kwargs={"dashboard": bool(dashboard)},
                        )
                    )
                if most > count:
                    cluster.adapt(minimum=count, maximum=most, interval="500ms")
                yield DaskWorkers(stack.enter_context(Client(cluster, set_as_default=False)))


@contextmanager
def interrupts_later() -> Iterator[None]:
    """Ctrl-C, which a terminal sends to all processes, waits until the end of the block. Those that
    are started inside never hear it: the one that started them ends them in order.

    Raises:
        KeyboardInterrupt: at the end, if it came meanwhile.
    """
    came: list[int] = []
    resource_tracker.ensure_running()  # else the start of a process does it, and unblocks Ctrl-C
    before = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def dashboard_address(dashboard: str) -> str:
    """Where Dask serves its pages; any free port where nobody has asked for them.

    Raises:
        CytostreamError: they need a package that is not there.
    """
    if dashboard and find_spec("bokeh") is None:
        raise CytostreamError(
            "Dask's dashboard needs bokeh",
            "pip install -e '.[dashboard]', or empty reading.dashboard",
        )
    return dashboard or "127.0.0.1:0"


def check_workers(client: Client) -> None:
    """Waits for the first worker: a cluster that adapts may have none while there is nothing to do.

    Raises:
        CytostreamError: none comes, or one has several threads: the time limit of a tile ends a
        process.
    """
    asked = client.submit(len, (), pure=False)  # so that a cluster that adapts starts one
    try:
        client.wait_for_workers(1, timeout=WORKER_S)
    except TimeoutError as error:
        raise CytostreamError(
            "the cluster has no worker", "start one: `dask worker --nthreads 1`"
        ) from error
    finally:
        asked.cancel()
    versions = client.run(own_version, on_error="return")
    other = sorted(address for address, version in versions.items() if version != own_version())
    if other:
        what = f"workers {', '.join(other[:3])} have no cytostream {own_version()}"
        raise CytostreamError(what, "install the same version there, with the same extras")
    if any(
        worker["nthreads"] != 1
        for worker in client.scheduler_info(n_workers=-1)["workers"].values()
    ):
        raise CytostreamError(
            "the cluster's workers must have one thread each",
            "start them with `dask worker --nthreads 1`",
        )


def own_version() -> str:
    return version("cytostream")


def connect(scheduler: Scheduler) -> Client:
    """A client of a cluster of others.

    Raises:
        CytostreamError: nothing answers there, or only without TLS, and that was not permitted.
    """
    security = security_of(scheduler)
    try:
        return Client(scheduler.address, timeout=10, set_as_default=False, security=security)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        hint = (
            "start one with `dask scheduler`, with the same certificates, or leave out --scheduler"
        )
        raise CytostreamError(f"no Dask scheduler at {scheduler.address}: {error}", hint) from error


def security_of(scheduler: Scheduler) -> Security:
    """What the client shows and asks for.

    Raises:
        CytostreamError: the address is without TLS and that was not permitted, or certificates are
        missing.
    """
    if not scheduler.address.startswith("tls://"):
        if scheduler.insecure:
            return Security()
        raise CytostreamError(
            f"{scheduler.address}: without TLS, anyone who reaches it runs code on the workers "
            "and here",
            "give tls://HOST:PORT with reading.scheduler_ca, _certificate and _key, or "
            "--insecure-scheduler",
        )
    files = {
        "tls_ca_file": scheduler.authority,
        "tls_client_cert": scheduler.certificate,
        "tls_client_key": scheduler.key,
    }
    try:
        security = Security(
            require_encryption=True, **{name: str(path) for name, path in files.items() if path}
        )
        security.get_connection_args("client")
    except (OSError, ssl.SSLError) as error:
        what = f"the certificates of the scheduler cannot be read: {error}"
        raise CytostreamError(what, "check reading.scheduler_ca, _certificate and _key") from error
    if not all(getattr(security, name) for name in ("tls_ca_file", "tls_client_cert")):
        hint = (
            "set reading.scheduler_ca, reading.scheduler_certificate and reading.scheduler_key "
            "in the config"
        )
        raise CytostreamError(f"{scheduler.address}: TLS needs certificates", hint)
    return security
