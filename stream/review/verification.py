"""How much of a count a person has looked at: the cells of each class that were decided on one by
one, together with others, or not at all.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from stream.config import ReviewSettings

from .cell_classes import Scheme
from .detections import Detection
from .red_cells import RedDetection
from .review_state import Standing

SMALL_COUNT = 100  # white cells of a usual count, by convention: fewer are said to be uncertain


@dataclass(frozen=True, slots=True)
class ClassVerification:
    """One class of the count: `single` cells were decided on alone, `together` in one act with
    others, the rest of `count` by the machine alone.
    """

    name: str
    title: str
    white: bool
    count: int
    single: int
    together: int

    @property
    def seen(self) -> int:
        return self.single + self.together


def verification(
    scheme: Scheme, standing: Standing, cells: Iterable[Detection | RedDetection]
) -> list[ClassVerification]:
    """One entry a class that has cells, in the order of the scheme."""
    count: Counter[str] = Counter()
    single: Counter[str] = Counter()
    together: Counter[str] = Counter()
    for cell in cells:
        label = standing.label(cell.cell_id, cell.label)
        count[label] += 1
        if decision := standing.decisions.get(cell.cell_id):
            alone = len(standing.acts[decision.act].before) == 1
            (single if alone else together)[label] += 1
    return [
        ClassVerification(c.name, c.title, c.white, count[c.name], single[c.name], together[c.name])
        for c in scheme.classes
        if count[c.name]
    ]


def verified_sentence(found: Iterable[ClassVerification], standing: Standing) -> str:
    """What a report says of it: how many cells people have verified, and who."""
    found = list(found)
    total = sum(each.count for each in found)
    seen = sum(each.seen for each in found)
    names = sorted({decision.by for decision in standing.decisions.values()})
    if not seen:
        return f"None of {total} cells was verified by a person."
    return f"{seen} of {total} cells were verified by {', '.join(names)}."


def small_count(white: int) -> str:
    """A warning where percentages rest on few white cells; empty where they do not."""
    if not 0 < white < SMALL_COUNT:
        return ""
    return f"The percentages rest on {white} white cells; fewer than {SMALL_COUNT} are uncertain."


def missing_looks(found: Iterable[ClassVerification], rules: ReviewSettings) -> str:
    """What the laboratory's rule still asks for before a signature; empty where it is met."""
    found = list(found)
    white = [each for each in found if each.white]
    wanted = min(rules.sign_cells, sum(each.count for each in white))
    seen = sum(each.seen for each in white)
    if seen < wanted:
        return f"{seen} of {wanted} white cells have been verified"
    for each in found:
        if each.name in rules.sign_classes and each.seen < each.count:
            return f"{each.seen} of {each.count} cells have been verified: {each.title}"
    return ""
