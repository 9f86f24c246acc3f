"""The rules of `[alerts]`: over the cells of a slide as they come, over the slide at its end, over
the slides of a scanner.

A bad stain must give one alert and not ten thousand: a rule raises alerts of single cells up to a
number a slide (and all rules up to a number an hour), and then one of the slide.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from classify import FAR_DRIFT, OTHER_CLASS, Model, Verdict, calibration_drift
from segment import Cell
from stream.config import Alerts, ConfigError
from stream.events import Alert, SlideAlert

from .cell_rules import CELL_RULES, CellRule, alerts_of
from .rare_classes import rare_classes
from .slide_rules import (
    MOST_EVIDENCE,
    SLIDE_RULES,
    AnomalyShare,
    LabelledCell,
    SlideFigures,
    SlideRule,
    SlideTests,
)


class AlertEvaluator:
    """The alerts of one slide. `given` are those of an earlier run, by rule; `this_hour` counts
    those of all slides.
    """

    def __init__(
        self,
        rules: Alerts,
        scanner: str,
        given: Counter[str],
        this_hour: Callable[[], int] = lambda: 0,
        cell_rules: Sequence[CellRule] = CELL_RULES,
        slide_rules: Sequence[SlideRule] = SLIDE_RULES,
        tests: SlideTests | None = None,
    ):
        self.tests = SlideTests(rare_classes(rules)) if tests is None else tests
        self.likeliest: dict[str, list[LabelledCell]] = {}
        self.above: Counter[str] = Counter()
        self.cell_rules = cell_rules
        self.slide_rules = slide_rules
        self.rules = rules
        self.scanner = scanner
        self.this_hour = this_hour
        self.given = Counter(given)
        self.odd = 0
        self.fits: list[tuple[str, float]] = []

    def count(self, label: str, score: float, absolute: float) -> None:
        """A cell that is judged, now or by an earlier run: its label, its anomaly score, and how
        badly its class explains it.
        """
        self.odd += score > self.rules.anomaly_above
        self.fits.append((label, absolute))

    def note_likely(self, kind: str, label: str, scores: Mapping[str, float], cell_id: str) -> None:
        """Keeps the cells of each label that are the surest evidence of it, and counts those that
        reach the probability of a test.
        """
        self.keep(label, LabelledCell(scores.get(label, 0.0), cell_id))
        if kind != "wbc" or label == OTHER_CLASS:
            return
        for rare in self.tests.rare:
            if rare.above is not None and rare.counts(label, scores):
                self.above[rare.name] += 1
                share = sum(scores.get(name, 0.0) for name in rare.labels)
                self.keep(rare.counted_as, LabelledCell(share, cell_id))

    def keep(self, key: str, cell: LabelledCell) -> None:
        kept = self.likeliest.setdefault(key, [])
        if len(kept) < MOST_EVIDENCE:
            heapq.heappush(kept, cell)
        else:
            heapq.heappushpop(kept, cell)

    def of_cell(self, cell: Cell, verdict: Verdict, cells: int) -> list[Alert | SlideAlert]:
        """The alerts that one cell raises; `cells` of the slide are judged so far."""
        own = verdict.standard_label or verdict.label
        self.count(own, verdict.anomaly.score, verdict.anomaly.absolute)
        self.note_likely(cell.kind, verdict.label, verdict.scores, cell.cell_id)
        return [
            self._limited(alert, cells)
            for alert in alerts_of(cell, verdict, self.rules, self.cell_rules)
        ]

    def of_slide(
        self, counts: Counter[str], white: int, before: Sequence[AnomalyShare]
    ) -> list[SlideAlert]:
        """The alerts of the whole slide: `counts` cells a label, `white` of them white cells,
        `before` the scanner's last slides, newest first.
        """
        slide = SlideFigures(
            counts,
            white,
            self.odd,
            tuple(before),
            self.scanner,
            self.tests,
            self.likeliest,
            self.above,
        )
        return [alert for rule in self.slide_rules for alert in rule(slide, self.rules)]

    def _limited(self, alert: Alert, cells: int) -> Alert | SlideAlert:
        self.given[alert.rule] += 1
        if self.given[alert.rule] > self.rules.at_most_per_slide:
            return self._instead(alert, cells, self.rules.at_most_per_slide, "on this slide")
        if (hour := self.this_hour()) >= self.rules.at_most_per_hour:
            return self._instead(
                alert, cells, self.rules.at_most_per_hour, f"within an hour ({hour})"
            )
        return alert

    def _instead(self, alert: Alert, cells: int, most: int, where: str) -> SlideAlert:
        reason = (
            f"more than {most} alerts of the rule {alert.rule} {where}: look at the stain; "
            "single cells raise no further alerts"
        )
        return SlideAlert(
            f"many-{alert.rule}",
            alert.severity,
            self.given[alert.rule],
            most,
            reason,
            cells,
            self.scanner,
        )

    def far_off(self, model: Model) -> list[SlideAlert]:
        """Where the slide's cells are not like those the model was calibrated on: its probabilities
        do not hold here then.
        """
        moved = calibration_drift(
            model, [label for label, _ in self.fits], [absolute for _, absolute in self.fits]
        )
        if not moved.far:
            return []
        reason = (
            "cells fit their classes otherwise than in the calibration (distance "
            f"{moved.distance:.2f}): see `calibrate`"
        )
        return [
            SlideAlert(
                "calibration",
                "warning",
                moved.distance,
                FAR_DRIFT,
                reason,
                moved.cells,
                self.scanner,
            )
        ]


def check_rules(rules: Alerts, classes: Iterable[str]) -> None:
    """Raises ConfigError where a rule names a class that the model has not: it would never
    raise an alert.
    """
    known = tuple(classes)
    named = [rule.label for rule in rules.classes] + [
        label for rule in rules.per_100_white for label in rule.labels
    ]
    if unknown := sorted(set(named) - set(known)):
        raise ConfigError(
            f"alerts: the model has no class {', '.join(unknown)}", f"of {', '.join(known)}"
        )
