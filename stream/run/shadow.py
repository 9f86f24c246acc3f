"""A second model judges the cells of a slide once the slide is done, from the same stored crops.
Its verdicts are kept beside those that count; they raise no alert and are no event.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from classify import (
    OTHER_CLASS,
    Anomaly,
    Engine,
    Model,
    Verdict,
    contradiction_of,
    judge,
    size_evidence,
)
from ingest import CytostreamError, StoreError
from segment import Cell
from stream.alerts import AlertEvaluator, SlideTests, alerts_of
from stream.config import Alerts
from stream.events import SLIDE_ALERT, JsonObject
from stream.store import (
    CHUNK_ROWS,
    Outbox,
    SlideStore,
    begin_shadow,
    put_shadow,
    shadow_ids,
    shadow_tries,
    store_path,
)

_log = logging.getLogger(__name__)
# a model under which the process has ended so often at a slide does not judge it again by itself
MOST_TRIES = 2
# rules on a slide as a whole that one slide's white cells decide: others look at slides before it,
# at red cells, or at how many alerts there were
COMPARED_RULES = (
    "per-100-white",
    "excess",
    "range",
    "anomalies",
    "more-than-chance",
    "calibration",
)


@dataclass(frozen=True, slots=True)
class ShadowModel:
    """A second model, what runs it, and the tests of a slide's cells by its classes."""

    name: str
    model: Model
    engine: Engine
    tests: SlideTests


@dataclass(frozen=True, slots=True)
class JournalledCell:
    """A cell as it was found, with the verdict that counts."""

    cell: Cell
    verdict: Verdict


class ShadowJudge:
    """Judges finished slides by a second model, which is opened at the first one. A fault of it is
    said once, and costs no slide anything.
    """

    def __init__(self, open_model: Callable[[], ShadowModel], on_fault: Callable[[str], None]):
        self._open_model = open_model
        self._on_fault = on_fault
        self._opened: ShadowModel | None = None
        self._has_failed = False

    def after(self, outbox: Outbox, folder: Path, slide_id: str, rules: Alerts) -> None:
        """Judges a finished slide that this model has not judged yet."""
        try:
            self._opened = self._opened or self._open_model()
            judge_again(self._opened, outbox, folder, slide_id, rules)
        except Exception as error:  # whatever a new model does, the slide is done
            _log.warning("shadow model at %s: %s", slide_id, type(error).__name__)
            if not self._has_failed:
                self._has_failed = True
                what = error.what if isinstance(error, CytostreamError) else f"unexpected {error!r}"
                self._on_fault(what)


def judge_again(
    shadow: ShadowModel,
    outbox: Outbox,
    folder: Path,
    slide_id: str,
    rules: Alerts,
    most_tries: int = MOST_TRIES,
) -> bool:
    """Keeps what a second model says of a slide's cells. False where it has done so before, is the
    model that counts, or there are no crops.

    Raises:
        CytostreamError: the model cannot be run, or the store not be written.
    """
    store = SlideStore.open_to_change(store_path(folder, slide_id))
    model = shadow.model
    counted = store.facts.get("model_id")
    if counted == model.model_id or not store.rows or not store.has("crop"):
        return False
    tries = shadow_tries(store, model.model_id)
    if model.model_id in shadow_ids(store) or tries >= most_tries:
        return False
    begin_shadow(store, model.model_id)
    cells = list(journalled_cells(outbox, store, slide_id))
    verdicts = verdicts_of(shadow, cells)
    columns = shadow_columns(cells, verdicts, rules, model.card.classes)
    raised = outbox.events(slide_id, types=(SLIDE_ALERT,))
    facts: JsonObject = {
        "model_id": model.model_id,
        "name": shadow.name,
        "classes": model.card.classes,
        "parents": {name: model.card.parent_of(name) for name in model.card.classes},
        "counted_model_id": counted,
        "counted_parents": {
            one.verdict.label: one.verdict.parent for one in cells if one.verdict.parent
        },
        "rules": columns.rules,
        "slide_alerts": slide_alerts(shadow, cells, verdicts, rules),
        "counted_slide_alerts": sorted(
            {str(one.event.data["rule"]) for one in raised if is_compared(one.event.data["rule"])}
        ),
        "engine": shadow.engine.name,
        "precision": shadow.engine.precision,
        "at": datetime.now(UTC).isoformat(),
    }
    put_shadow(store, model.model_id, facts, columns.arrays)
    return True


def journalled_cells(outbox: Outbox, store: SlideStore, slide_id: str) -> Iterator[JournalledCell]:
    """The cells of a slide in the order of its results.

    Raises:
        StoreError: journal and results have not the same cells.
    """
    rows = outbox.cells(slide_id)
    for first in range(0, store.rows, CHUNK_ROWS):
        for crop in store.read("crop", first, first + CHUNK_ROWS):
            row = next(rows, None)
            if row is None:
                raise StoreError(f"{store.path}: more cells than in the journal", "restore it")
            body = json.loads(row.body)
            yield JournalledCell(Cell(**body["cell"], crop=crop), counted_verdict(body["verdict"]))


def counted_verdict(said: JsonObject) -> Verdict:
    """The verdict of a journalled cell, as far as alerts need it."""
    anomaly = Anomaly(**said["anomaly"])
    contradiction = said.get("contradiction", "")
    return Verdict(
        said["label"],
        said["scores"],
        anomaly,
        said["draws"],
        said["decided"],
        contradiction=contradiction,
        parent=said.get("parent", ""),
    )


def verdicts_of(shadow: ShadowModel, cells: list[JournalledCell]) -> list[Verdict]:
    """The verdicts of a run with this model on these cells."""
    card = shadow.model.card

    def evidence_of(number: int) -> np.ndarray:
        cell = cells[number].cell
        return size_evidence(card, cell.kind, cell.area_um2)

    crops = ((number, one.cell.crop) for number, one in enumerate(cells))
    found = dict(judge(crops, shadow.engine, shadow.model, evidence=evidence_of))
    return [_with_contradiction(shadow, one.cell, found[n]) for n, one in enumerate(cells)]


def _with_contradiction(shadow: ShadowModel, cell: Cell, verdict: Verdict) -> Verdict:
    against = contradiction_of(shadow.model.card, cell.kind, cell.area_um2, verdict.label)
    return replace(verdict, contradiction=against)


@dataclass(frozen=True, slots=True, eq=False)
class ShadowColumns:
    """The columns of verdicts, and the names of the rules that raise an alert."""

    arrays: dict[str, np.ndarray]
    rules: list[str]


def shadow_columns(
    cells: list[JournalledCell], verdicts: list[Verdict], rules: Alerts, classes: tuple[str, ...]
) -> ShadowColumns:
    """The columns that are kept of verdicts; alerts of both models by the same rules."""
    new = [
        _rules_of(one.cell, verdict, rules) for one, verdict in zip(cells, verdicts, strict=True)
    ]
    old = [_rules_of(one.cell, one.verdict, rules) for one in cells]
    names = sorted(set().union(*new, *old))
    arrays: dict[str, np.ndarray] = {
        "label": np.array([classes.index(v.label) for v in verdicts], np.uint8),
        "probability": np.array([[v.scores[c] for c in classes] for v in verdicts], np.float32),
        "anomaly": np.array(
            [(v.anomaly.score, v.anomaly.relative, v.anomaly.absolute) for v in verdicts],
            np.float32,
        ),
        "draws": np.array([v.draws for v in verdicts], np.uint16),
        "alerts": np.array([[name in one for name in names] for one in new], bool),
        "counted_alerts": np.array([[name in one for name in names] for one in old], bool),
    }
    return ShadowColumns(arrays, names)


def _rules_of(cell: Cell, verdict: Verdict, rules: Alerts) -> set[str]:
    return {alert.rule for alert in alerts_of(cell, verdict, rules)}


def slide_alerts(
    shadow: ShadowModel, cells: list[JournalledCell], verdicts: list[Verdict], rules: Alerts
) -> list[str]:
    """Which rules would raise an alert of the slide as a whole under this model."""
    evaluator = AlertEvaluator(rules, "", Counter(), tests=shadow.tests)
    counts: Counter[str] = Counter()
    white = 0
    for one, verdict in zip(cells, verdicts, strict=True):
        evaluator.count(verdict.label, verdict.anomaly.score, verdict.anomaly.absolute)
        evaluator.note_likely(one.cell.kind, verdict.label, verdict.scores, one.cell.cell_id)
        counts[verdict.label] += 1
        white += one.cell.kind == "wbc" and verdict.label != OTHER_CLASS
    found = [*evaluator.of_slide(counts, white, ()), *evaluator.far_off(shadow.model)]
    return sorted({alert.rule for alert in found if is_compared(alert.rule)})


def is_compared(rule: str) -> bool:
    """Whether a rule on the slide as a whole is compared between two models."""
    return rule.partition(" ")[0] in COMPARED_RULES
