"""Whether the file of a slide is the one that was read: pixels of another slide are never shown
beside its cells.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Literal

from ingest import CytostreamError, Slide, Workers, content_id, file_state, files_of

_KEPT = 256
FileStanding = Literal["there", "gone", "changed"]


@dataclass(frozen=True, slots=True)
class CheckedSlide:
    """A slide as it can be shown: `slide` is None where its file is gone or has changed."""

    standing: FileStanding
    slide: Slide | None = None


class SlideCheck:
    """Holds files against the slides that were read. Threads may share it.

    A file whose sizes and times are as they were is believed; any other is read in whole, once for
    each state that it is in.
    """

    def __init__(self, workers: Workers, limit_s: float):
        self._workers = workers
        self._limit_s = limit_s
        self._known: OrderedDict[tuple[Path, str], str] = OrderedDict()
        self._lock = Lock()

    def find(self, slide: Slide, names: Sequence[Path] = ()) -> CheckedSlide:
        """The slide where it was read, or under another of its names."""
        standing: FileStanding = "gone"
        for path in dict.fromkeys((slide.path, *names)):
            try:
                state = file_state(files_of(path))
            except OSError:
                continue
            same_state = path == slide.path and state == slide.file_state
            if same_state or self._content(path, state) == slide.slide_id.partition("-")[0]:
                return CheckedSlide("there", replace(slide, path=path, file_state=state))
            standing = "changed"
        return CheckedSlide(standing)

    def _content(self, path: Path, state: str) -> str:
        """The content id of the file at a path; empty where it cannot be read."""
        key = path, state
        with self._lock:
            if key in self._known:
                return self._known[key]
        try:
            content = self._workers.call(content_of, path, self._limit_s)
        except CytostreamError:
            return ""
        with self._lock:
            self._known[key] = content
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return content


def content_of(path: Path) -> str:
    """The content id of the slide at a path, or nothing.

    Raises:
        OSError: it cannot be read.
    """
    return content_id(files_of(path))
