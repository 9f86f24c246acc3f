"""Opens the workers: a Dask cluster of this machine, or one of others.

Whoever may connect to a Dask scheduler runs code on it. The processes here use TLS with a
certificate that is made at the start and never leaves their memory; a cluster of others is used
over TLS, or on explicit request without.
"""

import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import resource_tracker
from typing import Protocol

import dask
import distributed.utils
from distributed import Client, LocalCluster
from distributed.security import Security

from ingest.errors import CytostreamError

from .dask_workers import DaskWorkers
from .scheduler import Scheduler, connect
from .workers import SerialWorkers, Workers

WORKER_S = 30


class BlamesTasks(Protocol):
    """What is set of a scheduler: how many workers a task may end before it is given up."""

    allowed_failures: int


# tasks in flight are few, and short: an adaptive cluster would not grow for them by its own measure
TARGET_S = "500ms"


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
        "distributed.scheduler.allowed-failures": 0,  # DaskWorkers tries again, and knows the limit
        "distributed.adaptive.target-duration": TARGET_S,
        "distributed.admin.large-graph-warning-threshold": "1GB",
        "distributed.worker.http.routes": [],
        # forked from a process that has loaded what a worker needs, where one has been begun
        "distributed.worker.multiprocessing-method": "forkserver",
        # without Dask's threshold of malloc, which costs as much time again for page faults
        "distributed.nanny.pre-spawn-environ": {
            "MKL_NUM_THREADS": 1,
            "OMP_NUM_THREADS": 1,
            "OPENBLAS_NUM_THREADS": 1,
        },
        # nobody looks at these: they look every 10 and 20 ms, in every process
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "500ms",
        # else one that dies again while it is restarted is given up
        "distributed.deploy.lost-worker-timeout": "365 days",
    }
    if not dashboard:
        settings["distributed.scheduler.http.routes"] = []
    # Dask would load pandas here and in every worker, if it is installed: what workers are forked
    # from loads is chosen by the one who begins it
    distributed.utils._forkserver_preload_set = True
    with dask.config.set(settings):
        if scheduler:
            with connect(scheduler) as client:
                check_workers(client)
                blame_first_death(client)
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


def blame_first_death(client: Client) -> None:
    """A task that ends its worker is not given to another: the settings of this process, which say
    the same to a scheduler of its own, do not reach one of others.

    Raises:
        CytostreamError: the scheduler's process has no cytostream.
    """
    try:
        client.run_on_scheduler(allow_no_failures)
    except ImportError as error:
        raise CytostreamError(
            f"the scheduler has no cytostream {own_version()}", "install the same version there"
        ) from error


def allow_no_failures(dask_scheduler: BlamesTasks) -> None:
    """Runs on the scheduler."""
    dask_scheduler.allowed_failures = 0


def own_version() -> str:
    return version("cytostream")
