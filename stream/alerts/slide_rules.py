"""The rules about a slide as a whole, each a function of its figures. One more rule is a function,
its test, and a line in `SLIDE_RULES`.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from classify import by_chance
from stream.config import Alerts
from stream.events import SlideAlert


@dataclass(frozen=True, slots=True)
class AnomalyShare:
    """Anomalous cells (`odd`) among the cells of one slide."""

    odd: int
    cells: int


@dataclass(frozen=True, slots=True)
class SlideFigures:
    """What a slide is judged by: `counts` cells a label, `white` of them white cells, `odd` of them
    anomalous; `before` the scanner's last slides, newest first.
    """

    counts: Counter[str]
    white: int
    odd: int
    before: tuple[AnomalyShare, ...]
    scanner: str

    @property
    def cells(self) -> int:
        """How many cells were judged."""
        return self.counts.total()


SlideRule = Callable[[SlideFigures, Alerts], Iterable[SlideAlert]]


def ratio_alerts(slide: SlideFigures, rules: Alerts) -> Iterable[SlideAlert]:
    """More cells of some classes per 100 white cells than a rule allows."""
    if slide.white < rules.white_at_least:
        return
    for rule in rules.per_100_white:
        ratio = 100 * sum(slide.counts[label] for label in rule.labels) / slide.white
        names = "+".join(rule.labels)
        if ratio > rule.above:
            reason = f"{ratio:.1f} {names} per 100 white cells, more than {rule.above:g}"
            yield SlideAlert(
                f"per-100-white {names}",
                rule.severity,
                ratio,
                rule.above,
                reason,
                slide.white,
                slide.scanner,
            )


def excess_alerts(slide: SlideFigures, rules: Alerts) -> Iterable[SlideAlert]:
    """More cells of a rare class than the background rate explains."""
    for rule in rules.excess:
        count = slide.counts[rule.label]
        chance = by_chance(count, slide.white, rule.background) if count else 1.0
        if count >= rule.at_least and chance < rule.chance_below:
            expected = rule.background * slide.white
            reason = (
                f"{count} of {slide.white} white cells are called {rule.label}, where "
                f"{expected:.1f} are expected on a normal slide: look at these cells first"
            )
            yield SlideAlert(
                rule=f"excess {rule.label}",
                severity=rule.severity,
                score=chance,
                threshold=rule.chance_below,
                reason=reason,
                cells=slide.white,
                scanner=slide.scanner,
            )


def anomaly_count_alerts(slide: SlideFigures, rules: Alerts) -> Iterable[SlideAlert]:
    """More anomalous cells than `anomalies_per_slide`."""
    most = rules.anomalies_per_slide
    if slide.odd > most:
        reason = f"{slide.odd} anomalous cells of {slide.cells}, more than {most}"
        yield SlideAlert(
            "anomalies", rules.severity, slide.odd, most, reason, slide.cells, slide.scanner
        )


def chance_alerts(slide: SlideFigures, rules: Alerts) -> Iterable[SlideAlert]:
    """More anomalous cells than chance explains: the rate of false alerts holds for each cell, so
    their number is tested against a binomial distribution.
    """
    rate = 1 - rules.anomaly_above
    p = by_chance(slide.odd, slide.cells, rate)
    if p < rules.chance_below:
        reason = (
            f"{slide.odd} anomalous cells of {slide.cells}, where {rate * slide.cells:.1f} are "
            "expected by chance"
        )
        yield SlideAlert(
            "more-than-chance",
            rules.severity,
            p,
            rules.chance_below,
            reason,
            slide.cells,
            slide.scanner,
        )


def drift_alerts(slide: SlideFigures, rules: Alerts) -> Iterable[SlideAlert]:
    """The share of anomalous cells has moved on the scanner's last slides: one alert when the limit
    is crossed, none while the share stays beyond it.
    """
    n = rules.drift_slides
    shares = [AnomalyShare(slide.odd, slide.cells), *slide.before]
    now = share_drift(shares, n, rules.drift_before)
    past = share_drift(shares[1:], n, rules.drift_before)
    if (
        now is not None
        and abs(now) > rules.drift_z
        and not (past is not None and abs(past) > rules.drift_z)
    ):
        recent = shares[:n]
        share = sum(s.odd for s in recent) / max(1, sum(s.cells for s in recent))
        what = f"{100 * share:.2f} % anomalous cells on the last {n} slides of this scanner"
        reason = f"{what}, {now:+.1f} standard errors from those before"
        yield SlideAlert(
            "drift",
            "warning",
            abs(now),
            rules.drift_z,
            reason,
            sum(s.cells for s in recent),
            slide.scanner,
        )


def share_drift(shares: Sequence[AnomalyShare], last: int, before: int) -> float | None:
    """How far the share of anomalous cells on the `last` slides is from that on those `before`
    them, in standard errors.

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


SLIDE_RULES: tuple[SlideRule, ...] = (
    ratio_alerts,
    excess_alerts,
    anomaly_count_alerts,
    chance_alerts,
    drift_alerts,
)
