"""Slides in a folder that a scanner writes to: when they are whole.

The folder is looked at again and again, since network shares send no notice of changes. A file is
whole when its size and times stand still over some looks, or when the scanner's marker is beside
it; a digest of half a file would be a valid wrong one.
"""

from dataclasses import dataclass
from pathlib import Path

from .folder_look import FolderLook, ScannerConventions, SlideFiles, look_at_folder

PATIENCE = 5  # times as many looks for a slide that is empty, or lacks a part


@dataclass(frozen=True, slots=True)
class SlideArrival:
    """A slide that is whole now; `was` is the path under which it had arrived before, where it was
    renamed since.
    """

    found: SlideFiles
    was: Path | None = None


@dataclass(slots=True)
class _SlideState:
    """What a slide looked like: sizes and times of its files (None for one that is missing), over
    how many looks that stood still, and whether it has arrived.
    """

    sizes: tuple[tuple[int, int] | None, ...]
    changed_ns: tuple[int, ...]
    still: int = 0
    arrived: bool = False

    @property
    def is_complete(self) -> bool:
        return all(facts and facts[0] for facts in self.sizes[:1]) and None not in self.sizes


class Watcher:
    """Looks at a folder; a slide arrives once, and again when it has changed.

    After a look, `unseen`, `refused` and `side_pictures` are what `FolderLook` says. What lies
    where the look could not see is taken to be as it was.
    """

    def __init__(self, folder: Path, conventions: ScannerConventions | None = None):
        self.folder = folder
        self.conventions = conventions or ScannerConventions()
        self.last = FolderLook()
        self._states: dict[Path, _SlideState] = {}

    def look(self) -> list[SlideArrival]:
        """The slides that have arrived since the last look, or have been renamed."""
        self.last = look_at_folder(self.folder, self.conventions)
        before = self._states
        now = {slide: state for slide in self.last.slides if (state := self._state_of(slide))}
        self._states = {slide.path: state for slide, state in now.items()}
        gone = {path: state for path, state in before.items() if path not in self._states}
        hidden = {path for path in gone if self._is_hidden(path)}
        self._states |= {path: gone.pop(path) for path in hidden}
        return [
            arrival
            for slide, state in now.items()
            if (arrival := self._arrival(slide, state, before, gone))
        ]

    def growing(self) -> int:
        """How many slides are there that have not arrived."""
        return sum(not state.arrived for state in self._states.values())

    def forget(self, path: Path) -> None:
        """If this slide is there at the next look, it arrives anew."""
        self._states.pop(path, None)

    def _is_hidden(self, path: Path) -> bool:
        """Whether the last look could not have seen it: a share that is not mounted is an empty
        folder.
        """
        unseen = self.last.unseen
        return not self.last.slides or any(folder in unseen for folder in (path, *path.parents))

    def _state_of(self, slide: SlideFiles) -> _SlideState | None:
        sizes: list[tuple[int, int] | None] = []
        changed_ns = []
        for part in slide.parts:
            try:
                facts = part.lstat()
            except FileNotFoundError:
                sizes.append(None)
            except OSError as error:
                self.last.unseen[slide.path] = error.strerror or str(error)
                return None
            else:
                sizes.append((facts.st_size, facts.st_mtime_ns))
                changed_ns.append(facts.st_ctime_ns)
        return _SlideState(tuple(sizes), tuple(changed_ns)) if sizes[0] else None

    def _arrival(
        self,
        slide: SlideFiles,
        state: _SlideState,
        before: dict[Path, _SlideState],
        gone: dict[Path, _SlideState],
    ) -> SlideArrival | None:
        known = before.get(slide.path)
        if known and (known.sizes, known.changed_ns) == (state.sizes, state.changed_ns):
            state.still = known.still + 1
            state.arrived = known.arrived
        elif known is None and (was := _renamed(state, gone)):
            state.arrived = gone.pop(was).arrived
            return SlideArrival(slide, was)
        if state.arrived or not self._is_whole(slide, state):
            return None
        state.arrived = True
        return SlideArrival(slide)

    def _is_whole(self, slide: SlideFiles, state: _SlideState) -> bool:
        wanted = self.conventions.still_looks * (1 if state.is_complete else PATIENCE)
        if state.is_complete and any(
            path.exists() for path in markers(slide, self.conventions.marker)
        ):
            return True
        return not self.conventions.need_marker and state.still >= wanted


def _renamed(state: _SlideState, gone: dict[Path, _SlideState]) -> Path | None:
    """The path of a slide that has arrived and gone since, and had the same sizes and times of
    writing.
    """
    same = (
        path
        for path, old in gone.items()
        if old.arrived and sorted_sizes(old) == sorted_sizes(state)
    )
    return next(same, None)


def sorted_sizes(state: _SlideState) -> list[tuple[int, int]]:
    return sorted(facts for facts in state.sizes if facts)


def markers(found: SlideFiles, ending: str) -> list[Path]:
    """Where a scanner may say that a slide is whole: slide.svs.done, slide.done, or .done in a
    folder of the slide's own.
    """
    path = found.path
    beside = [path.with_name(path.name + ending), path.with_suffix(ending)]
    return [*beside, path.parent / ending] if len(found.parts) > 1 or found.set_id else beside
