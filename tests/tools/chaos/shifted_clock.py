"""The command `cytostream` with a wall clock that is ahead by as many seconds as a file says at the
time, or behind; the monotonic clock is as it is.

    python -m tests.tools.chaos.shifted_clock FILE COMMAND ...
"""

import runpy
import sys
import time
from pathlib import Path

real_time = time.time


def main() -> None:
    shift = Path(sys.argv[1])

    def shifted_time() -> float:
        return real_time() + float(shift.read_text() or 0)

    time.time = shifted_time
    sys.argv = ["cytostream", *sys.argv[2:]]
    runpy.run_module("stream.cli", run_name="__main__")


if __name__ == "__main__":
    main()
