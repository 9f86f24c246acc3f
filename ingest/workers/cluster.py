"""Opens the workers: a Dask cluster of this machine, or one of others.

Whoever may connect to a Dask scheduler runs code on it. The processes here use TLS with a
certificate that is made at the start and never leaves their memory; a cluster of others is used
over TLS, or on explicit request without.
"""

import logging
import signal
import sys
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
from distributed.utils import silence_logging_cmgr

from ingest.errors import CytostreamError

from .dask_workers import DaskWorkers, loss_told
from .scheduler import Scheduler, connect
from .workers import SerialWorkers, Workers

WORKER_S = 30
SAME_EVERYWHERE = "cytostream", "dask", "distributed", "numpy"
Versions = dict[str, str]


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
            # of a scheduler that goes it would tell in many lines what one error says
            with silence_logging_cmgr(logging.CRITICAL), connect(scheduler) as client:
                with loss_told():
                    check_workers(client)
                    blame_first_death(client)
                yield DaskWorkers(client, of_others=True, mounts=scheduler.mounts)
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
    check_versions(client)
    if any(
        worker["nthreads"] != 1
        for worker in client.scheduler_info(n_workers=-1)["workers"].values()
    ):
        raise CytostreamError(
            "the cluster's workers must have one thread each",
            "start them with `dask worker --nthreads 1`",
        )


def check_versions(client: Client) -> None:
    """That scheduler and workers run what this process runs: what is pickled here is read there.

    Raises:
        CytostreamError: one of them has no cytostream, or another version of something.
    """
    ours = own_versions()
    seen = {
        f"worker {at}": found for at, found in client.run(own_versions, on_error="return").items()
    }
    try:
        seen["the scheduler"] = client.run_on_scheduler(own_versions)
    except ImportError as error:
        seen["the scheduler"] = error
    differing = [
        f"{who} has {difference}"
        for who, found in sorted(seen.items())
        if (difference := difference_of(found, ours))
    ]
    if differing:
        what = "; ".join(differing[:3])
        what += f"; and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise CytostreamError(what, "install the same versions there, with the same extras")


def difference_of(found: Versions | BaseException, ours: Versions) -> str:
    """How versions differ from those here, as text; empty where they do not."""
    if isinstance(found, BaseException):
        return f"no cytostream {ours['cytostream']}"
    return ", ".join(
        f"{name} {found.get(name, 'none')} (here {version})"
        for name, version in ours.items()
        if found.get(name) != version
    )


def blame_first_death(client: Client) -> None:
    """A task that ends its worker is not given to another: the settings of this process, which say
    the same to a scheduler of its own, do not reach one of others.
    """
    client.run_on_scheduler(allow_no_failures)


def allow_no_failures(dask_scheduler: BlamesTasks) -> None:
    """Runs on the scheduler."""
    dask_scheduler.allowed_failures = 0


def own_versions() -> Versions:
    """Of what must be the same everywhere."""
    python = {"python": ".".join(map(str, sys.version_info[:2]))}
    return {name: version(name) for name in SAME_EVERYWHERE} | python
