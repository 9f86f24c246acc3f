"""The rules of `[alerts]`: over the cells of a slide as they come, over the slide at its end, over
the slides of a scanner.

A bad stain must give one alert and not ten thousand: a rule speaks of single cells up to a number a
slide (and all rules up to a number an hour), and then once of the slide.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from classify import FAR_DRIFT, Model, Verdict, by_chance, calibration_drift
from segment import Cell
from stream.config import Alerts, ConfigError
from stream.events import Alert, SlideAlert

from .cell_rules import alerts_of


@dataclass(frozen=True, slots=True)
class AnomalyShare:
    """Odd cells among the cells of one slide."""

    odd: int
    cells: int


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
    ):
        self.rules = rules
        self.scanner = scanner
        self.this_hour = this_hour
        self.given = Counter(given)
        self.odd = 0
        self.fits: list[tuple[str, float]] = []

    def count(self, label: str, score: float, absolute: float) -> None:
        """A cell that is judged, now or by an earlier run: its label, how odd it is, and how ill
        its class explains it.
        """
        self.odd += score > self.rules.anomaly_above
        self.fits.append((label, absolute))

    def of_cell(self, cell: Cell, verdict: Verdict, cells: int) -> list[Alert | SlideAlert]:
        """The alerts that one cell raises; `cells` of the slide are judged so far."""
        self.count(verdict.label, verdict.anomaly.score, verdict.anomaly.absolute)
        return [self._limited(alert, cells) for alert in alerts_of(cell, verdict, self.rules)]

    def of_slide(
        self, counts: Counter[str], white: int, before: Sequence[AnomalyShare]
    ) -> list[SlideAlert]:
        """The alerts of the whole slide: `counts` cells a label, `white` of them white cells,
        `before` the scanner's last slides, newest first.
        """
        cells = counts.total()
        found = [
            *self._ratios(counts, white),
            *self._excess(counts, white),
            *self._many(cells),
            *self._chance(cells),
            *self._drift(cells, before),
        ]
        return [alert for alert in found if alert]

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
            "single cells are no more told of"
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

    def _ratios(self, counts: Counter[str], white: int) -> Iterable[SlideAlert]:
        if white < self.rules.white_at_least:
            return
        for rule in self.rules.per_100_white:
            ratio = 100 * sum(counts[label] for label in rule.labels) / white
            names = "+".join(rule.labels)
            if ratio > rule.above:
                reason = f"{ratio:.1f} {names} per 100 white cells, more than {rule.above:g}"
                yield SlideAlert(
                    f"per-100-white {names}",
                    rule.severity,
                    ratio,
                    rule.above,
                    reason,
                    white,
                    self.scanner,
                )

    def _excess(self, counts: Counter[str], white: int) -> Iterable[SlideAlert]:
        for rule in self.rules.excess:
            count = counts[rule.label]
            chance = by_chance(count, white, rule.background) if count else 1.0
            if count >= rule.at_least and chance < rule.chance_below:
                expected = rule.background * white
                reason = (
                    f"{count} of {white} white cells are called {rule.label}, where {expected:.1f} "
                    "are to be expected on a normal slide: look at these cells first"
                )
                yield SlideAlert(
                    rule=f"excess {rule.label}",
                    severity=rule.severity,
                    score=chance,
                    threshold=rule.chance_below,
                    reason=reason,
                    cells=white,
                    scanner=self.scanner,
                )

    def _many(self, cells: int) -> Iterable[SlideAlert]:
        most = self.rules.anomalies_per_slide
        if self.odd > most:
            reason = f"{self.odd} odd cells of {cells}, more than {most}"
            yield SlideAlert(
                "anomalies", self.rules.severity, self.odd, most, reason, cells, self.scanner
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

    def _chance(self, cells: int) -> Iterable[SlideAlert]:
        """Cell by cell each alert keeps its rate; how many of them chance explains can be told of
        the slide alone.
        """
        rate = 1 - self.rules.anomaly_above
        p = by_chance(self.odd, cells, rate)
        if p < self.rules.chance_below:
            reason = (
                f"{self.odd} odd cells of {cells}, where {rate * cells:.1f} are to be "
                "expected by chance"
            )
            yield SlideAlert(
                "more-than-chance",
                self.rules.severity,
                p,
                self.rules.chance_below,
                reason,
                cells,
                self.scanner,
            )

    def _drift(self, cells: int, before: Sequence[AnomalyShare]) -> Iterable[SlideAlert]:
        """Speaks when the line is crossed, and not again while the share stays there."""
        n = self.rules.drift_slides
        rules = self.rules
        shares = [AnomalyShare(self.odd, cells), *before]
        now = share_drift(shares, n, rules.drift_before)
        past = share_drift(shares[1:], n, rules.drift_before)
        if (
            now is not None
            and abs(now) > rules.drift_z
            and not (past is not None and abs(past) > rules.drift_z)
        ):
            recent = shares[:n]
            share = sum(s.odd for s in recent) / max(1, sum(s.cells for s in recent))
            what = f"{100 * share:.2f} % odd cells on the last {n} slides of this scanner"
            reason = f"{what}, {now:+.1f} standard errors from those before"
            yield SlideAlert(
                "drift",
                "warning",
                abs(now),
                rules.drift_z,
                reason,
                sum(s.cells for s in recent),
                self.scanner,
            )


def share_drift(shares: Sequence[AnomalyShare], last: int, before: int) -> float | None:
    """How far the share of odd cells on the `last` slides is from that on those `before` them, in
    standard errors.

    Two proportions, pooled: z = (p1 - p2) / sqrt(p (1 - p) (1/n1 + 1/n2)). None where there are
    fewer slides, or nothing varies.
    """
    recent = shares[:last]
    past = shares[last : last + before]
    if len(past) < before:
        return None
    (odd1, n1), (odd2, n2) = (
        (sum(s.odd for s in part), sum(s.cells for s in part)) for part in (recent, past)
    )
    if not n1 or not n2 or not 0 < odd1 + odd2 < n1 + n2:
        return None
    pooled = (odd1 + odd2) / (n1 + n2)
    return (odd1 / n1 - odd2 / n2) / math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))


def check_rules(rules: Alerts, classes: Iterable[str]) -> None:
    """Raises ConfigError where a rule names a class that the model has not: it would never
    speak.
    """
    known = tuple(classes)
    named = [rule.label for rule in rules.classes] + [
        label for rule in rules.per_100_white for label in rule.labels
    ]
    if unknown := sorted(set(named) - set(known)):
        raise ConfigError(
            f"alerts: the model has no class {', '.join(unknown)}", f"of {', '.join(known)}"
        )
