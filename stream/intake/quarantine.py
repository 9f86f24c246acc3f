"""Where damaged slides are kept, out of the way of the scanner: moved whole, never over anything,
never through a link.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ingest import CytostreamError, SlideFiles

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
PLACES_MAX = 1000
REASON = ".reason.txt"


class Quarantine:
    """A folder in the watched one. Each slide keeps the folder that it came from, below it.

    All names are looked up from handles of folders that were opened without following a link, so
    whoever writes to the watched folder cannot lead a move out of it.
    """

    def __init__(self, root: Path, name: str):
        """Makes the folder.

        Raises:
            CytostreamError: the name is no plain name, or what has it is no folder, or the folder
                cannot be made.
        """
        self.root = root
        self.path = root / name
        if Path(name).name != name or name in (".", ".."):
            raise CytostreamError(
                f"watch.quarantine: {name!r} is no name of a folder", "give a name without a slash"
            )
        try:
            with suppressed_exists():
                self.path.mkdir(mode=0o700)
            os.close(os.open(self.path, _FOLDER))
        except OSError as error:
            what = f"{self.path}: cannot be the quarantine: {error.strerror}"
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                what = f"{self.path}: a link or a file, not a folder"
            raise CytostreamError(
                what, "remove it, or name another folder in watch.quarantine"
            ) from error

    def take(self, slide: SlideFiles, names: Sequence[str], reason: str) -> Path:
        """Moves the entries `names` of the slide's folder, with the reason beside them; where the
        slide is now.

        Raises:
            OSError: they cannot be moved; then they are where they were.
        """
        folder = slide.path.parent.relative_to(self.root)
        note = f"{slide.path.name}{REASON}"
        with ExitStack() as stack:
            root = stack.enter_context(handle_of(self.root))
            source = stack.enter_context(folder_below(root, folder.parts))
            place, target = stack.enter_context(self._free_place(root, folder, [*names, note]))
            write_new(target, note, reason + self._how_to_return(slide))
            try:
                move_all(source, target, names)
            except OSError:
                os.unlink(note, dir_fd=target)
                raise
        return self.root / place / slide.path.name

    def _how_to_return(self, slide: SlideFiles) -> str:
        place = slide.path.parent.relative_to(self.root)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        return (
            f"\nMoved here at {at} from the folder {place}\n"
            "Move it back there, with all its files, to have it tried again.\n"
        )

    @contextmanager
    def _free_place(
        self, root: int, folder: Path, names: Sequence[str]
    ) -> Iterator[tuple[Path, int]]:
        """A folder below the quarantine in which none of the names is taken, made where it is not
        there.
        """
        for number in range(1, PLACES_MAX):
            place = Path(self.path.name, *([f"again-{number}"] if number > 1 else []), folder)
            with folder_below(root, place.parts, make=True) as target:
                if not any(exists(target, name) for name in names):
                    yield place, target
                    return
        raise OSError(errno.EEXIST, "a thousand slides of this name are there")


@contextmanager
def suppressed_exists() -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        return


@contextmanager
def handle_of(folder: Path) -> Iterator[int]:
    handle = os.open(folder, _FOLDER)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def folder_below(root: int, names: Sequence[str], make: bool = False) -> Iterator[int]:
    """A handle of the folder at these names below another one, no link followed.

    Raises:
        OSError: it is not there, or one of the names is a link.
    """
    handle = os.dup(root)
    try:
        for name in names:
            if make:
                with suppressed_exists():
                    os.mkdir(name, 0o700, dir_fd=handle)
            below = os.open(name, _FOLDER, dir_fd=handle)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)


def exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def write_new(folder: int, name: str, text: str) -> None:
    with os.fdopen(os.open(name, NEW_FILE, 0o600, dir_fd=folder), "w", encoding="utf-8") as file:
        file.write(text)


def move_all(source: int, target: int, names: Sequence[str]) -> None:
    """Moves entries, or none of them.

    Raises:
        OSError: one cannot be moved.
    """
    moved: list[str] = []
    try:
        for name in names:
            move_to_quarantine(source, target, name)
            moved.append(name)
    except OSError:
        for name in moved:
            move_to_quarantine(target, source, name)
        raise


def move_to_quarantine(source: int, target: int, name: str) -> None:
    """Moves a file or folder to where nothing has its name.

    Raises:
        OSError: something has, or it is a link, a pipe or a device, or cannot be moved.
    """
    mode = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
    if stat.S_ISREG(mode):
        try:
            os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES):
                raise
        else:
            os.unlink(name, dir_fd=source)
            return
    elif not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "no plain file")
    if exists(
        target, name
    ):  # a file system without links: the quarantine is this user's, so nothing comes between
        raise FileExistsError(errno.EEXIST, "exists already", name)
    os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
