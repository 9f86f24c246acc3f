"""A class that a laboratory has taught: a head on the model's features, how far it can be trusted,
and where it comes from. It holds no pixels, so laboratories may exchange it.
"""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from threadpoolctl import threadpool_limits

from classify.errors import DataError, ModelError
from classify.judge import FEATURE_DRAWS
from classify.model_card import GRAPH, ClassName, Model

from .crossvalidation import (
    CountingPoint,
    Expected,
    HeldOut,
    Lesson,
    counting_point,
    expected_of,
    held_out_evidence,
)
from .head import TaughtHead, fit_head, logistic

# Chosen, not measured: fewer cells or patients say too little of a class. PRIOR, the share of cells
# that is expected to be of it, is an option of `cytostream teach`.
LEAST_TAUGHT = 3
LEAST_NORMAL = 20
FEW_CELLS = 10
FEW_PATIENTS = 3
SCALE_PENALTY = 0.02
PRIOR = 0.05


class TaughtClass(BaseModel):
    """A taught class as it is written: figures, provenance and the head's numbers.

    A cell's log odds against all other classes are `slope` times the head's evidence, plus `offset`
    (both from held-out cells) and the log odds of `prior`, the share of cells that are expected to
    be of the class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: ClassName
    version: int = Field(1, ge=1)
    by: str = Field("", max_length=200, description="who taught it")
    at: str = Field(description="when, ISO 8601")
    note: str = Field("", max_length=2000)
    model_name: str
    model_id: str
    feature_digest: str = Field(description="of the graph and the draws that make the features")
    cells: tuple[str, ...] = Field(description="digests of the pixels of its cells")
    patients: int = Field(ge=0, description="patients that its cells are of; 0: not known")
    normal_cells: int
    normal_digest: str = Field(description="of the digests of the normal cells")
    prior: float = Field(gt=0, lt=1)
    slope: float
    offset: float
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    penalty: float
    expected: Expected
    counting: CountingPoint | None = Field(None, description="how cells of a slide are counted")
    warnings: tuple[str, ...] = ()

    @property
    def taught_id(self) -> str:
        """Changes with anything in it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    @property
    def head(self) -> TaughtHead:
        return TaughtHead(
            np.array(self.centre), np.array(self.scale), np.array(self.weights), self.intercept
        )

    def log_odds(self, features: np.ndarray) -> np.ndarray:
        """Log odds (n,) of the class against all others, of features (n, F)."""
        prior = np.log(self.prior / (1 - self.prior))
        found: np.ndarray = self.slope * self.head.evidence(features) + self.offset + prior
        return found


def pixel_digest(crop: np.ndarray) -> str:
    """What a cell is known by: its pixels."""
    return hashlib.blake2b(crop.tobytes(), digest_size=16).hexdigest()


def feature_digest(model: Model) -> str:
    """What features depend on: the graph, and the draws that they are averaged over. Calibrating
    leaves it.
    """
    digest = hashlib.sha256(model.card.sha256[GRAPH].encode())
    turn = np.zeros(len(model.sigma)) if model.turn is None else model.turn
    for table in (model.sigma, model.noise, turn):
        digest.update(np.ascontiguousarray(table[:FEATURE_DRAWS], np.float32).tobytes())
    return digest.hexdigest()[:16]


def teach_class(
    model: Model,
    name: str,
    lesson: Lesson,
    digests: tuple[tuple[str, ...], tuple[str, ...]],
    known_by: str = "cell",
    prior: float = PRIOR,
    by: str = "",
    note: str = "",
) -> TaughtClass:
    """A class from features of its cells and of normal cells; `digests` are those of their pixels,
    `known_by` says how patients are known (`patients_of`).

    Raises:
        DataError: too few cells, or cells that are on both sides.
    """
    check_lesson(lesson, digests)
    # of small matrices several threads wait for each other: 40 times as long on a busy machine
    with threadpool_limits(1, user_api="blas"):
        found = held_out_evidence(lesson)
        slope, offset = platt_scale(found)
        head = fit_head(lesson.cells, lesson.normal, found.penalty)
    threshold = (np.log((1 - prior) / prior) - offset) / slope
    patients = 0 if known_by == "cell" else len(set(lesson.cell_groups))
    return TaughtClass(
        name=name,
        by=by,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        note=note,
        model_name=model.card.name,
        model_id=model.model_id,
        feature_digest=feature_digest(model),
        cells=digests[0],
        patients=patients,
        normal_cells=len(lesson.normal),
        normal_digest=hashlib.sha256("".join(sorted(digests[1])).encode()).hexdigest(),
        prior=prior,
        slope=slope,
        offset=offset,
        centre=rounded(head.centre),
        scale=rounded(head.scale),
        weights=rounded(head.weights),
        intercept=head.intercept,
        penalty=found.penalty,
        expected=expected_of(found, threshold, known_by),
        counting=counting_point(found, prior, slope, offset),
        warnings=warnings_of(model, name, len(lesson.cells), patients),
    )


def check_lesson(lesson: Lesson, digests: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    if both := set(digests[0]) & set(digests[1]):
        raise DataError(
            f"{len(both)} cells are among the class and among the normal cells",
            "take them out of one of the two",
        )
    for count, least, what in (
        (len(lesson.cells), LEAST_TAUGHT, "cells of the class"),
        (len(lesson.normal), LEAST_NORMAL, "normal cells"),
    ):
        if count < least:
            raise DataError(
                f"{count} {what} are too few to teach from", f"give {least} or more of them"
            )


def platt_scale(found: HeldOut) -> tuple[float, float]:
    """Slope and offset that make held-out evidence log odds (Platt's scaling), near 1 and 0."""
    x = np.concatenate([found.cells, found.normal])[:, None]
    sign = np.concatenate([np.ones(len(found.cells)), -np.ones(len(found.normal))])
    share = np.where(sign > 0, 0.5 / len(found.cells), 0.5 / len(found.normal))
    weights, offset = logistic(x, sign, share, SCALE_PENALTY)
    return max(float(weights[0]), 0.1), offset


def warnings_of(model: Model, name: str, cells: int, patients: int) -> tuple[str, ...]:
    found = []
    if cells < FEW_CELLS:
        found.append(f"{cells} cells are few: the figures are uncertain; {FEW_CELLS} or more help")
    if not patients:
        found.append("patients are not known: cells of one patient may be on both sides")
    elif patients < FEW_PATIENTS:
        found.append(f"cells of {patients} patients: another patient's may look otherwise")
    if name in model.card.classes:
        found.append(f"{name} is a class of the model: where this one is used, its score is used")
    return tuple(found)


def rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(f"{value:.7g}") for value in values)


def write_taught(taught: TaughtClass, path: Path) -> None:
    """Writes the class as JSON; what was there before stays until the new one is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(taught.model_dump_json(indent=1) + "\n")
    part.replace(path)


def read_taught(path: Path, model: Model | None = None) -> TaughtClass:
    """A taught class.

    Raises:
        DataError: it is none.
        ModelError: it was taught on the features of another model than `model`.
    """
    try:
        taught = TaughtClass(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, RecursionError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise DataError(
            f"{path}: no taught class: {first}", "make one with `cytostream teach`"
        ) from error
    if model is not None and taught.feature_digest != feature_digest(model):
        raise ModelError(
            f"{path}: {taught.name} was taught on the features of another model "
            f"({taught.model_name}, {taught.model_id})",
            "teach it again with this model, or give --model",
        )
    return taught
