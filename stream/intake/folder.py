"""A watched folder: what arrives is queued, what is damaged is put into quarantine. It is looked at
in a thread of its own.
"""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from ingest import (
    IMAGES,
    WHOLE_SLIDES,
    CytostreamError,
    FolderLook,
    ScannerConventions,
    SlideArrival,
    SlideFiles,
    Watcher,
    markers,
    matches,
    mrxs_folder,
    slides_beside,
)
from stream.config import WatchSettings
from stream.store import STAT, Backlog, Job

from .quarantine import Quarantine

_log = logging.getLogger(__name__)
NAMED = 3  # pictures beside slides, in a message


class FolderIntake:
    """Takes in what arrives in a folder.

    `on_arrival` is called with each slide before it is queued, `on_message` with each line that a
    person should read. A fault of one slide is a message and never the end of the looking.
    """

    def __init__(
        self,
        folder: Path,
        store: Path,
        backlog: Backlog,
        rules: WatchSettings,
        on_message: Callable[[str], None],
        on_arrival: Callable[[SlideFiles], None] = lambda _: None,
        mpp: float | None = None,
        once: bool = False,
    ):
        """Makes the quarantine.

        Raises:
            CytostreamError: it cannot be made.
        """
        self.folder = folder.resolve()
        self.store = store.resolve()
        self.backlog = backlog
        self.rules = rules
        self.on_message = on_message
        self.on_arrival = on_arrival
        self.mpp = mpp
        self.once = once
        self.quarantine = Quarantine(self.folder, rules.quarantine) if rules.quarantine else None
        self.watcher = Watcher(self.folder, conventions_of(rules, self.store))
        self.arrived: dict[Path, SlideFiles] = {}
        self._known_trouble: dict[Path, str] = {}
        self._known_pictures: set[Path] = set()

    def look(self) -> None:
        """One look: what has arrived is queued."""
        for arrival in self.watcher.look():
            try:
                self.take(arrival)
            except (OSError, ValueError) as error:
                self.watcher.forget(arrival.found.path)
                self.on_message(f"{arrival.found.path.name}: cannot be queued now: {error}")
        self._report(self.watcher.last)
        self._drop_gone()

    def take(self, arrival: SlideArrival) -> None:
        slide = arrival.found
        self.arrived[slide.path] = slide
        if arrival.was:
            self.arrived.pop(arrival.was, None)
            if self.backlog.rename(arrival.was, slide.path):
                self.on_message(f"renamed: {arrival.was.name} is {slide.path.name} now")
                return
        self.on_arrival(slide)
        job = Job(slide.path, self.priority(slide.path), self.mpp, slide.set_id, root=self.folder)
        self.backlog.add([job])
        self.on_message(f"arrived: {slide.path.name}")

    def priority(self, path: Path) -> int:
        return STAT if matches(str(path.relative_to(self.folder)), self.rules.stat) else 0

    def _report(self, seen: FolderLook) -> None:
        """Says what cannot be seen, or is refused, once; and again once it can be seen."""
        refused = {
            path: f"{why} -> rename it; it is left out" for path, why in seen.refused.items()
        }
        unseen = {
            path: f"cannot be looked at: {why} -> permit it, or mount it again; it is tried again"
            for path, why in seen.unseen.items()
        }
        trouble = refused | unseen
        for path, what in trouble.items():
            if self._known_trouble.get(path) != what:
                self.on_message(f"{self._shown(path)}: {what}")
        for path in self._known_trouble.keys() - trouble.keys():
            self.on_message(f"{self._shown(path)}: can be looked at again, or is gone")
        self._known_trouble = trouble
        self._report_pictures(seen)

    def _report_pictures(self, seen: FolderLook) -> None:
        new = sorted(seen.side_pictures.keys() - self._known_pictures)
        self._known_pictures |= seen.side_pictures.keys()
        if new:
            names = ", ".join(path.name for path in new[:NAMED]) + (
                ", ..." if len(new) > NAMED else ""
            )
            self.on_message(f"{len(new)} pictures that belong to slides are left out: {names}")

    def _shown(self, path: Path) -> str:
        shown = path.relative_to(self.folder) if path != self.folder else path
        return os.fsencode(shown).decode("utf-8", "backslashreplace")

    def _drop_gone(self) -> None:
        """A slide that waits and is no longer there waits no longer; if it comes back, it arrives
        anew.
        """
        if self.watcher.last.unseen or not self.watcher.last.slides:
            return  # the share may be away
        for path in self.backlog.waiting_paths():
            if path.is_relative_to(self.folder) and is_gone(path):
                self.backlog.drop(path, "it is no longer there")
                self.watcher.forget(path)

    def is_empty(self) -> bool:
        """Whether nothing more is to be done, where the work is to end then."""
        if not self.once or self.watcher.growing():
            return False
        return all(is_gone(path) for path in self.backlog.waiting_paths())

    def put_aside(self, path: Path, what: str, hint: str) -> Path | None:
        """Moves a damaged slide into quarantine with all its files; where it is now, None where it
        stays.

        Only what this intake has found itself is moved, nothing that another slide needs, and no
        picture in a folder of whole slides, whose it may be.
        """
        slide = self.arrived.get(path)
        if slide is None or self.quarantine is None or self._must_stay(slide):
            return None
        try:
            place = self.quarantine.take(
                slide, names_of(slide, self.rules.marker), f"{what}\n-> {hint}\n"
            )
        except OSError as error:
            self.on_message(f"{self._shown(path)}: stays where it is: {error.strerror or error}")
            return None
        del self.arrived[path]
        self.watcher.forget(path)
        return place

    def _must_stay(self, slide: SlideFiles) -> bool:
        if slide.path.resolve().is_relative_to(self.store):
            return True
        others = slides_beside(slide)
        if any(set(other.parts) & set(slide.parts) for other in others):
            return True
        is_picture = slide.path.suffix.lower() in IMAGES
        return is_picture and any(other.path.suffix.lower() in WHOLE_SLIDES for other in others)

    def closed_folders(self) -> tuple[Path, ...]:
        """Folders of which nothing is ever taken in."""
        return (self.store, self.quarantine.path) if self.quarantine else (self.store,)

    def looking(self, stop: threading.Event) -> "LookingThread":
        return LookingThread(self, stop)


class LookingThread:
    """Looks again and again until `stop`, and sets it where all is done, or where it cannot go on;
    leaving it raises why.
    """

    def __init__(self, intake: FolderIntake, stop: threading.Event):
        self.intake = intake
        self.stop = stop
        self.trouble: CytostreamError | None = None
        self.thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def _run(self) -> None:
        try:
            while not self.stop.is_set():
                self._look()
                self.stop.wait(self.intake.rules.look_s)
        except CytostreamError as error:
            self.trouble = error
        except (
            BaseException
        ) as error:  # whatever it is: nobody looks any more, so the process must not live on
            _log.exception("the looking has ended")
            what = f"the folder is no longer looked at: {type(error).__name__}: {error}"
            self.trouble = CytostreamError(what, "start the same command again, and report it")
        finally:
            self.stop.set()

    def _look(self) -> None:
        try:
            self.intake.look()
            if self.intake.is_empty():
                self.stop.set()
        except OSError as error:
            self.intake.on_message(
                f"{self.intake.folder}: cannot be looked at now: {error.strerror or error}"
            )

    def __enter__(self) -> "LookingThread":
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop.set()
        self.thread.join()
        if self.trouble and kind is None:
            raise self.trouble


def is_gone(path: Path) -> bool:
    """Whether nothing is at a path, as opposed to that it cannot be seen."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def names_of(slide: SlideFiles, marker: str) -> list[str]:
    """What of a slide lies in its folder, itself last: a move that is cut short leaves the slide to
    be seen as incomplete.
    """
    folder = slide.path.parent
    parts = [part for part in slide.parts if part.parent == folder and part != slide.path]
    parts += [path for path in markers(slide, marker)[:2] if path.is_file() and path != slide.path]
    if slide.path.suffix.lower() == ".mrxs" and len(slide.parts) > 1:
        parts.append(mrxs_folder(slide.path))
    return [path.name for path in parts if not is_gone(path)] + [slide.path.name]


def conventions_of(rules: WatchSettings, store: Path) -> ScannerConventions:
    return ScannerConventions(
        still_looks=rules.still_looks,
        marker=rules.marker,
        need_marker=rules.need_marker,
        ignore=rules.ignore,
        fields=rules.fields,
        leave=(rules.quarantine,) if rules.quarantine else (),
        store=store,
    )
