"""A call in a process of its own: for what may hang or crash, where no worker of this machine is at
hand.
"""

import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, resource_tracker

from ingest.errors import CytostreamError

from .limits import Item, Result, ended_error, limited


def call_in_own_process(function: Callable[[Item], Result], item: Item, limit_s: float) -> Result:
    """`function(item)` in a new process, which ends after `limit_s`, or with the call.

    Raises:
        CytostreamError: it failed, or ended the process, or took longer.
    """
    resource_tracker.ensure_running()  # else the start of a process does it, and unblocks Ctrl-C
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        # a terminal sends Ctrl-C to all processes: this one ends the new one in order
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            future = pool.submit(limited, function, item, limit_s)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        outcome: Result | CytostreamError
        try:
            outcome = future.result()
        except BrokenProcessPool:
            outcome = ended_error(limit_s)
    if isinstance(outcome, CytostreamError):
        raise outcome
    return outcome
