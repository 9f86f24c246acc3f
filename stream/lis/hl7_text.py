"""Texts in HL7 v2: frames of MLLP, escapes, dates. What comes from outside is bounded before it is
read.
"""

from datetime import UTC, datetime

HL7_VERSION = "2.5.1"
FRAME_BYTES_MAX = 256_000
START = b"\x0b"
END = b"\x1c\x0d"
_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
_LETTERS = {mark: letter for letter, mark in _ESCAPES.items()}


def framed(message: bytes) -> bytes:
    """A message between the marks of MLLP."""
    return START + message + END


def escaped(text: str) -> str:
    """A text as a component: no letter of it is a delimiter, and no line ends in it."""
    flat = " ".join(text.split())
    return "".join(_ESCAPES.get(letter, letter) for letter in flat if letter.isprintable())


def unescaped(text: str) -> str:
    """The inverse; escapes of other kinds, as for highlighting, are left out."""
    parts = text.split("\\")
    if len(parts) % 2 == 0:  # an escape that does not end
        return text
    marks = [_LETTERS.get(f"\\{part}\\", "") for part in parts[1::2]]
    return "".join(
        letters for pair in zip(parts[::2], [*marks, ""], strict=True) for letters in pair
    )


def timestamp(at: datetime) -> str:
    """A time as TS, in UTC and with its zone."""
    return f"{at.astimezone(UTC):%Y%m%d%H%M%S}+0000"


def hl7_time(iso: str) -> str:
    """A time with its zone, or a date, in ISO 8601 as TS."""
    if "T" not in iso:
        return iso.replace("-", "")
    return timestamp(datetime.fromisoformat(iso))


def iso_date(text: str) -> str:
    """YYYY-MM-DD of a TS or DT; empty where it is none."""
    try:
        return f"{datetime.strptime(text[:8], '%Y%m%d'):%Y-%m-%d}"
    except ValueError:
        return ""
