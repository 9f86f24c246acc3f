"""The classes of a differential count as a laboratory knows them: order, key, reference range,
LOINC code, colour.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase

from classify import UNIDENTIFIED
from stream.config import ReviewSettings

RESERVED_KEYS = "0acgmnux?"  # what the page does with other keys
_ORDER = (
    "blast",
    "segmented-neutrophil",
    "band-neutrophil",
    "neutrophil",
    "lymphocyte",
    "monocyte",
    "eosinophil",
    "basophil",
    "metamyelocyte",
    "myelocyte",
    "promyelocyte",
    "ig",
    "erythroblast",
    "platelet",
    "other",
)
_TITLES = {
    "ig": "Immature granulocyte",
    "other": "Not a cell",
    "band": "Band neutrophil",
    "smudge": "Smudge cell",
}
_TOTALS = {  # classes of a classical differential, and what a finer model parts them into
    "neutrophil": ("Neutrophils, all", ("segmented-neutrophil", "band-neutrophil", "band")),
    "ig": ("Immature granulocytes, all", ("metamyelocyte", "myelocyte", "promyelocyte")),
}
_SAME = {"band": "band-neutrophil"}  # names of a class for people and of a model's own class
_LOINC = {
    "neutrophil": "26511-6",
    "lymphocyte": "26478-8",
    "monocyte": "26485-3",
    "eosinophil": "26450-7",
    "basophil": "30180-4",
    "ig": "38518-7",
    "erythroblast": "19048-8",
    "blast": "26446-5",
    "promyelocyte": "26524-9",
    "myelocyte": "26498-6",
    "metamyelocyte": "28541-1",
    "band": "26508-2",
    "band-neutrophil": "26508-2",
    "segmented-neutrophil": "26505-8",
    "variant_lymphocyte": "13046-8",
    "plasma_cell": "13047-6",
    "smudge": "34992-8",
}
_COLOURS = (
    "#4269d0",
    "#2f9e44",
    "#e8590c",
    "#c2255c",
    "#6741d9",
    "#0b7285",
    "#a61e4d",
    "#868e96",
    "#adb5bd",
    "#d9480f",
    "#5c940d",
    "#1864ab",
    "#862e9c",
    "#087f5b",
    "#9c36b5",
    "#e67700",
    "#495057",
    "#343a40",
)


@dataclass(frozen=True, slots=True)
class CellClass:
    """One class: `low` and `high` in per cent of white cells, or per 100 of them where it is none;
    `key` chooses it.
    """

    name: str
    title: str
    key: str
    white: bool
    low: float | None
    high: float | None
    loinc: str
    colour: str


@dataclass(frozen=True, slots=True)
class ClassTotal:
    """A class of the classical differential that the scheme has in finer classes, its `members`."""

    of: CellClass
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scheme:
    """The classes in the order in which a laboratory reads them: the model's, then those for people
    alone, then unidentified; and the totals of those that belong together.
    """

    classes: tuple[CellClass, ...]
    totals: tuple[ClassTotal, ...] = ()

    def __contains__(self, name: str) -> bool:
        return any(c.name == name for c in self.classes)

    def __getitem__(self, name: str) -> CellClass:
        everything = (*self.classes, *(total.of for total in self.totals))
        return next(c for c in everything if c.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.classes)


def scheme_of(
    model_classes: Iterable[str], config: ReviewSettings, own: Sequence[str] = ()
) -> Scheme:
    """The scheme of a slide whose cells the model puts into these classes; `own` are those that
    the laboratory teaches.
    """
    known = sorted(
        model_classes, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER)
    )
    by_people = [name for name in config.classes if _SAME.get(name) not in known]
    names = list(dict.fromkeys([*known, *by_people, *own]))
    keys = keys_of(names, config.keys)
    classes = [
        _class(name, keys.get(name, ""), _COLOURS[n % len(_COLOURS)], config)
        for n, name in enumerate(names)
    ]
    unknown = CellClass(UNIDENTIFIED, "Unidentified", "0", False, None, None, "", "#000000")
    return Scheme((*classes, unknown), tuple(_totals(names, config)))


def _totals(names: list[str], config: ReviewSettings) -> Iterator[ClassTotal]:
    for parent, (title, finer) in _TOTALS.items():
        members = tuple(name for name in names if name in (parent, *finer))
        if len(members) > 1:
            yield ClassTotal(replace(_class(parent, "", "", config), title=title), members)


def keys_of(names: Sequence[str], chosen: Mapping[str, str]) -> dict[str, str]:
    """A key a class: the one chosen for it, else digits for the first nine, then a letter of
    the name that is free, the first of them if possible; empty where none is left.
    """
    keys = {name: chosen[name] for name in names if name in chosen}
    taken = {*RESERVED_KEYS, *keys.values()}
    for place, name in enumerate(names, 1):
        if name in keys:
            continue
        digits = [str(place)] if place <= 9 else []
        letters = [letter for letter in name + ascii_lowercase if letter in ascii_lowercase]
        keys[name] = next((key for key in digits + letters if key not in taken), "")
        taken.add(keys[name])
    return keys


def _class(name: str, key: str, colour: str, config: ReviewSettings) -> CellClass:
    low, high = config.ranges.get(name, (None, None))
    title = _TITLES.get(name, name.replace("_", " ").replace("-", " ").capitalize())
    return CellClass(
        name, title, key, name not in config.not_white, low, high, _LOINC.get(name, ""), colour
    )
