"""What slides of several files say of their parts: the key file of a VMS or VMU slide, and
Slidedat.ini in the folder of a MRXS slide.
"""

import os
import re
import stat
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

KEY_FILES = {".vms", ".vmu"}
PART_KEYS = ("imagefile", "mapfile", "macroimage", "optimisationfile")
OPTIONAL_KEYS = ("optimisationfile",)  # OpenSlide reads the slide without it
LAYERS = "nolayers"
MRXS_LIST = "Slidedat.ini"
MRXS_FILE = re.compile(r"indexfile|file_\d+")
MRXS_LEVEL_NAME = re.compile(r"(hier_\d+)_name")
MRXS_FOCUS = "microscope focus level"
LIST_BYTES_MAX = 1 << 20


def key_file_parts(path: Path) -> tuple[str, ...]:
    """The names of the files that a VMS or VMU key file lists; none where it cannot be read."""
    named = [(key, name) for key, name in entries(path).items() if key.startswith(PART_KEYS)]
    needed = [name for key, name in named if not key.startswith(OPTIONAL_KEYS)]
    extra = [
        name
        for key, name in named
        if key.startswith(OPTIONAL_KEYS) and (path.parent / name).exists()
    ]
    return tuple(dict.fromkeys(needed + extra))


def mrxs_folder(path: Path) -> Path:
    """Where a MRXS slide has its data."""
    return path.with_suffix("")


def mrxs_parts(path: Path) -> tuple[Path, ...]:
    """The list of a MRXS slide and the files that it names; none where it names none. What else
    lies in the folder, as viewers leave it there, is no part of the slide.
    """
    listing = mrxs_folder(path) / MRXS_LIST
    names = [name for key, name in entries(listing).items() if MRXS_FILE.fullmatch(key)]
    parts = [listing, *(listing.parent / name for name in sorted(set(names)))]
    return tuple(parts) if names else ()


def stated_planes(path: Path) -> int:
    """How many planes of focus a slide of several files has, 1 where it does not say."""
    suffix = path.suffix.lower()
    if suffix in KEY_FILES:
        return whole_number(entries(path).get(LAYERS))
    if suffix == ".mrxs":
        found = entries(mrxs_folder(path) / MRXS_LIST)
        for key, name in found.items():
            level = MRXS_LEVEL_NAME.fullmatch(key)
            if level and name.lower() == MRXS_FOCUS:
                return whole_number(found.get(f"{level[1]}_count"))
    return 1


def whole_number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 1


def entries(path: Path) -> Mapping[str, str]:
    """The lines "key = value" of a list of parts, keys in lower case, without what has no value;
    none where it cannot be read.
    """
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            return {}
        return _entries(path, facts.st_size, facts.st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=256)
def _entries(path: Path, _size: int, _changed_ns: int) -> Mapping[str, str]:
    with path.open("rb") as file:
        lines = file.read(LIST_BYTES_MAX).splitlines()
    pairs = (
        tuple(os.fsdecode(part).strip() for part in line.partition(b"=")[::2]) for line in lines
    )
    return {key.lower(): value for key, value in pairs if value}
