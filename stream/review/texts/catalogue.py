"""Texts in the language of a person: the English text is the key, as with gettext; one file a
language.
"""

import json
import re
from contextlib import suppress
from datetime import datetime
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import Literal, get_args

Language = Literal["en", "de"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
_PLACE = re.compile(r"\{(\w+)\}")
_NUMBER = re.compile(r"[-+]?[\d,]+(\.\d+)?")
_VALUE = r"([-+\d.,]+)"  # what {value} stands for: a number, so that a name may have spaces
_DATE = re.compile(r"^(\d{4})-(\d\d)-(\d\d)$")
_SEVERAL = re.compile("(, (?!all)| or |[+])")
_WRITTEN = {"by", "names", "reader", "reason"}  # what persons have written stays as it is
_CLASSES = {"label", "rival", "second"}  # of one cell: by their titles
_JOINED = re.compile(r"-(?=(?:neutrophil|lymphocyte|cell)s?\b)")  # of the name of a class


class Texts:
    """The catalogue of a language; English needs none. `texts` are those of pages, `words` names of
    classes and states, `sentences` what is made with values, and stored, in English.
    """

    def __init__(self, language: Language = "en"):
        self.language = language
        self.catalogue = _catalogue(language)

    def __call__(self, text: str, **values: str | int) -> str:
        """A text in the language; `values` take the places of names in braces."""
        for part in self.catalogue.values():
            text = part.get(text, text)
        return _fill(text, {name: str(value) for name, value in values.items()})

    def sentence(self, said: str) -> str:
        """A sentence that was made in English, with its values, in the language; one that the
        catalogue has not stays as it is.
        """
        if self.language == "en":
            return _JOINED.sub(" ", said)
        if known := self._known(said):
            return known
        if _NUMBER.fullmatch(said):
            return said.translate(str.maketrans(".,", ",."))
        for text, names, shape in self._patterns:
            if found := shape.fullmatch(said):
                values = zip(names, found.groups(), strict=True)
                return _fill(text, {name: self._place(name, value) for name, value in values})
        return said

    def _place(self, name: str, said: str) -> str:
        """What stands at a place of a sentence; at `said`, another sentence."""
        if name in _WRITTEN:
            return said
        if name in _CLASSES:
            return self.class_title(said)
        return self.sentence(said) if name == "said" else self._value(said)

    def class_title(self, name: str) -> str:
        """The title of a class by its name: "band-neutrophil" as "Band neutrophil"."""
        title = name.replace("-", " ").capitalize()
        words = self.catalogue.get("words", {})
        return words.get(title) or words.get(name) or title

    def _value(self, said: str) -> str:
        """A value within a sentence: a number, a name, or several."""
        known = self.sentence(said) if _NUMBER.fullmatch(said) else self._known(said)
        parts = [] if known else _SEVERAL.split(said)
        if len(parts) < 2:
            return known or self.sentence(said)
        return "".join(" oder " if part == " or " else self.sentence(part) for part in parts)

    def _known(self, said: str) -> str | None:
        return self.catalogue["sentences"].get(said) or self.catalogue["words"].get(said)

    def number(self, value: float, digits: int) -> str:
        """A number with so many digits after the decimal sign of the language."""
        text = f"{value:.{digits}f}"
        return text.replace(".", ",") if self.language == "de" else text

    def day(self, date: str) -> str:
        """A date, YYYY-MM-DD, as the language writes it; what is no date stays as it is."""
        return _DATE.sub(r"\3.\2.\1", date) if self.language == "de" else date

    def time(self, at: datetime) -> str:
        """A date and time with its zone."""
        shape = "%d.%m.%Y %H:%M %Z" if self.language == "de" else "%Y-%m-%d %H:%M %Z"
        return at.strftime(shape).strip()

    @cached_property
    def _patterns(self) -> list[tuple[str, list[str], re.Pattern[str]]]:
        """Sentences that have values: the longest first, so that the most specific one fits."""
        sentences = self.catalogue["sentences"].items()
        made = [(to, _PLACE.findall(text), _shape(text)) for text, to in sentences]
        return sorted(made, key=lambda one: -len(one[2].pattern))


def _shape(text: str) -> re.Pattern[str]:
    parts = _PLACE.split(text)  # words and names by turns
    shapes = [_VALUE if part == "value" else "(.+?)" for part in parts[1::2]]
    words = [re.escape(part) for part in parts[::2]]
    return re.compile("".join(chain(*zip(words, [*shapes, ""], strict=True))), re.DOTALL)


def _fill(text: str, values: dict[str, str]) -> str:
    return _PLACE.sub(lambda place: values.get(place[1], place[0]), text)


@cache
def _catalogue(language: Language) -> dict[str, dict[str, str]]:
    if language == "en":
        return {}
    file = Path(__file__).with_name(f"{language}.json")
    parts: dict[str, dict[str, str]] = json.loads(file.read_text())
    return parts


def accepted_language(header: str) -> Language | None:
    """The first language of an Accept-Language header, by its weights, that there are texts in."""
    weighted = []
    for part in header.split(","):
        name, _, weight = part.strip().partition(";q=")
        with suppress(ValueError):
            weighted.append((float(weight or 1), name.partition("-")[0].lower()))
    for share, name in sorted(weighted, key=lambda wish: -wish[0]):
        for language in LANGUAGES:
            if name == language and share > 0:
                return language
    return None
