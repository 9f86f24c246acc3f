"""The facts of a slide, read by a worker: what hangs a decoder costs a limit of time and not this
process.
"""

from functools import partial
from pathlib import Path

from ingest.slide import Slide, open_slide, read_facts

from .workers import Workers


def open_slide_on(
    workers: Workers, path: Path, mpp: float | None, override: float | None, limit_s: float
) -> Slide:
    """`open_slide`, with decoders on a worker of this machine, `limit_s` at most.

    Raises:
        SlideError: as `open_slide` does.
        CytostreamError: it ended the worker, or took too long.
    """
    return open_slide(path, mpp, override, partial(workers.call_here, read_facts, limit_s=limit_s))
