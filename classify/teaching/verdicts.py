"""Taught classes among a verdict's probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from classify.errors import DataError
from classify.rule import DIGITS
from classify.verdict import Verdict

from .taught_class import TaughtClass

POSSIBLE = (
    0.05  # a taught class of this probability is one that the cell may be of; chosen, not measured
)


@dataclass(frozen=True, slots=True)
class TaughtJudge:
    """What taught classes add to verdicts.

    Raises:
        DataError: two of one name.
    """

    classes: Sequence[TaughtClass]

    def __post_init__(self) -> None:
        names = [taught.name for taught in self.classes]
        if len(set(names)) < len(names):
            raise DataError(f"two taught classes of one name: {', '.join(names)}", "give one each")

    @property
    def taught_ids(self) -> str:
        """Which versions of which classes; empty without any."""
        return " ".join(sorted(taught.taught_id for taught in self.classes))

    def verdict(self, given: Verdict) -> Verdict:
        """The verdict with the taught classes among its scores; as given where there is none.

        Each class has odds of its own against all others; the model's classes keep their
        proportions. A taught class is the label where it is likelier than every parent; the
        model's own label is `standard_label`. A class of the model's that was taught again has the
        taught one's odds.
        """
        if not self.classes or given.features is None:
            return given
        odds = {
            taught.name: float(np.exp(np.clip(taught.log_odds(given.features[None])[0], -50, 50)))
            for taught in self.classes
        }
        scores = beside(given.scores, odds)
        parents = beside(given.parents, odds)
        name = max(odds, key=lambda taught: odds[taught])
        wins = parents[name] >= max(parents.values())
        kept = tuple(label for label in given.may_be if label not in odds)
        added = tuple(taught for taught in odds if parents[taught] >= POSSIBLE)
        kept_parents = tuple(label for label in given.parents_possible if label not in odds)
        sure = wins and parents[name] >= 1 - POSSIBLE
        best = next_best(scores, odds) if given.label in odds else given.label
        parent = next_best(parents, odds) if given.parent in odds else given.parent
        return replace(
            given,
            label=name if wins else best,
            parent=name if wins else parent,
            scores=scores,
            parents=parents,
            may_be=(name,) if sure else (*kept, *added),
            parents_possible=(name,) if sure else (*kept_parents, *added),
            taught=tuple(odds),
            standard_label=given.label,
        )


def next_best(shares: dict[str, float], without: dict[str, float]) -> str:
    rest = {name: share for name, share in shares.items() if name not in without}
    return max(rest, key=lambda name: rest[name])


def beside(shares: dict[str, float], odds: dict[str, float]) -> dict[str, float]:
    """Probabilities of the model's classes with those of the taught ones, of sum 1."""
    rest = {name: share for name, share in shares.items() if name not in odds}
    whole = sum(rest.values())
    total = 1 + sum(odds.values())
    spread = {name: (share / whole if whole else 0.0) / total for name, share in rest.items()}
    joined = spread | {name: value / total for name, value in odds.items()}
    order = dict.fromkeys([*shares, *odds])
    return {name: round(joined[name], DIGITS) for name in order}
