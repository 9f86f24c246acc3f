"""The content of an alert: of one cell, or of a slide as a whole."""

from dataclasses import dataclass

from .payloads import Severity


@dataclass(frozen=True, slots=True)
class Alert:
    """The rule that raised it, its score against its threshold, the sentence for a person, a PNG of
    the cell, and its morphology in words where the model gives it.
    """

    rule: str
    severity: Severity
    score: float
    threshold: float
    reason: str
    thumbnail_png: bytes
    morphology: str = ""


@dataclass(frozen=True, slots=True)
class SlideAlert:
    """An alert about a slide as a whole: its score against its threshold, over `cells` cells;
    `cell_ids` are those that it rests on, the surest first, and `advice` what to do.
    """

    rule: str
    severity: Severity
    score: float
    threshold: float
    reason: str
    cells: int
    scanner: str
    cell_ids: tuple[str, ...] = ()
    advice: str = ""
