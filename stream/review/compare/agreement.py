"""How far two people agree on the cells of a slide: Cohen's kappa, overall and for each class
against all others (Cohen, Educ. Psychol. Meas. 20:37, 1960).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from stream.review.cell_classes import Scheme
from stream.review.review_state import Standing

LabelPair = tuple[str, str]  # of one cell: the first reader's, the second reader's


@dataclass(frozen=True, slots=True)
class ClassAgreement:
    """A class that one of two people has called cells: `first` and `second` are how many each,
    `both` on how many they agree; `kappa` is None where both called every cell so, or none.
    """

    name: str
    title: str
    first: int
    second: int
    both: int
    kappa: float | None


@dataclass(frozen=True, slots=True)
class SecondReading:
    """What a second reader has called cells that another person had decided on."""

    reader: str
    cells: int
    alike: int
    kappa: float | None
    classes: list[ClassAgreement]
    differ: list[str]


def second_readings(scheme: Scheme, standing: Standing) -> list[SecondReading]:
    """One a second reader, over the cells that this person and the first reader have called."""
    return [
        _reading(scheme, standing, reader, called) for reader, called in standing.second.items()
    ]


def _reading(
    scheme: Scheme, standing: Standing, reader: str, called: dict[str, str]
) -> SecondReading:
    pairs = {
        cell_id: (standing.decisions[cell_id].label, label)
        for cell_id, label in called.items()
        if cell_id in standing.decisions
    }
    values = list(pairs.values())
    return SecondReading(
        reader,
        cells=len(values),
        alike=sum(first == second for first, second in values),
        kappa=cohen_kappa(values),
        classes=class_agreements(scheme, values),
        differ=[cell_id for cell_id, (first, second) in pairs.items() if first != second],
    )


def class_agreements(scheme: Scheme, pairs: Sequence[LabelPair]) -> list[ClassAgreement]:
    """One a class that either person has named, in the order of the scheme."""
    first = Counter(one for one, _ in pairs)
    second = Counter(other for _, other in pairs)
    both = Counter(one for one, other in pairs if one == other)
    found = []
    for each in scheme.classes:
        name = each.name
        if first[name] or second[name]:
            is_so = [(str(one == name), str(other == name)) for one, other in pairs]
            kappa = cohen_kappa(is_so)
            found.append(
                ClassAgreement(name, each.title, first[name], second[name], both[name], kappa)
            )
    return found


def cohen_kappa(pairs: Sequence[LabelPair]) -> float | None:
    """(p_o - p_e) / (1 - p_e): 1 where all labels agree, 0 where they agree as often as by chance;
    None without a pair, and where chance alone would agree on all of them.
    """
    if not pairs:
        return None
    count = len(pairs)
    first = Counter(one for one, _ in pairs)
    second = Counter(other for _, other in pairs)
    observed = sum(one == other for one, other in pairs) / count
    expected = sum(first[name] * second[name] for name in first) / count**2
    return None if expected == 1 else (observed - expected) / (1 - expected)
