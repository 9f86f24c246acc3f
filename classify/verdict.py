"""What the judge says of a cell. Pixels end here."""

from dataclasses import dataclass, field

import numpy as np

UNIDENTIFIED = "unidentified"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """How anomalous a cell is; `score` is the share of normal cells with a lower score, in [0, 1]:
    higher is more anomalous.

    `relative`: no class explains the cell clearly better than the rest (the paper's zeta, sign
    turned). `absolute`: no class explains it well. `reason` is one sentence for a person.
    """

    score: float
    relative: float
    absolute: float
    reason: str

    @property
    def p_value(self) -> float:
        """Probability of a normal cell at least as anomalous: 1 - `score`."""
        return 1.0 - self.score


@dataclass(frozen=True, slots=True)
class Verdict:
    """Label, class probabilities (sum 1), anomaly, draws used; `decided` is False where the draws
    ran out.

    `may_be` are the classes that the cell may be of, so that the right one is among them as
    often as the card's `coverage`
    says: several where it is not clear which, none where no class suits. `parents` are the
    probabilities of the classes of a
    classical differential (sum 1) and `parent` the likeliest of them, which the label belongs
    to; `parents_possible`
    are those of `may_be`. `features` (F,) float16 are the encoder's, averaged over the first draws.

    Classes that a laboratory has taught are in `scores` too; `taught` has their names, and
    `standard_label` the label of the model's own classes, whatever the taught ones say.
    """

    label: str
    scores: dict[str, float]
    anomaly: Anomaly
    draws: int
    decided: bool
    may_be: tuple[str, ...] = ()
    parents: dict[str, float] = field(default_factory=dict)
    parent: str = ""
    parents_possible: tuple[str, ...] = ()
    contradiction: str = ""
    taught: tuple[str, ...] = ()
    standard_label: str = ""
    features: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def outcome(self) -> str:
        """The label, or `unidentified` where the cell may be of no class or of another parent than
        the label's, or was found as what the label is not (`contradiction` says how).
        """
        if self.contradiction:
            return UNIDENTIFIED
        return self.label if self.parents_possible == (self.parent,) else UNIDENTIFIED
