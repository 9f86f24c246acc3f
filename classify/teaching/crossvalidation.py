"""What a taught class may be expected to do, measured on patients that its head has not seen."""

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import betaincinv, expit

from .head import fit_head

# Chosen on deepapl, raabin and jtsc, by `python -m tests.tools.bench.teaching DATA --work DIR`.
PENALTIES = (0.1, 0.03, 0.3, 1.0)  # of equal ones the first
HELD_OUT_FOLDS = 5
SPECIFICITY = 0.96
COUNTED_FALSELY = (
    0.02  # of normal cells, in the test of a slide; `tests.tools.bench.alarms --crops`
)


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Features of the cells (n, F) of a class and of normal cells (m, F), and the patient of
    each.
    """

    cells: np.ndarray
    normal: np.ndarray
    cell_groups: tuple[str, ...]
    normal_groups: tuple[str, ...]


class Expected(BaseModel):
    """Figures of cross-validation; intervals are of 95 % (Clopper and Pearson), cell by cell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str = Field(description="what is held out together: name, folder (patients) or cell")
    folds: int
    auc: float
    sensitivity_at_96: float = Field(description="share found where 4 in 100 normal cells are")
    sensitivity: float = Field(description="share of the cells that get the label")
    sensitivity_interval: tuple[float, float]
    false_rate: float = Field(description="share of the normal cells that get the label")
    false_rate_interval: tuple[float, float]


class CountingPoint(BaseModel):
    """From which probability on a cell counts in the test of a slide: one that few normal cells
    reach. A label asks for more, since it must be right for one cell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    above: float = Field(ge=0, lt=1, description="probability of the class")
    sensitivity: float = Field(description="share of held-out cells of the class above it")
    false_rate: float = Field(description="share of held-out normal cells above it")


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Evidence of cells (n,) and normal cells (m,), each by a head that has not seen its patient;
    the penalty that suits best, how many heads, and whether patients were held out, or only cells
    where there are too few patients.
    """

    cells: np.ndarray
    normal: np.ndarray
    penalty: float
    folds: int
    by_patient: bool

    @property
    def auc(self) -> float:
        """The share of pairs in which the cell of the class has more evidence; ties count half."""
        normal = np.sort(self.normal)
        below = np.searchsorted(normal, self.cells, "left")
        upto = np.searchsorted(normal, self.cells, "right")
        return float((below + upto).mean() / 2 / len(normal))


def held_out_evidence(lesson: Lesson) -> HeldOut:
    """Evidence without the cell's own patient, at the penalty of the least loss."""
    split = split_of(lesson.cell_groups, lesson.normal_groups)
    by_patient = leaves_some(split)
    if not by_patient:
        cells = tuple(f"cell {number}" for number in range(len(lesson.cells)))
        normal = tuple(f"normal {number}" for number in range(len(lesson.normal)))
        split = split_of(cells, normal)
    tried = [held_out_at(lesson, split, penalty, by_patient) for penalty in PENALTIES]
    return min(tried, key=loss_of)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The number of the fold of each cell (n,) and of each normal cell (m,)."""

    cells: np.ndarray
    normal: np.ndarray


def split_of(cell_groups: tuple[str, ...], normal_groups: tuple[str, ...]) -> Split:
    fold_of = folds_of(cell_groups, normal_groups)
    cells = np.array([fold_of[group] for group in cell_groups])
    return Split(cells, np.array([fold_of[group] for group in normal_groups]))


def leaves_some(split: Split) -> bool:
    """Whether cells and normal cells are left to teach from without any one fold."""
    folds = np.unique(split.cells)
    return all((side != fold).any() for side in (split.cells, split.normal) for fold in folds)


def loss_of(found: HeldOut) -> float:
    """Mean logistic loss, both sides weighing the same."""
    cells = np.logaddexp(0, -found.cells).mean()
    return float(cells + np.logaddexp(0, found.normal).mean())


def held_out_at(lesson: Lesson, split: Split, penalty: float, by_patient: bool) -> HeldOut:
    cells = np.zeros(len(split.cells))
    normal = np.zeros(len(split.normal))
    numbers = np.unique(split.cells)
    for number in numbers:
        inside = split.cells == number
        around = split.normal == number
        head = fit_head(lesson.cells[~inside], lesson.normal[~around], penalty)
        cells[inside] = head.evidence(lesson.cells[inside])
        normal[around] = head.evidence(lesson.normal[around])
    return HeldOut(cells, normal, penalty, len(numbers), by_patient)


def folds_of(cell_groups: tuple[str, ...], normal_groups: tuple[str, ...]) -> dict[str, int]:
    """The fold of each patient: as many cells of the class in each as can be, and a patient's
    normal cells in the same one.
    """
    counts = {group: cell_groups.count(group) for group in dict.fromkeys(cell_groups)}
    folds = min(HELD_OUT_FOLDS, len(counts))
    filled = [0] * folds
    fold_of: dict[str, int] = {}
    for group in sorted(counts, key=lambda name: -counts[name]):
        least = filled.index(min(filled))
        fold_of[group] = least
        filled[least] += counts[group]
    others = [group for group in dict.fromkeys(normal_groups) if group not in fold_of]
    fold_of |= {group: number % folds for number, group in enumerate(others)}
    return fold_of


def expected_of(found: HeldOut, threshold: float, by: str) -> Expected:
    """The figures of held-out evidence; above `threshold` a cell gets the label."""
    hits = int((found.cells > threshold).sum())
    wrong = int((found.normal > threshold).sum())
    cut = np.quantile(found.normal, SPECIFICITY, method="higher")
    return Expected(
        by=by if found.by_patient else "cell",
        folds=found.folds,
        auc=round(found.auc, 4),
        sensitivity_at_96=round(float((found.cells > cut).mean()), 4),
        sensitivity=round(hits / len(found.cells), 4),
        sensitivity_interval=exact_interval(hits, len(found.cells)),
        false_rate=round(wrong / len(found.normal), 4),
        false_rate_interval=exact_interval(wrong, len(found.normal)),
    )


def counting_point(found: HeldOut, prior: float, slope: float, offset: float) -> CountingPoint:
    """The probability that 2 in 100 held-out normal cells are above."""
    cut = float(np.quantile(found.normal, 1 - COUNTED_FALSELY, method="higher"))
    log_odds = slope * cut + offset + np.log(prior / (1 - prior))
    return CountingPoint(
        above=round(float(expit(log_odds)), 6),
        sensitivity=round(float((found.cells > cut).mean()), 4),
        false_rate=round(float((found.normal > cut).mean()), 4),
    )


def exact_interval(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share."""
    tail = (1 - level) / 2
    low = betaincinv(hits, count - hits + 1, tail) if hits else 0.0
    high = betaincinv(hits + 1, count - hits, 1 - tail) if hits < count else 1.0
    return round(float(low), 4), round(float(high), 4)
