"""The process that workers are forked from. It loads what they need once, while this one still
loads its own; the standard library is all that it takes to begin it.
"""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, get_context, resource_tracker

METHOD = "forkserver"
LOADED = ("distributed.nanny", "segment")
# read by libraries as they are loaded. Images of a tile stay in the heap: memory that goes back to
# the system after each (Dask's own setting) costs a worker as much time again, for page faults
ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": "67108864",
    "MALLOC_TRIM_THRESHOLD_": "134217728",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def begin_fork_server(words: Sequence[str]) -> None:
    """Begin it, unless the words of the command line ask for no workers; one that runs is kept.

    Ctrl-C, which a terminal sends to all processes, is blocked in it, and so in the workers: this
    process ends them in order.
    """
    if asks_for_none(words):
        return
    get_context(METHOD).set_forkserver_preload(list(LOADED))
    resource_tracker.ensure_running()  # else the start of a process does it, and unblocks Ctrl-C
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with environment(ENVIRONMENT):
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def asks_for_none(words: Sequence[str]) -> bool:
    """Whether a command line has `--workers 0`."""
    pairs = zip(words, words[1:], strict=False)
    return "--workers=0" in words or ("--workers", "0") in pairs


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables for processes started meanwhile; those that are set stay as they are."""
    absent = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(absent)
    try:
        yield
    finally:
        for name in absent:
            del os.environ[name]
