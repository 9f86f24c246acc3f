"""The versions of a slide's count beside each other, and what an amended one changed in the one
before.
"""

from dataclasses import dataclass
from datetime import datetime

from .differential import DifferentialLine, differential
from .review_state import Standing
from .slides import SlideView


def changes_since(shelf: SlideView, standing: Standing) -> list[str]:
    """Sentences on what a version changed in the one before: why, and each class whose count is
    another one, with both counts; empty for a first version.
    """
    earlier = [s for s in standing.signatures if s.version < standing.version]
    if not earlier:
        return []
    before = earlier[-1]
    now = shelf.counts(standing)
    amendment = standing.amendments[standing.version]
    sentences = [f"Amended by {amendment.by}: {amendment.reason}."]
    for line in shelf.scheme.classes:
        was = before.counts.get(line.name, 0)
        if was != now[line.name]:
            sentences.append(f"{line.title}: {was} before, {now[line.name]} now.")
    if len(sentences) == 1:
        sentences.append("No count has changed.")
    return sentences


@dataclass(frozen=True, slots=True)
class CountVersion:
    """A version of the count: who signed it, None while it is open; from the second on who opened
    it, and why.
    """

    version: int
    signed_by: str | None
    at: datetime | None
    conclusion: str
    amended_by: str
    reason: str
    lines: list[DifferentialLine]


def versions_of(shelf: SlideView) -> list[CountVersion]:
    """All versions, the first one first; the last is the one that is worked on, or signed last."""
    standing = shelf.standing
    signed = {one.version: one for one in standing.signatures}
    found = []
    for version in range(1, standing.version + 1):
        by = signed.get(version)
        opened = standing.amendments.get(version)
        counts = by.counts if by else shelf.counts(standing)
        found.append(
            CountVersion(
                version,
                signed_by=by.by if by else None,
                at=by.at if by else None,
                conclusion=(by.comment or "") if by else "",
                amended_by=opened.by if opened else "",
                reason=opened.reason if opened else "",
                lines=differential(shelf.scheme, counts),
            )
        )
    return found
