"""What the model says of a cell on request, one at a time: its verdict on a cell that a person has
marked, and why a cell is called what it is called: maps, counterfactuals and known neighbours.
"""

import base64
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from classify import Engine, Model, Verdict, judge, load_model, open_engine, size_evidence, to_input
from classify.explain import Nearest, attributes_of, describe, explain_cell, has_attributes
from classify.teaching import TaughtJudge, TaughtLibrary
from ingest import CytostreamError
from segment import Cell
from stream.events import JsonObject

from .crops import encode

_log = logging.getLogger(__name__)
_KEPT = 256
_NEIGHBOURS = 3
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class JudgedCell:
    """A cell with the verdict of a model."""

    cell: Cell
    verdict: Verdict
    model_id: str


class ReasonError(CytostreamError):
    """An explanation that cannot be given here."""


class Reasons:
    """Explanations of crops by the model of a folder. The engine is opened at the first
    question.
    """

    def __init__(self, folder: Path, limit_s: float, nearest: Path | None = None):
        self._folder = folder
        self._limit_s = limit_s
        self._nearest = nearest
        self._thread = ThreadPoolExecutor(1, "reasons")
        self._opened: tuple[Model, Engine] | None = None
        self._index: Nearest | None = None
        self._kept: OrderedDict[tuple[str, str], Future[JsonObject]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """Where the model lies."""
        return self._folder

    @property
    def offered(self) -> bool:
        """Whether a question is worth while: the model's folder is there."""
        return (self._folder / "card.json").is_file()

    def judge(self, cell: Cell, taught: TaughtLibrary) -> JudgedCell:
        """The verdict on a cell as a run would give it, with the classes that the laboratory has
        taught.

        Raises:
            ReasonError: there is no model, or it takes too long.
        """
        return self._answer(self._thread.submit(self._judge, cell, taught))

    def explain(self, cell_id: str, crop: np.ndarray) -> JsonObject:
        """Heat maps and counterfactuals of a crop, as data URLs.

        Raises:
            ReasonError: the model does not explain, or it takes too long.
        """
        return self._ask(("explain", cell_id), lambda: self._explain(crop))

    def words(self, cell_id: str, crop: np.ndarray, scores: Mapping[str, float]) -> str:
        """Why a crop has these class probabilities, in words; empty where the model tells no
        attributes.

        Raises:
            ReasonError: there is no model, or it takes too long.
        """
        ranked = sorted(scores, key=lambda name: scores[name], reverse=True)
        said = self._ask(("words", cell_id), lambda: {"words": self._words(crop, ranked)})
        return str(said["words"])

    def nearest(self, cell_id: str, crop: np.ndarray) -> JsonObject:
        """Known cells that look most like it, a class.

        Raises:
            ReasonError: there is no index of known cells, or it takes too long.
        """
        return self._ask(("nearest", cell_id), lambda: self._neighbours(crop))

    def _ask(self, key: tuple[str, str], make: Callable[[], JsonObject]) -> JsonObject:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = self._thread.submit(make)
            answer = self._kept[key]
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        try:
            return self._answer(answer)
        except ReasonError as error:
            if not isinstance(error.__cause__, LateError):
                self._forget(key)
            raise

    def _answer(self, answer: Future[_Answer]) -> _Answer:
        try:
            return answer.result(self._limit_s)
        except LateError as error:
            raise ReasonError(
                "the model takes too long", "ask again in a while, or raise review.reasons_s"
            ) from error
        except ReasonError:
            raise
        except (CytostreamError, ImportError, OSError, ValueError) as error:
            _log.warning(
                "no answer of the model: %s", error
            )  # the text may name files of this machine
            hint = "the log of the server says why"
            raise ReasonError("the model cannot be asked here", hint) from error

    def _forget(self, key: tuple[str, str]) -> None:
        with self._lock:
            self._kept.pop(key, None)

    def _model(self) -> tuple[Model, Engine]:
        if self._opened is None:
            model = load_model(self._folder)
            self._opened = model, open_engine(model)
        return self._opened

    def _judge(self, cell: Cell, taught: TaughtLibrary) -> JudgedCell:
        model, engine = self._model()
        evidence = size_evidence(model.card, cell.kind, cell.area_um2)
        asked = [(cell.cell_id, cell.crop)]
        verdict = next(said for _, said in judge(asked, engine, model, evidence=lambda _: evidence))
        with_taught = TaughtJudge(taught.in_use(model)).verdict(verdict)
        return JudgedCell(cell, with_taught, model.model_id)

    def _words(self, crop: np.ndarray, ranked: Sequence[str]) -> str:
        model, engine = self._model()
        if not has_attributes(model):
            return ""
        card = model.card
        known = [name for name in ranked if name in card.classes]
        image = to_input(crop[None], card.window_px, card.image_px, card.white)
        return describe(model, attributes_of(engine, model, image)[0], known).sentence

    def _explain(self, crop: np.ndarray) -> JsonObject:

        model, engine = self._model()
        made = explain_cell(engine, model, crop)
        reach = float(np.abs(made.heat).max()) or 1.0
        panels = [
            {"label": c, "heat": url(heat_rgb(h / reach)), "counterfactual": url(x)}
            for c, h, x in zip(made.classes, made.heat, made.counterfactual, strict=True)
        ]
        return {
            "model_id": model.model_id,
            "seen": url(made.seen),
            "words": made.words,
            "panels": panels,
        }

    def _neighbours(self, crop: np.ndarray) -> JsonObject:
        if self._nearest is None:
            raise ReasonError("there is no index of known cells", "name one with --nearest")
        model, engine = self._model()
        self._index = self._index or Nearest.open(self._nearest, model)
        found = self._index.find(engine, crop, _NEIGHBOURS)
        classes = {
            c: [{"distance": float(d), "picture": url(t), "name": name} for d, t, name in near]
            for c, near in found.items()
        }
        return {"model_id": model.model_id, "classes": classes}

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def heat_rgb(heat: np.ndarray) -> np.ndarray:
    """A map (h, w) in [-1, 1] as RGB: blue is against the class, white is neutral, red for it."""
    up = np.clip(heat, 0, 1)[..., None]
    down = np.clip(-heat, 0, 1)[..., None]
    red = np.array([178, 24, 43])
    blue = np.array([33, 102, 172])
    rgb: np.ndarray = (255 - up * (255 - red) - down * (255 - blue)).round().astype(np.uint8)
    return rgb


def url(rgb: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(encode(rgb, "PNG")).decode()
