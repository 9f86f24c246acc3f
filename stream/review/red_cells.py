"""The judged red cells of a slide as a person reviews them: their kinds, and each cell with what
the machine calls it. Ids, decisions and signatures are as those of white cells.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from classify import UNIDENTIFIED
from segment import cell_id
from stream.events import JsonObject
from stream.run import (
    NORMAL,
    RED_CROPS,
    RED_KIND_COLUMN,
    leading_finding,
    shares_of_counts,
)
from stream.store import CHUNK_ROWS, SlideStore, store_path

from .cell_classes import CellClass, Scheme

# LOINC panel 58408-6, "Erythrocyte morphology panel - Blood", whose terms are presence by light
# microscopy, an ordinal scale; gravest first as the page shows them
RED_KINDS: dict[str, tuple[str, str]] = {
    "schistocyte": ("Schistocytes", "800-3"),
    "spherocyte": ("Spherocytes", "802-9"),
    "teardrop": ("Teardrop cells", "7791-7"),
    "target-cell": ("Target cells", "10381-2"),
    "elliptocyte": ("Elliptocytes", "11274-8"),
    "ovalocyte": ("Ovalocytes", "774-0"),
    "stomatocyte": ("Stomatocytes", "10380-4"),
    "burr-cell": ("Burr cells", "7790-9"),
    "macrocyte": ("Macrocytes", "738-5"),
    "microcyte": ("Microcytes", "741-9"),
    "hypochromic": ("Hypochromic cells", "728-6"),
    NORMAL: ("Normal red cells", ""),
    "anisocytosis": ("Anisocytosis", "702-1"),
    "poikilocytosis": ("Poikilocytosis", "779-9"),
}
KEYS = "123456789qwe"
_FIGURES = ("probability", "anomaly", "area_um2", "roundness", "pallor")
_COLOURS = (
    "#c92a2a",
    "#e8590c",
    "#d6336c",
    "#9c36b5",
    "#6741d9",
    "#4263eb",
    "#1971c2",
    "#0c8599",
    "#099268",
    "#5c940d",
    "#e67700",
    "#868e96",
    "#495057",
)


@dataclass(frozen=True, slots=True)
class RedDetection:
    """A red cell as found and judged: `place` is its crop's row, boxes are level-0 px, `sureness`
    the probability of the label, `anomaly` the share of normal cells that are less anomalous.
    """

    place: int
    cell_id: str
    label: str
    sureness: float
    anomaly: float
    x_px0: int
    y_px0: int
    box_px0: tuple[int, int, int, int]
    area_um2: float
    roundness: float
    pallor: float


class JudgedReds:
    """The judged red cells of one slide, by id; none where the slide has none."""

    def __init__(self, store: Path, slide_id: str):
        self.slide_id = slide_id
        self.by_id: dict[str, RedDetection] = {}
        self.classes: tuple[str, ...] = ()
        self._path = store_path(store, slide_id)
        if self._path.is_dir():
            self._read(SlideStore.open(self._path), slide_id)

    def _read(self, store: SlideStore, slide_id: str) -> None:
        if RED_CROPS not in store.group:
            return
        self.classes = tuple(store.facts["red_classes"])
        kinds = store.read(RED_KIND_COLUMN)
        rows = np.flatnonzero(kinds >= 0)
        named = ("centre_px0", "box_px0", *_FIGURES)
        columns = {name: store.read(f"reds/{name}")[rows] for name in named}
        for place, kind in enumerate(kinds[rows].tolist()):
            x, y = columns["centre_px0"][place].tolist()
            x0, y0, x1, y1 = columns["box_px0"][place].tolist()
            figures = {name: round(float(columns[name][place]), 4) for name in _FIGURES}
            cell = RedDetection(
                place=place,
                cell_id=cell_id(slide_id, x, y),
                label=self.classes[kind],
                sureness=figures["probability"],
                anomaly=figures["anomaly"],
                x_px0=x,
                y_px0=y,
                box_px0=(x0, y0, x1, y1),
                area_um2=figures["area_um2"],
                roundness=figures["roundness"],
                pallor=figures["pallor"],
            )
            self.by_id[cell.cell_id] = cell

    def __len__(self) -> int:
        return len(self.by_id)

    @cached_property
    def scheme(self) -> Scheme:
        """The kinds, gravest first, then unidentified."""
        return red_scheme(self.classes)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that the machine says of them."""
        digest = hashlib.sha256()
        for cell in self.by_id.values():
            digest.update(repr(asdict(cell)).encode())
        return digest.hexdigest()

    def counts(self, called: Mapping[str, str]) -> Counter[str]:
        """Cells a kind, given what people call some of them, by id."""
        return Counter(called.get(name, cell.label) for name, cell in self.by_id.items())

    def figures(self, facts: JsonObject, called: Mapping[str, str]) -> JsonObject:
        """The slide's red-cell figures with the shares and grades as people call its cells."""
        if not self.by_id or not called.keys() & self.by_id.keys():
            return facts
        shares = shares_of_counts(self.counts(called))
        kinds = {name: asdict(share) for name, share in shares.items()}
        judged = sum(n for name, n in self.counts(called).items() if name != UNIDENTIFIED)
        return {**facts, "kinds": kinds, "leading": leading_finding(shares), "judged": judged}

    def crops(self, chunk: int) -> np.ndarray:
        """The crops (n, px, px, 3) of the cells at the places [64 chunk, 64 (chunk + 1))."""
        store = SlideStore.open(self._path)
        return store.read(RED_CROPS, chunk * CHUNK_ROWS, (chunk + 1) * CHUNK_ROWS)


def red_scheme(classes: tuple[str, ...]) -> Scheme:
    """The kinds of red cells in the order of `RED_KINDS`, those that it lacks before the normal
    ones, then unidentified.
    """
    known = [name for name in RED_KINDS if name in classes and name != NORMAL]
    names = [*known, *(n for n in classes if n not in RED_KINDS), NORMAL]
    kinds = [
        CellClass(
            name,
            RED_KINDS.get(name, (name.capitalize(), ""))[0],
            KEYS[n] if n < len(KEYS) else "",
            False,
            None,
            None,
            RED_KINDS.get(name, ("", ""))[1],
            _COLOURS[n % len(_COLOURS)],
        )
        for n, name in enumerate(names)
    ]
    unknown = CellClass(UNIDENTIFIED, "Unidentified", "0", False, None, None, "", "#000000")
    return Scheme((*kinds, unknown))
