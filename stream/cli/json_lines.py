"""JSON lines for programs: to a file, to stdout (-), or nowhere."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ingest import CytostreamError


@contextmanager
def json_lines(path: Path | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that writes one object a line.

    Raises:
        CytostreamError: the file cannot be written.
    """
    if path is None or str(path) == "-":
        yield (lambda row: print(json.dumps(row), file=sys.stdout)) if path else (lambda row: None)
        return
    try:
        with path.open("w") as file:
            yield lambda row: print(json.dumps(row), file=file)
    except OSError as error:
        raise CytostreamError(f"{path}: {error.strerror}", "choose another --json file") from error
