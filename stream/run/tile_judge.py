"""Tiles become verdicts where they are read: each worker opens an engine of its own, once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from classify import (
    Engine,
    Model,
    ModelError,
    Verdict,
    judge,
    load_model,
    open_engine,
    size_evidence,
)
from ingest import TileSpec
from segment import Scan, TileCells

OpenJudge = Callable[[], tuple[Model, Engine]]


@dataclass(frozen=True, slots=True)
class EngineOpener:
    """Opens a model with an engine of a precision, as the run has them here; travels to workers."""

    folder: Path
    model_id: str
    engine: str
    precision: str

    def __call__(self) -> tuple[Model, Engine]:
        """Those that this process has open, or opens now.

        Raises:
            ModelError, EngineError: they are not on this machine, or the model is another one.
        """
        return _opened(self)


@lru_cache(maxsize=2)
def _opened(opener: EngineOpener) -> tuple[Model, Engine]:
    model = load_model(opener.folder)
    if model.model_id != opener.model_id:
        raise ModelError(
            f"{opener.folder}: another model on a worker", "install the same one on every worker"
        )
    return model, open_engine(model, opener.engine, opener.precision)


@dataclass(frozen=True, slots=True)
class JudgedTile:
    """The cells of a tile, and the verdict of each in the same order."""

    found: TileCells
    verdicts: list[Verdict]


@dataclass(frozen=True, slots=True)
class TileJudge:
    """What a worker does with a tile: finds its cells and judges them."""

    scan: Scan
    open_judge: OpenJudge

    def __call__(self, spec: TileSpec) -> JudgedTile:
        """The judged cells that a tile owns.

        Raises:
            SlideError, ModelError, EngineError: the tile cannot be decoded; model or engine not
                opened.
        """
        found = self.scan.cells_in(spec)
        if not found.cells:
            return JudgedTile(found, [])
        model, engine = self.open_judge()

        def evidence_of(number: int) -> np.ndarray:
            cell = found.cells[number]
            return size_evidence(model.card, cell.kind, cell.area_um2)

        def crops() -> Iterator[tuple[int, np.ndarray]]:
            for number, cell in enumerate(found.cells):
                yield number, cell.crop

        verdicts = dict(judge(crops(), engine, model, evidence=evidence_of))
        return JudgedTile(found, [verdicts[number] for number in range(len(found.cells))])
