"""One item on a worker: what came of it, within limits of time and memory."""

import faulthandler
import resource
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ingest.errors import CytostreamError, SlideError

# of address space that a worker may take beyond what it has when the first item comes
MEMORY_BYTES = 4 << 30
STATM = Path("/proc/self/statm")
Item = TypeVar("Item")
Result = TypeVar("Result")


def outcome_of(function: Callable[[Item], Result], item: Item) -> Result | CytostreamError:
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


def limited(
    function: Callable[[Item], Result], item: Item, limit_s: float
) -> Result | CytostreamError:
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


def ended_error(limit_s: float) -> CytostreamError:
    """What is said of an item that ended its process."""
    return CytostreamError(
        f"reading it ended the worker, or took over {limit_s:.0f} s", "scan the slide again"
    )
