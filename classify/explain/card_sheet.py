"""The sheet of generated cells that ships with a model."""

import numpy as np
from PIL import Image

from classify.engines import Engine
from classify.judge import judge
from classify.model_card import Model

from .generate import generate_cells

_EDGE = 0.82  # radius of the disc, in half windows
_STEEPNESS = 22


def soft_disc(px: int) -> np.ndarray:
    """Share (px, px) of the cell's own pixels in a round picture of it: 1 inside, 0 in the
    corners.
    """
    y, x = (np.mgrid[:px, :px] + 0.5 - px / 2) / (px / 2)
    share: np.ndarray = 1 / (1 + np.exp((np.hypot(x, y) - _EDGE) * _STEEPNESS))
    return share


def card_sheet(model: Model, engine: Engine, columns: int, tried: int) -> np.ndarray:
    """Generated cells (rows * px, columns * px, 3): a row a counted class, the `columns` of `tried`
    that the model itself gives the highest probability of their class on white, and a last row of
    mixtures of two classes.
    """
    counted = len(model.card.counted)
    wanted = np.repeat(np.arange(counted), tried)
    made = np.stack(list(generate_cells(model, engine, wanted, seed=5)))
    sure = own_probability(model, engine, made, wanted)
    best = np.argsort(-sure.reshape(counted, tried), axis=1, kind="stable")[:, :columns]
    rows = np.take_along_axis(
        made.reshape(counted, tried, *made.shape[1:]), best[..., None, None, None], axis=1
    )
    cells = np.concatenate([rows, mixtures(model, engine, columns)[None]])
    high, wide = cells.shape[0] * cells.shape[2], cells.shape[1] * cells.shape[3]
    sheet: np.ndarray = cells.transpose(0, 2, 1, 3, 4).reshape(high, wide, 3)
    return sheet


def mixtures(model: Model, engine: Engine, count: int) -> np.ndarray:
    """Cells (count, px, px, 3) generated under the mean of two counted classes each."""
    rng = np.random.default_rng(5)
    counted = len(model.card.counted)
    pairs = np.stack([rng.choice(counted, 2, replace=False) for _ in range(count)])
    weights = np.eye(len(model.card.classes), dtype=np.float32)[pairs].mean(axis=1)
    return np.stack(list(generate_cells(model, engine, weights)))


def own_probability(
    model: Model, engine: Engine, cells: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """What the model gives the class (n,) that each generated cell (n, px, px, 3) was made of, by
    all draws of a round picture of it on white.
    """
    share = soft_disc(cells.shape[1])[..., None]
    shown = (share * cells + (1 - share) * 255).astype(np.uint8)
    side = (model.card.window_px, model.card.window_px)
    windows = (np.asarray(Image.fromarray(cell).resize(side)) for cell in shown)
    found = np.empty(len(cells))
    for number, verdict in judge(enumerate(windows), engine, model, exhaustive=True):
        found[number] = verdict.scores[model.card.classes[wanted[number]]]
    return found
