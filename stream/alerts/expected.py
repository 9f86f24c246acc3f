"""What the tests of rare classes may be expected to do: worked out from their rates, and as it was
measured on simulated slides of real cells.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import gammaln, xlog1py, xlogy

from .rare_classes import RareClass, alarm_count, beta_binomial_tail

MEASURED = Path(__file__).parent / "measured.json"
PERCENTS = (2, 5, 10, 20)


@dataclass(frozen=True, slots=True)
class ExpectedAlarms:
    """Of a test on slides of `white` cells: the number of cells that raises an alarm (None: no
    number does), false alarms per 100 normal slides, and the share of slides found by per cent of
    cells of the class, empty where it is not known how many of them are called so.
    """

    rare: RareClass
    white: int
    alarm_from: int | None
    false_per_100: float
    found: dict[int, float]


class MeasuredAlarms(BaseModel):
    """Alarms of so many slides with `percent` of the cells of a class, 0 on normal ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    setting: str = Field(description="as shipped, or what was taught")
    percent: float
    slides: int
    alarms: int


class MeasuredFile(BaseModel):
    """The figures that `python -m tests.tools.bench.alarms` wrote."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_id: str
    command: str
    slides: str = Field(description="what the slides are made of")
    white: int
    found: dict[str, float] = Field(description="share of cells of a class called so, by rule")
    rows: tuple[MeasuredAlarms, ...]


def measured_alarms(path: Path = MEASURED) -> MeasuredFile | None:
    """The measured figures; None where none are kept."""
    return MeasuredFile(**json.loads(path.read_text())) if path.is_file() else None


def expected_alarms(
    rare: RareClass, level: float, white: int, found: float | None = None
) -> ExpectedAlarms:
    """What a test does at a level of its own, on slides of `white` cells; `found` is the share of
    cells of the class that are called so, where the test does not know it.
    """
    share = rare.found if found is None else found
    least = alarm_count(rare, white, level)
    if least > white:
        return ExpectedAlarms(rare, white, None, 0.0, {})
    false_per_100 = 100 * beta_binomial_tail(least, white, rare.false_calls, rare.right_calls)
    powers = {} if share is None else {p: power(rare, least, white, p, share) for p in PERCENTS}
    return ExpectedAlarms(rare, white, least, false_per_100, powers)


def power(rare: RareClass, least: int, white: int, percent: float, found: float) -> float:
    """Probability that `least` or more of `white` cells are called so where `percent` of them are
    of the class, and `found` of these are called so.
    """
    cells = round(white * percent / 100)
    right = np.arange(cells + 1)
    counts = right.tolist()
    chances = [
        beta_binomial_tail(max(0, least - n), white - cells, rare.false_calls, rare.right_calls)
        for n in counts
    ]
    ways = gammaln(cells + 1) - gammaln(right + 1) - gammaln(cells - right + 1)
    share = np.exp(ways + xlogy(right, found) + xlog1py(cells - right, -found))
    return float(share @ np.array(chances))
