"""Paths of this machine as workers of other machines see them: a share may be mounted elsewhere
there.
"""

import pickle
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
    """The error of a worker, with the paths in its text as they are here."""
    kind, (what, *more) = error.__reduce__()
    for here, there in mounts:
        what = str(what).replace(f"{there}/", f"{here}/")
    named: CytostreamError = kind(what, *more)
    return named
