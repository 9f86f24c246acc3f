"""Which files make up a slide, what they hold, and whether they have changed since."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from time import time

from .dicom_header import series_uid
from .errors import IncompleteSlideError, SlideAwayError, SlideError
from .part_lists import KEY_FILES, MRXS_LIST, key_file_parts, mrxs_folder, mrxs_parts

BLOCK_BYTES = 1 << 22
SETTLED_S = 2.0
SAMPLE_BYTES = 1 << 16
_SAMPLES = 16  # of a file, evenly spaced
DICOM = ".dcm"


def files_of(path: Path) -> tuple[Path, ...]:
    """All files of the slide that `path` opens, itself first: a VMS or VMU slide names its parts, a
    MRXS slide those in the folder of its own name, a DICOM slide is a series in a folder.

    The parts are named whether they are there or not; see `check_files`.
    """
    suffix = path.suffix.lower()
    if suffix == ".mrxs":
        return path, *(mrxs_parts(path) or entries_of(mrxs_folder(path)))
    if suffix in KEY_FILES:
        return path, *(path.parent / name for name in key_file_parts(path))
    series = series_at(path)
    if series is None:
        return (path,)
    others = [one for one in entries_of(path.parent) if one != path and series_at(one) == series]
    return path, *others


def entries_of(folder: Path) -> list[Path]:
    """What lies in a folder, by name; nothing where it is not there."""
    try:
        return sorted(Path(entry.path) for entry in os.scandir(folder))
    except OSError:
        return []


def series_at(path: Path) -> str | None:
    """The series that a DICOM file belongs to; None where it is no such file, or cannot be read.

    Files of DICOM end with .dcm, have no suffix, or a number (a name that is a UID ends with one).
    """
    suffix = path.suffix.lower()
    if suffix not in (DICOM, "") and not suffix[1:].isdecimal():
        return None
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            return None
        return _series_at(path, facts.st_size, facts.st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _series_at(path: Path, _size: int, _changed_ns: int) -> str | None:
    return series_uid(path)


def check_files(path: Path, files: Sequence[Path]) -> None:
    """That a slide's files are plain files of its own folder, and all there.

    Raises:
        SlideAwayError: the slide itself is not there.
        IncompleteSlideError: a part of it is not there.
        SlideError: a part is no plain file, or lies in another folder.
        OSError: a file cannot be asked.
    """
    for file in files:
        if ".." in file.parts[len(path.parent.parts) :] or not file.is_relative_to(path.parent):
            raise SlideError(
                f"{path}: names a file outside of its folder: {file.name}", "export it anew"
            )
        try:
            mode = file.stat().st_mode
        except FileNotFoundError as error:
            if file == path:
                raise SlideAwayError(f"{path}: no such file", "check the path") from error
            what = f"{path}: its part {file.name} is missing"
            raise IncompleteSlideError(what, "copy the whole slide, with all its files") from error
        if not stat.S_ISREG(mode) and not (stat.S_ISDIR(mode) and file.parent != path.parent):
            raise SlideError(f"{path}: {file.name} is no plain file", "remove it, or name a slide")
    if path.suffix.lower() == ".mrxs" and not (mrxs_folder(path) / MRXS_LIST).is_file():
        what = f"{path}: its folder {path.stem} is missing, or has no {MRXS_LIST}"
        raise IncompleteSlideError(what, "copy the whole slide, with its folder")
    if series_at(path):
        check_dicom_folder(path)


def check_dicom_folder(path: Path) -> None:
    """OpenSlide opens every entry of the folder of a DICOM slide, and would wait for ever at a
    pipe.
    """
    for entry in entries_of(path.parent):
        if not (entry.is_file() or entry.is_dir()):
            raise SlideError(f"{path}: {entry.name} beside it is no plain file", "remove it")


def content_id(files: Sequence[Path]) -> str:
    """Digest of the bytes of a slide, 20 hexadecimal digits: of its file, or of the digests of its
    files as `files_of` has them. Neither the names nor the folder count, but which part is which
    does; the files of a DICOM series have no order.

    A digest is kept for as long as the files stay as they are, for a slide is opened several times.

    Raises:
        OSError: a file cannot be read.
    """
    plain = tuple(file for file in files if file.is_file())
    if not plain:
        raise FileNotFoundError(errno.ENOENT, "no such file", str(files[0]))
    settled_s = time() - max(map(_changed_s, plain))
    if (
        abs(settled_s) < SETTLED_S
    ):  # a second change within one tick of the file system's clock would not show
        return _content_id(plain)
    return _kept_content_id(plain, file_state(plain))


@lru_cache(maxsize=4096)
def _kept_content_id(files: tuple[Path, ...], _state: str) -> str:
    return _content_id(files)


def _content_id(files: Sequence[Path]) -> str:
    digests = list(map(file_digest, files))
    if series_at(files[0]):
        digests.sort()
    return digests[0] if len(digests) == 1 else _digest("".join(digests).encode())


def _changed_s(file: Path) -> float:
    facts = file.stat()
    return max(facts.st_mtime, facts.st_ctime)


def file_digest(file: Path) -> str:
    digest = hashlib.blake2b(digest_size=10)
    with file.open("rb") as opened:
        while block := opened.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def file_state(files: Sequence[Path]) -> str:
    """What changes when a file of the slide does, at the cost of asking for its size and times.

    Raises:
        OSError: a file cannot be asked.
    """
    return _digest(repr(sorted(_facts(files))).encode())


def _facts(files: Sequence[Path]) -> Iterator[tuple[str, int, int, int]]:
    for file in files:
        facts = file.stat()
        yield ascii(file.name), facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def sample_digest(path: Path) -> str:
    """Digest of the sizes of a slide's files and of blocks of each: whether two machines see the
    same slide, without reading the whole of it on each.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=10)
    for file in sorted(files_of(path)):
        if not file.is_file():
            continue
        size = file.stat().st_size
        digest.update(f"{size} ".encode())
        with file.open("rb") as opened:
            for number in range(_SAMPLES):
                opened.seek(max(0, size - SAMPLE_BYTES) * number // (_SAMPLES - 1))
                digest.update(opened.read(SAMPLE_BYTES))
    return digest.hexdigest()


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=10).hexdigest()
