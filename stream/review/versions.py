"""What an amended version changed in the version that was signed before it."""

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
