"""Which slides a command line names: files, folders of slides, and lists of paths."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ingest import CytostreamError, look_at_folder

NOT_UTF8 = "its name is not UTF-8", "rename it"
LISTS = {".txt", ".lst", ".list"}


@dataclass(slots=True)
class FoundSlides:
    """The slides of folders and lists, each path once, and what had to be left out: why, and what
    to do.
    """

    slides: list[Path] = field(default_factory=list)
    left_out: dict[Path, tuple[str, str]] = field(default_factory=dict)


def expanded(paths: Iterable[Path]) -> FoundSlides:
    """The slides of folders and lists.

    Raises:
        CytostreamError: a folder without a slide, or a list that cannot be read.
    """
    found = FoundSlides()
    for path in paths:
        if is_folder(path):
            add_folder(found, path)
        elif path.suffix in LISTS:
            add_slides(found, list_of(path))
        else:
            add_slides(found, [path])
    return found


def is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # opening it says why


def add_slides(found: FoundSlides, paths: Iterable[Path]) -> None:
    known = {path.absolute() for path in found.slides}
    for path in dict.fromkeys(paths):
        try:
            str(path).encode()
        except UnicodeEncodeError:
            found.left_out[path] = NOT_UTF8
        else:
            found.slides += [path] if path.absolute() not in known else []


def add_folder(found: FoundSlides, folder: Path) -> None:
    look = look_at_folder(folder, follow_links=True)
    left_out = {path: NOT_UTF8 for path in look.refused}
    left_out |= {
        path: (why, "give this user the right to read it, or mount it again")
        for path, why in look.unseen.items()
    }
    if not look.slides and not left_out:
        raise CytostreamError(
            f"{folder}: no slide in this folder", "see the README for the formats"
        )
    add_slides(found, [slide.path for slide in look.slides])
    found.left_out |= left_out


def shown_path(path: Path) -> str:
    """A path whose name need not be text, as text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def list_of(path: Path) -> list[Path]:
    """The paths of a list, those from where the list lies."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise CytostreamError(
            f"{path}: cannot be read: {error}", "give a text file with a path a line"
        ) from error
    return [path.parent / line for line in lines if line and not line.startswith("#")]
