"""Which letters the printed report can show: those of its fonts whose scripts need no shaping."""

import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path

from fontTools.ttLib import TTFont, TTLibError

from ingest import CytostreamError

CONTROLS = frozenset("\n\r\t\u00ad")  # what the layout takes as line ends, blanks and breaks
RIGHT_TO_LEFT = frozenset({"R", "AL"})
# Scripts whose letters change their form or order beside each other: Devanagari to Sinhala,
# Tibetan and Myanmar, Khmer.
SHAPED = range(0x0900, 0x0E00), range(0x0F00, 0x10A0), range(0x1780, 0x1800)
LETTERS_SHOWN = 12


class LettersError(CytostreamError):
    """A text has letters that the printed report cannot show."""


def letters_of(font: Path) -> frozenset[int]:
    """The code points that a font (TTF, OTF) has glyphs for.

    Raises:
        LettersError: it is no font, or cannot be read.
    """
    try:
        with font.open("rb") as file, TTFont(file, lazy=True) as opened:
            return frozenset(opened.getBestCmap() or ())
    except (OSError, TTLibError) as error:
        raise LettersError(
            f"{font}: no font that can be read: {error}", "name TTF or OTF files in review.fonts"
        ) from error


def lacking_letters(texts: Iterable[str], glyphs: Collection[int]) -> list[str]:
    """The letters of texts, in order and each once, that cannot be set with these glyphs."""
    letters = dict.fromkeys(unicodedata.normalize("NFC", "".join(texts)))
    return [letter for letter in letters if not is_settable(letter, glyphs)]


def is_settable(letter: str, glyphs: Collection[int]) -> bool:
    if letter in CONTROLS:
        return True
    needs_shaping = unicodedata.bidirectional(letter) in RIGHT_TO_LEFT
    needs_shaping |= any(ord(letter) in script for script in SHAPED)
    return ord(letter) in glyphs and not needs_shaping


def check_letters(texts: Iterable[str], glyphs: Collection[int]) -> None:
    """Raises:
    LettersError: some letter cannot be set; it names them.
    """
    lacking = lacking_letters(texts, glyphs)
    if not lacking:
        return
    shown = " ".join(
        letter if letter.isprintable() and not letter.isspace() else f"U+{ord(letter):04X}"
        for letter in lacking[:LETTERS_SHOWN]
    )
    more = f" and {len(lacking) - LETTERS_SHOWN} more" if len(lacking) > LETTERS_SHOWN else ""
    raise LettersError(
        f"the printed report has no glyphs for {shown}{more}",
        "name a font that has them in review.fonts, or write it in other letters (scripts from "
        "right to left and those of South Asia cannot be set)",
    )
