"""What the judge says of a cell. Pixels end here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Anomaly:
    """How odd a cell is; `score` is the share of normal cells that are less odd, in [0, 1]: higher is odder.

    `relative`: no class explains the cell clearly better than the rest (the paper's zeta, sign turned).
    `absolute`: no class explains it well. `reason` is one sentence for a person.
    """

    score: float
    relative: float
    absolute: float
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Label, class probabilities (sum 1), anomaly, draws used; `decided` is False where the draws ran out."""

    label: str
    scores: dict[str, float]
    anomaly: Anomaly
    draws: int
    decided: bool
