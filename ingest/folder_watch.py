"""Slides in a folder that a scanner writes to: what is there, what belongs together, and when it is
whole.

It looks again and again instead of waiting for the kernel's word, which network shares do not give.
A file is whole when its size and times stand still over some looks, or when the scanner's marker is
beside it; a digest of half a file would be a valid wrong one.
"""

import fnmatch
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SLIDES = {
    ".svs",
    ".ndpi",
    ".mrxs",
    ".scn",
    ".bif",
    ".tif",
    ".tiff",
    ".vms",
    ".vmu",
    ".svslide",
    ".dcm",
    ".png",
    ".jpg",
    ".jpeg",
}
IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}


@dataclass(frozen=True, slots=True)
class Habits:
    """Of a scanner: over how many looks a file must not change, its marker, names on the way, where
    fields of view go.
    """

    still_looks: int = 2
    marker: str = ".done"
    need_marker: bool = False
    ignore: tuple[str, ...] = (".*", "~*", "*.tmp", "*.part")
    fields: tuple[str, ...] = ("*.fields",)
    leave: tuple[str, ...] = ("quarantine",)


@dataclass(frozen=True, slots=True)
class Found:
    """A slide in a folder: the file to open, and all files of it. `set_id` is shared by fields of
    view of one folder.
    """

    path: Path
    parts: tuple[Path, ...]
    set_id: str | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """A slide that is whole now; `was` is the path under which it had arrived before, where it was
    renamed since.
    """

    found: Found
    was: Path | None = None


def slides_in(folder: Path, habits: Habits | None = None) -> Iterator[Found]:
    """The slides of a folder and of those below it, by name; what a scanner is still naming is left
    out.

    A MRXS slide has its data in a folder of the same name; the files of a DICOM folder are one
    series, and its largest is opened.
    """
    habits = habits or Habits()
    names = sorted(entry for entry in listed(folder) if not fits(entry.name, habits.ignore))
    files = [path for path in names if path.is_file() and path.suffix.lower() in SLIDES]
    if fits(folder.name, habits.fields):
        yield from (
            Found(path, (path,), set_id(folder)) for path in files if path.suffix.lower() in IMAGES
        )
        return
    if series := tuple(path for path in files if path.suffix.lower() == ".dcm"):
        yield Found(max(series, key=size_of), series)
    data = {path.with_suffix("") for path in files if path.suffix.lower() == ".mrxs"}
    for path in files:
        if path.suffix.lower() == ".mrxs":
            yield Found(path, (path, *sorted(listed(path.with_suffix("")))))
        elif path not in series:
            yield Found(path, (path,))
    for path in names:
        if path.is_dir() and path not in data and path.name not in habits.leave:
            yield from slides_in(path, habits)


def listed(folder: Path) -> list[Path]:
    """Its entries; none where it is gone, or not to be read."""
    try:
        return [Path(entry.path) for entry in os.scandir(folder)]
    except OSError:
        return []


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def set_id(folder: Path) -> str:
    """A digest of the folder's path: its name may be a patient's."""
    return hashlib.blake2b(str(folder.absolute()).encode(), digest_size=10).hexdigest()


@dataclass(slots=True)
class _Look:
    """What a slide looked like: sizes and times of its files, over how many looks, and the path as
    which it has arrived.
    """

    state: tuple[object, ...]
    changed_ns: tuple[int, ...]
    still: int = 0
    arrived: Path | None = None


class Watcher:
    """Looks at a folder; a slide arrives once, whatever it is called in the meantime."""

    def __init__(self, folder: Path, habits: Habits | None = None):
        self.folder, self.habits = folder, habits or Habits()
        self._looks: dict[tuple[int, int], _Look] = {}

    def look(self) -> Iterator[Arrived]:
        """The slides that have arrived since the last look, or have been renamed."""
        before, self._looks = self._looks, {}
        for found in slides_in(self.folder, self.habits):
            try:
                stats = [path.stat() for path in found.parts]
                first = found.path.stat()
            except OSError:
                continue  # renamed or removed under our eyes
            key = (first.st_dev, first.st_ino)
            look = _Look(
                tuple((s.st_size, s.st_mtime_ns) for s in stats),
                tuple(s.st_ctime_ns for s in stats),
            )
            if (known := before.get(key)) and known.state == look.state:
                look.arrived = known.arrived
                look.still = known.still + 1 if known.changed_ns == look.changed_ns else 0
            self._looks[key] = look
            if look.arrived and look.arrived != found.path:
                yield Arrived(found, look.arrived)
                look.arrived = found.path
            elif not look.arrived and self._is_whole(found, look):
                look.arrived = found.path
                yield Arrived(found)

    def growing(self) -> int:
        """How many slides are there that have not arrived."""
        return sum(not look.arrived for look in self._looks.values())

    def _is_whole(self, found: Found, look: _Look) -> bool:
        if not size_of(found.path):
            return False
        if any(path.exists() for path in markers(found, self.habits.marker)):
            return True
        return not self.habits.need_marker and look.still >= self.habits.still_looks


def markers(found: Found, ending: str) -> list[Path]:
    """Where a scanner may say that a slide is whole: slide.svs.done, slide.done, or .done in a
    folder of the slide's own.
    """
    path = found.path
    beside = [path.with_name(path.name + ending), path.with_suffix(ending)]
    return [*beside, path.parent / ending] if len(found.parts) > 1 or found.set_id else beside
