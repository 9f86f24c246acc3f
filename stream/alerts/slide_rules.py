"""The rules about a slide as a whole, each a function of its figures. One more rule is a function,
its test, and a line in `SLIDE_RULES`.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from classify import by_chance
from stream.config import Alerts
from stream.events import SlideAlert

from .rare_classes import RareClass, significant

MOST_EVIDENCE = 50
EXCESS_ADVICE = "look at the cells named, most probable first, and count by hand before reporting"
RANGE_ADVICE = "look at the class on the page; if the cells are right, report the count as abnormal"


@dataclass(frozen=True, slots=True)
class AnomalyShare:
    """Anomalous cells (`odd`) among the cells of one slide."""

    odd: int
    cells: int


@dataclass(frozen=True, slots=True, order=True)
class LabelledCell:
    """A cell and the probability of its label."""

    probability: float
    cell_id: str


@dataclass(frozen=True, slots=True)
class SlideTests:
    """What the laboratory and the model make of a run's tests: rare classes with their background,
    reference ranges in per cent of white cells, and the parent of each class of the model.
    """

    rare: tuple[RareClass, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)

    def members(self, name: str) -> tuple[str, ...]:
        """The class, and those that it is the parent of."""
        return (name, *(label for label, of in self.parents.items() if of == name != label))


@dataclass(frozen=True, slots=True)
class SlideFigures:
    """What a slide is judged by: `counts` cells a label, `white` of them white cells, `odd` of them
    anomalous; `before` the scanner's last slides, newest first. `likeliest` are cells by label,
    or by the test that counts them by their probability, and `above` the number of the latter.
    """

    counts: Counter[str]
    white: int
    odd: int
    before: tuple[AnomalyShare, ...]
    scanner: str
    tests: SlideTests = SlideTests()
    likeliest: Mapping[str, Sequence[LabelledCell]] = field(default_factory=dict)
    above: Mapping[str, int] = field(default_factory=dict)

    def rare_count(self, rare: RareClass) -> int:
        """Cells that a test counts."""
        if rare.above is not None:
            return self.above.get(rare.name, 0)
        return sum(self.counts[label] for label in rare.labels)

    def counted(self, name: str) -> int:
        """Cells of a class, or of the classes that it is the parent of."""
        return sum(self.counts[label] for label in self.tests.members(name))

    def evidence(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Ids of the cells that are called so, the most probable first."""
        found = [cell for label in labels for cell in self.likeliest.get(label, ())]
        return tuple(cell.cell_id for cell in sorted(found, reverse=True)[:MOST_EVIDENCE])

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
    """More cells of a rare class than a normal slide of this laboratory shows."""
    counts = [slide.rare_count(rare) for rare in slide.tests.rare]
    chances = [
        rare.chance(count, slide.white)
        for rare, count in zip(slide.tests.rare, counts, strict=True)
    ]
    level = rules.false_alarms_per_100 / 100
    for rare, count, chance, speaks in zip(
        slide.tests.rare, counts, chances, significant(chances, level), strict=True
    ):
        if speaks:
            yield SlideAlert(
                rule=f"excess {rare.name}",
                severity=rare.severity,
                score=chance,
                threshold=level,
                reason=excess_reason(rare, count, slide.white, chance),
                cells=slide.white,
                scanner=slide.scanner,
                cell_ids=slide.evidence(rare.evidence_keys),
                advice=EXCESS_ADVICE,
            )


def excess_reason(rare: RareClass, count: int, white: int, chance: float) -> str:
    """What was found, how much that is, and how sure it is."""
    kind = "taught class " if rare.taught else ""
    are = "are called" if rare.above is None else f"have a probability above {rare.above:.2g} of"
    own = f", by {rare.slides} signed slides of this store" if rare.slides else ""
    rarity = f"1 in {1 / chance:,.0f}" if chance > 1e-9 else "1 in 1,000,000,000 or fewer"
    return (
        f"{count} of {white} white cells ({100 * count / white:.1f} %) {are} {kind}"
        f"{' or '.join(rare.labels)}, where {rare.background * white:.1f} are expected{own}: "
        f"so many or more are on {rarity} normal slides"
    )


def range_alerts(slide: SlideFigures, rules: Alerts) -> Iterable[SlideAlert]:
    """A class outside its reference range by more than counting and wrong calls explain (exact
    binomial, over all classes together).
    """
    if slide.white < rules.white_at_least:
        return
    error = rules.range_error
    found = []
    for name, (low, high) in slide.tests.ranges.items():
        count = slide.counted(name)
        above = by_chance(count, slide.white, min(1.0, (high + error) / 100))
        below = by_chance(slide.white - count, slide.white, min(1.0, 1 - (low - error) / 100))
        found += [(name, count, "above", high, above), (name, count, "below", low, below)]
    speaks = significant([chance for *_, chance in found], rules.false_alarms_per_100 / 100)
    for (name, count, side, limit, chance), is_outside in zip(found, speaks, strict=True):
        if is_outside:
            percent = 100 * count / slide.white
            yield SlideAlert(
                rule=f"range {name}",
                severity=rules.range_severity,
                score=percent,
                threshold=limit,
                reason=f"{percent:.1f} % {name} ({count} of {slide.white} white cells), {side} the "
                f"reference range's {limit:g} %; by counting alone with a probability of "
                f"{chance:.1g}",
                cells=slide.white,
                scanner=slide.scanner,
                cell_ids=slide.evidence(slide.tests.members(name)),
                advice=RANGE_ADVICE,
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
    range_alerts,
    anomaly_count_alerts,
    chance_alerts,
    drift_alerts,
)
