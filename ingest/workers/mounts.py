"""Paths of this machine as workers of other machines see them: a share may be mounted elsewhere
there.
"""

import pickle
import re
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from ingest.errors import CytostreamError

# a folder here, and the same folder there
Mounts = tuple[tuple[Path, Path], ...]
Work = TypeVar("Work")


class _Packer(pickle.Pickler):
    """Writes each path below a folder of `mounts` as it is there."""

    def __init__(self, file: BytesIO, mounts: Mounts) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._mounts = mounts

    def reducer_override(self, value: Work) -> tuple[type[Path], tuple[str]]:
        usual: tuple[type[Path], tuple[str]] = NotImplemented
        if isinstance(value, Path):
            return Path, (str(path_there(value, self._mounts)),)
        return usual


def as_there(value: Work, mounts: Mounts) -> Work:
    """A copy of what a worker is given, with the paths in it as they are there."""
    file = BytesIO()
    _Packer(file, mounts).dump(value)
    copied: Work = pickle.loads(file.getvalue())  # noqa: S301  # written in the line before
    return copied


def path_there(path: Path, mounts: Mounts) -> Path:
    """The path on a worker, by the longest folder that it lies in; the same where there is none."""
    for here, there in sorted(mounts, key=lambda pair: -len(pair[0].parts)):
        if path.is_relative_to(here):
            return there / path.relative_to(here)
    return path


def error_here(error: CytostreamError, mounts: Mounts) -> CytostreamError:
    """The error of a worker, with paths in its text as they are here, by the longest folder
    that each lies in.
    """
    kind, (what, *more) = error.__reduce__()
    here_of = {str(there): str(here) for here, there in reversed(mounts)}
    folders = "|".join(re.escape(there) for there in sorted(here_of, key=len, reverse=True))
    # whole folders from the root on: not /mnt/a in /srv/mnt/a, nor in /mnt/a-old
    named = re.sub(rf"(?<![\w.-])({folders})(?![\w.-])", lambda found: here_of[found[1]], str(what))
    told: CytostreamError = kind(named, *more)
    return told
