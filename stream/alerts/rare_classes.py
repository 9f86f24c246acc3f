"""Tests on the number of cells of rare classes: more than so many normal slides of this laboratory
show. Exact, and over all rare classes together.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import betaln, gammaln

from classify.teaching import TaughtClass
from stream.config import Alerts, ExcessRule
from stream.events import Severity

# Between slides the share of false calls varies as if each told no more than so many cells; chosen
# after a look at the patients of deepapl/normal, not measured by a command
MOST_ALIKE = 2000
NOT_WHITE = ("platelet", "other")


@dataclass(frozen=True, slots=True)
class SignedSlide:
    """Cells a label of a slide as the machine called them, and as a person signed for; `counted`
    are those that reached the probability of a test, by its name.
    """

    machine: Counter[str]
    signed: Counter[str]
    counted: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class RareClass:
    """Labels that are counted together: cells that are called so, or those of which they have more
    than the probability `above`. Of white cells of other classes, `false_calls` of
    `false_calls` + `right_calls` are expected to be called so: the two numbers of a beta
    distribution. `found` is the share of cells of the class that are called so, where it is known.
    """

    labels: tuple[str, ...]
    false_calls: float
    right_calls: float
    at_least: int
    severity: Severity
    slides: int = 0
    taught: bool = False
    found: float | None = None
    above: float | None = None

    def counts(self, label: str, scores: Mapping[str, float]) -> bool:
        """Whether a white cell counts."""
        if self.above is None:
            return label in self.labels
        return sum(scores.get(name, 0.0) for name in self.labels) > self.above

    @property
    def name(self) -> str:
        return "+".join(self.labels)

    @property
    def counted_as(self) -> str:
        """Where the cells are kept that reach the probability."""
        return f"above {self.name}"

    @property
    def evidence_keys(self) -> tuple[str, ...]:
        """Where the cells that count are kept: by label, or by this test."""
        return self.labels if self.above is None else (self.counted_as,)

    @property
    def background(self) -> float:
        """The expected share of other white cells that are called so."""
        return self.false_calls / (self.false_calls + self.right_calls)

    def chance(self, count: int, white: int) -> float:
        """Probability of `count` or more among `white` cells of a normal slide."""
        if count < max(1, self.at_least):
            return 1.0
        return beta_binomial_tail(count, white, self.false_calls, self.right_calls)


def beta_binomial_tail(count: int, cells: int, a: float, b: float) -> float:
    """Probability of `count` or more of `cells`, each with a probability that is drawn once for all
    from a beta distribution (a, b).

    P(K = k) = C(n, k) B(k + a, n - k + b) / B(a, b)
    """
    if count > cells:
        return 0.0
    k = np.arange(count, cells + 1)
    ways = gammaln(cells + 1) - gammaln(k + 1) - gammaln(cells - k + 1)
    log = ways + betaln(k + a, cells - k + b) - betaln(a, b)
    return min(1.0, float(np.exp(log).sum()))


def rare_classes(
    rules: Alerts,
    known: Iterable[str] | None = None,
    taught: Sequence[TaughtClass] = (),
    signed: Sequence[SignedSlide] = (),
) -> tuple[RareClass, ...]:
    """The tests of a run: those of the rules about classes that the model has (`known`; None: all),
    and one a taught class. What people have signed for in this laboratory corrects the background.
    """
    own = {(one.name,) for one in taught}
    names = None if known is None else {*known, *(one.name for one in taught)}
    found = []
    for rule in rules.excess:
        labels = tuple(label for label in rule.labels if names is None or label in names)
        if labels and labels not in own:
            found.append(rare_class(rule, labels, signed))
    return (*found, *(taught_rare_class(one, rules, signed) for one in taught))


def rare_class(
    rule: ExcessRule, labels: tuple[str, ...], signed: Sequence[SignedSlide]
) -> RareClass:
    """A rule as it holds in a laboratory that has signed these slides."""
    false_calls, cells = own_background(labels, signed)
    whole = rule.background_cells + cells
    share = (rule.background * rule.background_cells + false_calls) / whole
    weight = min(whole, MOST_ALIKE)
    return RareClass(
        labels=labels,
        false_calls=share * weight,
        right_calls=(1 - share) * weight,
        at_least=rule.at_least,
        severity=rule.severity,
        slides=len(signed),
    )


def taught_rare_class(one: TaughtClass, rules: Alerts, signed: Sequence[SignedSlide]) -> RareClass:
    """The test of a taught class: its background is what its cross-validation has shown, with half
    a cell more for what few normal cells cannot show, and what people have signed for since.
    """
    labels = (one.name,)
    point = one.counting
    above = point.above if point else None
    rate = point.false_rate if point else one.expected.false_rate
    known = [slide for slide in signed if above is None or one.name in slide.counted]
    false_calls, cells = own_background(labels, known, above)
    share = (rate * one.normal_cells + 0.5 + false_calls) / (one.normal_cells + 1 + cells)
    weight = min(one.normal_cells + 1 + cells, MOST_ALIKE)
    return RareClass(
        labels=labels,
        false_calls=share * weight,
        right_calls=(1 - share) * weight,
        at_least=rules.taught_at_least,
        severity=rules.taught_severity,
        slides=len(known),
        taught=True,
        found=point.sensitivity if point else one.expected.sensitivity,
        above=above,
    )


def own_background(
    labels: tuple[str, ...], signed: Sequence[SignedSlide], above: float | None = None
) -> tuple[int, int]:
    """Of signed slides: how many white cells were counted and are not of the class, of how many
    that are of other classes.
    """
    false_calls = 0
    cells = 0
    for slide in signed:
        called = (
            sum(slide.machine[label] for label in labels)
            if above is None
            else slide.counted["+".join(labels)]
        )
        kept = sum(slide.signed[label] for label in labels)
        white = sum(n for label, n in slide.machine.items() if label not in NOT_WHITE)
        false_calls += max(0, called - kept)
        cells += max(0, white - kept)
    return false_calls, cells


def significant(chances: Sequence[float], level: float) -> list[bool]:
    """Which of several tests hold, so that with a probability of `level` at most any of them
    holds without cause (Holm, Scand. J. Stat. 6:65, 1979).
    """
    speaks = [False] * len(chances)
    for place, number in enumerate(sorted(range(len(chances)), key=lambda n: chances[n])):
        if chances[number] > level / (len(chances) - place):
            break
        speaks[number] = True
    return speaks


def alarm_count(rare: RareClass, white: int, level: float) -> int:
    """The least number of cells among `white` that raises an alarm at this level."""
    low, high = 1, white + 1
    while low < high:
        middle = (low + high) // 2
        if rare.chance(middle, white) <= level:
            high = middle
        else:
            low = middle + 1
    return low
