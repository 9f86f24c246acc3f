"""Files of the laboratory: nobody but the account that runs the program may read them, from
the first byte on.
"""

import os
from collections.abc import Iterator
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
OTHERS = 0o077


def make_private_folder(folder: Path) -> None:
    """Makes a folder, mode 0700, with the folders above it; one that is there keeps its mode.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Makes an empty file, mode 0600; one that is there keeps its content and its mode.

    Raises:
        OSError: it cannot be made.
    """
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, PRIVATE_FILE))


def write_private_file(path: Path, content: bytes) -> None:
    """Writes a file that only its owner may read, also where another one was there before.

    Raises:
        OSError: it cannot be written.
    """
    make_private_folder(path.parent)
    with os.fdopen(
        os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, PRIVATE_FILE), "wb"
    ) as file:
        os.fchmod(file.fileno(), PRIVATE_FILE)
        file.write(content)


def close_to_others(path: Path) -> None:
    """Takes the rights of others from a file that is there.

    Raises:
        OSError: it belongs to somebody else.
    """
    if path.exists():
        path.chmod(path.stat().st_mode & 0o777 & ~OTHERS)


def open_to_others(folder: Path) -> Iterator[Path]:
    """The folder itself, or what others may read or write in it: one that they cannot enter
    hides all below.
    """
    if not folder.exists() or not folder.stat().st_mode & OTHERS:
        return
    yield folder
    for path in sorted(folder.iterdir()):
        if not path.is_symlink() and path.stat().st_mode & OTHERS:
            yield path
