"""Whether a model runs here as it should: on golden inputs, against what it said of them before, or
against the same graph in fp32.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
from PIL import Image

from .engines import Engine, open_engine
from .errors import ModelError
from .model_card import SHEET_FILE, Model, load_model, read_sheet
from .pixels import to_input
from .rule import posterior

GOLDEN_FILE = "golden.npz"
# Largest difference of an error, relative to their mean; of the shipped models in bf16 against
# fp32 (`cytostream models verify`) it is below 0.05
SAME_ERRORS = {"f32": 1e-3}
ALIKE_ERRORS = 0.1
_SEED = 20261128
_MADE_IMAGES = 4
MOST_SHEET_PX = 8192

OpenEngine = Callable[[Model, str, str | None], Engine]


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """What a check found: the engine that ran, how many inputs, the largest difference of an error
    relative to the mean error, and what it was compared with.
    """

    engine: str
    precision: str
    inputs: int
    difference: float
    compared_with: str


def golden_images(model: Model, folder: Path) -> np.ndarray:
    """Images (n, 3, px, px) in [-1, 1], always the same ones: the first generated cell of each
    class where the model has a sheet of them, else smooth random ones.
    """
    card = model.card
    rows = len(card.counted) + 1
    if sheet_px(folder) == rows * card.window_px:
        cells = read_sheet(rows, folder)[:-1, 0]
        return to_input(cells, card.window_px, card.image_px, card.white)
    coarse = np.random.default_rng(_SEED).uniform(-1, 1, (_MADE_IMAGES, 3, 4, 4))
    return np.kron(coarse, np.ones((card.image_px // 4 + 1,) * 2))[
        :, :, : card.image_px, : card.image_px
    ].astype(np.float32)


def sheet_px(folder: Path) -> int:
    """Height of a model's sheet of generated cells; 0 where it has none that is a picture."""
    try:
        with Image.open(folder / SHEET_FILE) as sheet:
            return sheet.height if sheet.width <= MOST_SHEET_PX else 0
    except (OSError, Image.DecompressionBombError):
        return 0


def golden_errors(engine: Engine, model: Model, images: np.ndarray) -> np.ndarray:
    """Errors (n, D, K) of images under all draws.

    Raises:
        ModelError: they are no finite numbers, or not one a class.
    """
    draws = len(model.sigma)
    found = np.stack(
        [
            engine.errors(
                images,
                np.repeat(model.noise[draw : draw + 1], len(images), axis=0),
                np.repeat(model.sigma[draw : draw + 1], len(images)),
            )
            for draw in range(draws)
        ],
        axis=1,
    )
    expected = (len(images), draws, len(model.card.classes))
    if found.shape != expected or not np.isfinite(found).all():
        raise ModelError(
            f"its graph gives {found.shape} errors, not {expected} finite ones",
            "export the model again",
        )
    return found


def admit_model(folder: Path, open_it: OpenEngine = open_engine) -> None:
    """Checks the graph of a model of unknown origin, runs it, and writes down what it says of its
    golden inputs in fp32, beside it.

    Raises:
        ModelError, EngineError: it cannot be run.
    """
    model = load_model(folder)
    check_model_graph(model.graph)
    images = golden_images(model, folder)
    errors = golden_errors(open_it(model, "openvino", "f32"), model, images)
    np.savez_compressed(folder / GOLDEN_FILE, images=images, errors=errors)


def verify_model(
    folder: Path, engine_name: str = "auto", open_it: OpenEngine = open_engine
) -> ModelCheck:
    """Checks a model: the digests of its files, its graph, and what an engine says of golden inputs
    beside what was written down when it was imported, or beside the same graph in fp32.

    Raises:
        ModelError: it is not as its card says, or an engine says something else of the inputs.
        EngineError: no engine works here.
    """
    model = load_model(folder)
    check_model_graph(model.graph)
    engine = open_it(model, engine_name, None)
    kept = folder / GOLDEN_FILE
    if kept.is_file():
        with np.load(kept) as golden:
            images = golden["images"]
            known = golden["errors"]
        beside = "what it said when it was imported"
    else:
        images = golden_images(model, folder)
        known = golden_errors(open_it(model, engine.name, "f32"), model, images)
        beside = "the same engine in fp32"
    found = golden_errors(engine, model, images)
    if found.shape != known.shape:
        raise ModelError(f"{kept}: of another model", "import the model again")
    difference = float(np.abs(found - known).max() / np.abs(known).mean())
    most = SAME_ERRORS.get(engine.precision, ALIKE_ERRORS)
    same = likeliest_classes(found, model) == likeliest_classes(known, model)
    if difference > most or (engine.precision == "f32" and not same.all()):
        raise ModelError(
            f"{folder.name}: {engine.name} in {engine.precision} says otherwise of {len(images)} "
            f"golden inputs than {beside}: errors differ by {difference:.2g} of their mean, and "
            f"{int((~same).sum())} labels",
            "choose another --engine, or import the model again",
        )
    return ModelCheck(engine.name, engine.precision, len(images), difference, beside)


def check_model_graph(path: Path) -> None:
    """Raises ModelError where a graph may not be given to an engine (`engines.graph_check`)."""
    import_module("classify.engines.graph_check").check_graph(path)


def likeliest_classes(errors: np.ndarray, model: Model) -> np.ndarray:
    """Class numbers (n,) by all draws."""
    labels: np.ndarray = posterior(errors, model)[:, -1].argmax(axis=1)
    return labels
