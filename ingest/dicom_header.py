"""The series of a DICOM file, read off its header (DICOM PS3.5 section 7 and PS3.10 section 7)."""

import struct
from pathlib import Path
from typing import BinaryIO

SERIES_UID = (0x0020, 0x000E)
UNDEFINED = 0xFFFFFFFF
SEQUENCE_END = (0xFFFE, 0xE0DD)
DELIMITERS = 0xFFFE
LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"}
UID_BYTES = 64
ELEMENTS_MAX = 10_000


def series_uid(path: Path) -> str | None:
    """The series instance UID of a little-endian DICOM file; None where it is none, or does not
    say.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return None
        try:
            return _find(file)
        except struct.error:  # it ends within its header
            return None


def _find(file: BinaryIO) -> str | None:
    depth = 0  # of sequences that do not say how long they are; the series is named outside of all
    for _ in range(ELEMENTS_MAX):
        tag = struct.unpack("<HH", file.read(4))
        length = _length(file, tag)
        if tag == SEQUENCE_END:
            depth -= 1
        elif depth == 0 and tag == SERIES_UID:
            return file.read(min(length, UID_BYTES)).rstrip(b"\0 ").decode("ascii", "replace")
        elif depth == 0 and tag > SERIES_UID:
            return None
        elif length == UNDEFINED:
            depth += tag[0] != DELIMITERS
        elif tag[0] != DELIMITERS:
            file.seek(length, 1)
    return None


def _length(file: BinaryIO, tag: tuple[int, ...]) -> int:
    """The length of an element, whether its value representation is written or not."""
    head = file.read(4)
    explicit = tag[0] != DELIMITERS and head[:2].isalpha() and head[:2].isupper()
    if not explicit:
        return unsigned(head)
    if head[:2] in LONG_VRS:
        return unsigned(file.read(4))
    return unsigned(head[2:])


def unsigned(data: bytes) -> int:
    """A little-endian number; raises struct.error where the file has ended."""
    if len(data) not in (2, 4):
        raise struct.error("the file ends")
    return int.from_bytes(data, "little")
