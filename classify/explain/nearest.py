"""The known cells most like a given one, class by class, in the model's own features. The index is
a lab's own file.
"""

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from classify.engines import Engine
from classify.errors import DataError, ModelError
from classify.model_card import GRAPH, Card, Model
from classify.pixels import central, to_input

SIGMAS = (0.25, 0.5)  # little noise: the features of what is seen, not of what is guessed
_SHRINK = 0.1
_BATCH = 64
_THUMB_PX = 64
QUALITY = 85
SAMPLE = 2000
NearestCell = dict[str, list[tuple[float, np.ndarray, str]]]


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A labelled cell under way into an index: class, name, crop (h, w, 3) uint8."""

    label: str
    name: str
    crop: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """n known cells: `features` (n, F) float16, whitened by `whiten` (F, F), `label` (n,) class
    numbers, `name` (n,).

    `pixels` are the pictures as WebP, one after the other, from `start` (n + 1,) on; `card` is that
    of the model that made the features.
    """

    card: Card
    classes: tuple[str, ...]
    label: np.ndarray
    name: np.ndarray
    features: np.ndarray
    whiten: np.ndarray
    pixels: np.ndarray
    start: np.ndarray

    @classmethod
    def open(cls, path: Path, model: Model | None = None) -> "Nearest":
        """Read an index.

        Raises:
            DataError: it is none.
            ModelError: it was made with another network than `model`'s.
        """
        try:
            with np.load(path) as kept:
                card = Card(**json.loads(str(kept["card"])))
                columns = {
                    k: kept[k] for k in ("label", "name", "features", "whiten", "pixels", "start")
                }
                index = cls(card, tuple(kept["classes"].tolist()), **columns)
        except (OSError, KeyError, ValueError) as error:
            raise DataError(
                f"{path}: no index of known cells: {error}",
                "make one with `cytostream index FOLDER`",
            ) from error
        if model is not None and model.card.sha256[GRAPH] != card.sha256[GRAPH]:
            raise ModelError(
                f"{path}: made with another network ({card.name})",
                "make it again with `cytostream index`",
            )
        return index

    def find(self, engine: Engine, crop: np.ndarray, k: int = 5) -> NearestCell:
        """The k nearest known cells of each class to a crop (h, w, 3) uint8: (distance, picture
        (64, 64, 3) uint8, name).

        Distance 1 is that of two cells of one class as they usually lie; the engine must run the
        index's network.

        Raises:
            ValueError: the crop is smaller than the model's window.
        """
        here = features_of(engine, self.card, crop[None])[0] @ self.whiten
        distance = np.sqrt(((self.features.astype(np.float32) - here) ** 2).sum(axis=1))
        return {name: self.of_class(c, distance, k) for c, name in enumerate(self.classes)}

    def of_class(
        self, number: int, distance: np.ndarray, k: int
    ) -> list[tuple[float, np.ndarray, str]]:
        members = np.flatnonzero(self.label == number)
        nearest = members[np.argsort(distance[members], kind="stable")[:k]]
        return [(float(distance[i]), self.picture(i), str(self.name[i])) for i in nearest]

    def picture(self, i: int) -> np.ndarray:
        with Image.open(
            io.BytesIO(self.pixels[self.start[i] : self.start[i + 1]].tobytes())
        ) as image:
            return np.asarray(image.convert("RGB"))


def features_of(engine: Engine, card: Card, crops: np.ndarray) -> np.ndarray:
    """The trunk's features (n, F) of crops (n, h, w, 3) uint8, at a few noise levels side by side,
    noise the same for all.
    """
    x = to_input(crops, card.window_px, card.image_px, card.white)
    noise = np.random.default_rng(0).standard_normal((len(SIGMAS), *x.shape[1:])).astype(np.float32)
    parts = [
        engine.features(x, np.broadcast_to(eps, x.shape), np.full(len(x), sigma, np.float32))
        for sigma, eps in zip(SIGMAS, noise, strict=True)
    ]
    return np.concatenate(parts, axis=1)


def build_index(
    engine: Engine,
    model: Model,
    cells: Iterable[Known],
    out: Path,
    on_cell: Callable[[int], None] = lambda done: None,
) -> int:
    """Write an index of labelled cells; returns how many.

    Raises:
        DataError: fewer than two cells.
    """
    features = []
    labels = []
    names = []
    pictures = []
    waiting = []
    for cell in cells:
        waiting.append(cell.crop)
        labels.append(cell.label)
        names.append(cell.name)
        pictures.append(_encoded(cell.crop, model.card.window_px))
        if len(waiting) == _BATCH:
            features.append(features_of(engine, model.card, np.stack(waiting)))
            waiting.clear()
            on_cell(len(labels))
    if waiting:
        features.append(features_of(engine, model.card, np.stack(waiting)))
    if len(labels) < 2:
        raise DataError(
            f"{len(labels)} labelled cells are too few for an index",
            "lay them out as FOLDER/CLASS/image",
        )
    on_cell(len(labels))
    classes, label = np.unique(labels, return_inverse=True)
    _write(out, model.card, classes, label, np.array(names), np.concatenate(features), pictures)
    return len(labels)


def _write(
    out: Path,
    card: Card,
    classes: np.ndarray,
    label: np.ndarray,
    name: np.ndarray,
    features: np.ndarray,
    pictures: list[bytes],
) -> None:
    whiten = whitening(features, label)
    part = out.with_name(out.name + ".part.npz")
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        part,
        card=card.model_dump_json(),
        classes=classes,
        label=label.astype(np.uint8),
        name=name,
        whiten=whiten,
        features=(features @ whiten).astype(np.float16),
        pixels=np.frombuffer(b"".join(pictures), np.uint8),
        start=np.cumsum([0, *map(len, pictures)]),
    )
    part.replace(out)


def whitening(features: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Matrix (F, F) after which cells of one class spread alike in all directions, at distance
    about 1 from each other.

    The within-class covariance, shrunk towards its mean variance (the more the fewer cells), as in
    linear discriminant analysis.
    """
    residual = np.concatenate(
        [features[label == c] - features[label == c].mean(axis=0) for c in np.unique(label)]
    )
    covariance = residual.T @ residual / max(1, len(residual) - 1)
    size = covariance.shape[0]
    shrink = max(_SHRINK, size / (size + len(residual)))
    shrunk = (1 - shrink) * covariance + (shrink * np.trace(covariance) / size + 1e-9) * np.eye(
        size
    )
    value, vector = np.linalg.eigh(shrunk)
    white = vector / np.sqrt(value)
    spread = (residual[:SAMPLE] @ white).astype(np.float32)
    usual = np.sqrt(2 * (spread**2).sum(axis=1).mean())  # E|a - b|^2 = 2 E|a - mean|^2
    result: np.ndarray = (white / max(usual, 1e-9)).astype(np.float32)
    return result


def _encoded(crop: np.ndarray, window_px: int) -> bytes:
    """The crop's central window as a small WebP."""
    out = io.BytesIO()
    image = Image.fromarray(central(crop, window_px)).resize(
        (_THUMB_PX, _THUMB_PX), Image.Resampling.BOX
    )
    image.save(out, format="WEBP", quality=QUALITY)
    return out.getvalue()
