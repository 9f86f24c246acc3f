"""Why this class and not that one: maps over the cell, and the cell as the other class would have
it. Serving engine only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from classify.engines import Engine
from classify.errors import DataError
from classify.model_card import Model
from classify.pixels import disc, to_input, to_uint8, turned, turned_back
from classify.rule import posterior

from .morphology import attributes_of, describe, has_attributes

_SIGMA_DATA = 0.5  # as the network's
# noise levels of the counterfactual's way down, and how many
_START = 2.0
STOP = 0.5
STEPS = 6
NOISES = 8
MAP_SMOOTH_PX = 1.5  # of 64: the heads paint patches, and finer than that a map is their seams
_FLOOR = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Of one cell, for k classes; px = card.image_px.

    `heat` (k, px, px) float32: what each pixel adds to the log odds of the class against the
    predicted one (against the runner-up for the predicted class itself), positive where it is
    evidence for the class. `counterfactual` (k, px, px, 3) uint8: the cell as that class; of the
    predicted class, the cell itself. `seen` (px, px, 3) uint8: the cell in the model's pixels.
    `words`: its morphology, and what that is evidence for; empty of a model that tells none.
    """

    classes: tuple[str, ...]
    heat: np.ndarray
    counterfactual: np.ndarray
    seen: np.ndarray
    words: str = ""


def explain_cell(
    engine: Engine, model: Model, crop: np.ndarray, classes: Sequence[str] = ()
) -> Explanation:
    """Maps and counterfactuals of a crop (h, w, 3) uint8, for the named classes or where they
    matter (`telling`).

    Raises:
        DataError: a class that the model has not.
        ValueError: the crop is smaller than the model's window.
    """
    card = model.card
    if unknown := set(classes) - set(card.classes):
        raise DataError(
            f"no class {', '.join(sorted(unknown))} in this model", f"of {', '.join(card.classes)}"
        )
    x = to_input(crop[None], card.window_px, card.image_px, card.white)
    shares = shared_evidence(engine, model, x)
    order = ranked_classes(engine, model, x)
    chosen = [card.classes.index(c) for c in classes] or list(telling(model, order))
    heat = np.stack(
        [against(shares, c, order[1] if c == order[0] else order[0], card.image_px) for c in chosen]
    )
    return Explanation(
        tuple(card.classes[c] for c in chosen),
        heat,
        to_uint8(as_class(engine, x, chosen, order[0])),
        to_uint8(x)[0],
        words_of(engine, model, x, order),
    )


def words_of(engine: Engine, model: Model, x: np.ndarray, order: np.ndarray) -> str:
    """The cell's morphology in one sentence, of an input (1, 3, px, px) and the class numbers in
    their order; empty of a model that tells none.
    """
    if not has_attributes(model):
        return ""
    ranked = [model.card.classes[c] for c in order]
    return describe(model, attributes_of(engine, model, x)[0], ranked).sentence


def ranked_classes(engine: Engine, model: Model, x: np.ndarray) -> np.ndarray:
    """Class numbers (K,), likeliest first, by every draw, of one input (1, 3, px, px)."""
    errors = engine.errors(every_turn(model, x), model.noise, model.sigma)
    return np.argsort(posterior(errors, model)[-1])[::-1]


def every_turn(model: Model, x: np.ndarray) -> np.ndarray:
    """One input (1, 3, px, px) as each draw sees it (D, 3, px, px)."""
    return np.stack([turned(x[0], turn) for turn in model.turn])


def telling(model: Model, order: np.ndarray) -> tuple[int, ...]:
    """The predicted class, the runner-up, and the next that is a cell to count: where a map says
    something.
    """
    counted = [c for c in order[2:] if model.card.classes[c] in model.card.counted]
    return (int(order[0]), int(order[1]), *map(int, counted[:1]))


def shared_evidence(engine: Engine, model: Model, x: np.ndarray) -> np.ndarray:
    """What each pixel adds to each class's log probability (K, px, px), up to what all classes
    share.

    The judge's evidence is a sum over pixels, -a(sigma) m (denoised - x)^2 / c_out^2, so it needs
    no gradient to be shared out.
    """
    sigma = model.sigma[:, None, None, None, None]
    c_out2 = sigma**2 * _SIGMA_DATA**2 / (sigma**2 + _SIGMA_DATA**2)
    px = model.card.image_px
    views = every_turn(model, x)
    denoised = engine.denoised(views, model.noise, model.sigma)
    error = (
        ((denoised - views[:, None]) ** 2 / c_out2).mean(axis=2)
        * disc(px, model.card.disc_fraction)
        / px**2
    )
    error = np.stack([turned_back(e, turn) for e, turn in zip(error, model.turn, strict=True)])
    result: np.ndarray = -np.einsum("d,dkhw->khw", model.weight / model.temperature[-1], error)
    return result


def against(shares: np.ndarray, one: int, other: int, px: int) -> np.ndarray:
    """The map (px, px) of one class against another, as fine as the net paints; its sum is their
    log odds, bias aside.
    """
    result: np.ndarray = ndi.gaussian_filter(
        (shares[one] - shares[other]).astype(np.float32), MAP_SMOOTH_PX * px / 64
    )
    return result


def as_class(
    engine: Engine, x: np.ndarray, classes: Sequence[int], predicted: int, seed: int = 0
) -> np.ndarray:
    """The cell (1, 3, px, px) as each of k classes (k, 3, px, px): noised in part, and denoised as
    that class.

    The way down is also taken as the predicted class from the same noises, and only the difference
    of the two ends is laid over the cell, averaged: what the classes do not differ in stays as it
    was.
    """
    noise = np.random.default_rng(seed).standard_normal((NOISES, *x.shape[1:])).astype(np.float32)
    ways = [predicted, *(c for c in classes if c != predicted)]
    ends = dict(zip(ways, way_down(engine, x + _START * noise, np.array(ways)), strict=True))
    return np.stack([x[0] + (ends[c] - ends[predicted]).mean(axis=0) for c in classes])


def way_down(engine: Engine, noisy: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """Images (k, n, 3, px, px) that the net makes of noisy ones (n, 3, px, px) as each of k
    classes, by Euler's steps.

    Karras et al. 2022, algorithm 1, from START to STOP and denoised from there.
    """
    k = len(ways)
    n = len(noisy)
    levels = np.geomspace(_START, STOP, STEPS).astype(np.float32)
    x = np.tile(noisy, (k, 1, 1, 1))
    of = np.repeat(ways, n)
    for now, then in zip(levels, np.append(levels[1:], 0.0), strict=True):
        all_classes = engine.denoised(x, np.zeros_like(x), np.full(len(x), now, np.float32))
        clean = all_classes[np.arange(len(x)), of]
        x = clean + np.float32(then / now) * (x - clean)
    return x.reshape(k, n, *x.shape[1:])


def inside(heat: np.ndarray, mask: np.ndarray) -> float:
    """Share of a map's (px, px) energy, the sum of squares, that lies in a mask (px, px) of the
    cell: 0 to 1.
    """
    energy = heat.astype(np.float64) ** 2
    return float(energy[mask].sum() / max(energy.sum(), _FLOOR**2))
