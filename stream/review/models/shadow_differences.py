"""Two models on the same cells: where they differ, by class, by slide, by cell, and beside what
people decided.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ingest import StoreError
from stream.events import JsonObject
from stream.review.detections import Detection
from stream.review.slides import FINISHED, SlideLibrary, SlideView
from stream.store import ShadowVerdicts, SlideStore, read_shadow, shadow_ids, store_path

MOST_DIFFERING = 200
MOST_SLIDES = 500


@dataclass(frozen=True, slots=True)
class ShadowFound:
    """A second model that has judged slides of a store: how many, and when last."""

    model_id: str
    name: str
    slides: int
    at: str


@dataclass(frozen=True, slots=True)
class DifferingCell:
    """A cell that two models call otherwise; `distance` is the total variation distance of their
    class probabilities, 0 to 1; `decided` is what a person calls it, empty where nobody did.
    """

    slide_id: str
    cell_id: str
    counted: str
    shadow: str
    counted_probability: float
    shadow_probability: float
    distance: float
    decided: str = ""


@dataclass(frozen=True, slots=True)
class AlertChange:
    """Alerts that a slide has under the second model alone (`gained`), and under the counted one
    alone (`lost`): cells by rule, and rules on the slide as a whole.
    """

    slide_id: str
    cells: int
    differ: int
    gained: dict[str, int]
    lost: dict[str, int]
    slide_gained: tuple[str, ...]
    slide_lost: tuple[str, ...]

    @property
    def is_none(self) -> bool:
        """Whether both models raise the same alerts."""
        return not (self.gained or self.lost or self.slide_gained or self.slide_lost)


@dataclass(slots=True)
class AgreementWithPeople:
    """Cells that people have decided on, how many each model calls so, and how many one alone.

    People saw the label of the model that counts, which favours it.
    """

    decided: int = 0
    counted: int = 0
    shadow: int = 0
    counted_alone: int = 0
    shadow_alone: int = 0

    def add(self, decided: str, counted: str, shadow: str) -> None:
        """One cell."""
        self.decided += 1
        self.counted += counted == decided
        self.shadow += shadow == decided
        self.counted_alone += counted == decided != shadow
        self.shadow_alone += shadow == decided != counted


@dataclass(slots=True)
class ShadowReport:
    """The comparison over slides: `confusion` and `parent_confusion` count cells by (counted label,
    second model's label); `counted_models` are the ids of the models that count.
    """

    model_id: str
    name: str
    counted_models: Counter[str] = field(default_factory=Counter)
    cells: int = 0
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    parent_confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    slides: list[AlertChange] = field(default_factory=list)
    people: AgreementWithPeople = field(default_factory=AgreementWithPeople)
    parent_people: AgreementWithPeople = field(default_factory=AgreementWithPeople)
    differing: list[DifferingCell] = field(default_factory=list)

    @property
    def differ(self) -> int:
        """Cells that the two models call otherwise."""
        return sum(count for (old, new), count in self.confusion.items() if old != new)

    def take(self, one: "SlideComparison", most_cells: int) -> None:
        """Adds a slide."""
        self.counted_models[one.counted_model_id] += 1
        self.cells += len(one.counted)
        self.confusion.update(zip(one.counted, one.shadow, strict=True))
        pairs = zip(one.counted, one.shadow, strict=True)
        self.parent_confusion.update((one.parent(old), one.parent(new)) for old, new in pairs)
        self.slides.append(one.alerts())
        for number, decided in one.decided.items():
            old = one.counted[number]
            new = one.shadow[number]
            self.people.add(decided, old, new)
            self.parent_people.add(one.parent(decided), one.parent(old), one.parent(new))
        found = [*self.differing, *one.differing()]
        self.differing = sorted(found, key=lambda cell: (-cell.distance, cell.cell_id))[:most_cells]


@dataclass(frozen=True, slots=True, eq=False)
class SlideComparison:
    """A slide's n cells under two models: labels, the probability (n, K) of each class of
    `classes`, which are those of both, what people decided by the number of the cell, and the kept
    verdicts.
    """

    slide_id: str
    counted_model_id: str
    cells: list[Detection]
    counted: list[str]
    shadow: list[str]
    counted_probability: np.ndarray
    shadow_probability: np.ndarray
    classes: tuple[str, ...]
    parents: dict[str, str]
    decided: dict[int, str]
    verdicts: ShadowVerdicts

    def parent(self, label: str) -> str:
        """The class of a classical differential that a label belongs to; itself where unknown."""
        return self.parents.get(label, label)

    def alerts(self) -> AlertChange:
        """The alerts of one model alone."""
        new = self.verdicts.columns["alerts"]
        old = self.verdicts.columns["counted_alerts"]
        facts = self.verdicts.facts
        slide_new = set(facts["slide_alerts"])
        slide_old = set(facts["counted_slide_alerts"])
        return AlertChange(
            self.slide_id,
            len(self.counted),
            sum(a != b for a, b in zip(self.counted, self.shadow, strict=True)),
            _by_rule(facts["rules"], new & ~old),
            _by_rule(facts["rules"], old & ~new),
            tuple(sorted(slide_new - slide_old)),
            tuple(sorted(slide_old - slide_new)),
        )

    def differing(self) -> Iterator[DifferingCell]:
        """The cells that the two models call otherwise."""
        apart = np.abs(self.counted_probability - self.shadow_probability).sum(axis=1) / 2
        for number, cell in enumerate(self.cells):
            old = self.counted[number]
            new = self.shadow[number]
            if old != new:
                yield DifferingCell(
                    self.slide_id,
                    cell.cell_id,
                    old,
                    new,
                    float(self.counted_probability[number, self.classes.index(old)]),
                    float(self.shadow_probability[number, self.classes.index(new)]),
                    float(min(1.0, apart[number])),
                    self.decided.get(number, ""),
                )


def shadows_of(library: SlideLibrary) -> list[ShadowFound]:
    """The second models that have judged slides of a store, the one used last first."""
    slides: Counter[str] = Counter()
    names: dict[str, str] = {}
    last: dict[str, str] = {}
    for _, store in _stores(library):
        for model_id in shadow_ids(store):
            facts = read_shadow(store, model_id).facts
            slides[model_id] += 1
            if facts["at"] >= last.get(model_id, ""):
                last[model_id] = facts["at"]
                names[model_id] = facts["name"]
    found = [ShadowFound(one, names[one], count, last[one]) for one, count in slides.items()]
    return sorted(found, key=lambda one: one.at, reverse=True)


def compare_shadow(
    library: SlideLibrary,
    model_id: str,
    most_cells: int = MOST_DIFFERING,
    most_slides: int = MOST_SLIDES,
) -> ShadowReport:
    """The comparison of a second model with those that count, over the last slides that it has
    judged.

    Raises:
        StoreError: it has judged none.
    """
    report = ShadowReport(model_id, "")
    for slide_id, store in _stores(library):
        if len(report.slides) >= most_slides or model_id not in shadow_ids(store):
            continue
        verdicts = read_shadow(store, model_id)
        report.name = report.name or str(verdicts.facts["name"])
        report.take(compared_slide(library.shelf(slide_id), verdicts), most_cells)
    if not report.slides:
        raise StoreError(
            f"{library.store}: no slide that the model {model_id} has judged beside another",
            "run slides with --shadow, or judge those that are there: `cytostream shadow --judge`",
        )
    return report


def compared_slide(shelf: SlideView, verdicts: ShadowVerdicts) -> SlideComparison:
    """A slide under both models.

    Raises:
        StoreError: journal and results have not the same cells.
    """
    cells = shelf.found.cells[: len(verdicts.columns["label"])]
    if len(cells) < len(verdicts.columns["label"]):
        raise StoreError(f"slide {shelf.slide_id}: cells are gone", "restore the store")
    facts = verdicts.facts
    classes = tuple(dict.fromkeys([*shelf.classes, *facts["classes"]]))
    new = np.zeros((len(cells), len(classes)), np.float32)
    new[:, [classes.index(name) for name in facts["classes"]]] = verdicts.columns["probability"]
    old = np.zeros_like(new)
    old[:, : len(shelf.classes)] = shelf.scores(cells)
    decisions = shelf.standing.decisions
    decided = {
        number: decisions[cell.cell_id].label
        for number, cell in enumerate(cells)
        if cell.cell_id in decisions and decisions[cell.cell_id].how != "unidentified"
    }
    return SlideComparison(
        shelf.slide_id,
        str(facts["counted_model_id"]),
        cells,
        [cell.label for cell in cells],
        verdicts.labels,
        old,
        new,
        classes,
        {**facts["parents"], **facts["counted_parents"]},
        decided,
        verdicts,
    )


def report_facts(report: ShadowReport) -> JsonObject:
    """The comparison as JSON values."""
    return {
        "model_id": report.model_id,
        "name": report.name,
        "counted_models": dict(report.counted_models),
        "slides": len(report.slides),
        "cells": report.cells,
        "differ": report.differ,
        "confusion": _rows(report.confusion),
        "parent_confusion": _rows(report.parent_confusion),
        "people": _agreement(report.people),
        "parent_people": _agreement(report.parent_people),
        "alerts": [
            {name: getattr(one, name) for name in AlertChange.__slots__} for one in report.slides
        ],
        "differing": [
            {name: getattr(one, name) for name in DifferingCell.__slots__}
            for one in report.differing
        ],
    }


def _rows(confusion: Counter[tuple[str, str]]) -> list[JsonObject]:
    return [
        {"counted": old, "shadow": new, "cells": count}
        for (old, new), count in confusion.most_common()
    ]


def _agreement(people: AgreementWithPeople) -> dict[str, int]:
    return {name: getattr(people, name) for name in AgreementWithPeople.__slots__}


def _by_rule(rules: Iterable[str], fired: np.ndarray) -> dict[str, int]:
    counts = fired.sum(axis=0) if len(fired) else []
    return {name: int(count) for name, count in zip(rules, counts, strict=False) if count}


def _stores(library: SlideLibrary) -> Iterator[tuple[str, SlideStore]]:
    """The result stores of finished slides, the newest first."""
    states = library.queries.slide_states()
    ended = [name for name, (status, _) in states.items() if status in FINISHED]
    ages = {name: str(library.outbox.facts(name).get("at", "")) for name in ended}
    for slide_id in sorted(ended, key=lambda name: ages[name], reverse=True):
        path = store_path(library.store, slide_id)
        if path.is_dir():
            yield slide_id, SlideStore.open(path)
