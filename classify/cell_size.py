"""What kind and area of a cell, as it was found on a slide, say of its class."""

import math

import numpy as np

from .image_folder import OTHER_CLASS
from .model_card import Card, CellSize

WHITE = "wbc"
PLATELET = "platelet"
# Share of cells whose area is anything: a cell cut by a field's seam, two cells in one; chosen, not
# measured.
_ASTRAY = 0.02
_RANGE = math.log(1000.0)  # of areas, 1 to 1,000 um2
IMPROBABLE = math.log(1 / 50)
# Of another kind than its label's. Large platelets are found as white cells: of 44 in pbc/val 36
# were, 22 to 65 um2, none of them below this likelihood ratio; 96 % of the white cells of
# cbc-fields and 92 % of pbc/val's would be, if they were called platelets.
UNLIKELY_KIND = math.log(1 / 20)


def size_evidence(card: Card, kind: str, area_um2: float) -> np.ndarray:
    """Log likelihood (K,) of kind and area under each class of a card, up to what all share.

    Classes of white cells share the likelihood of the best of them: their areas differ less between
    classes than between laboratories (of raabin's cells 0.744 were right without, 0.698 with areas
    by class). A class whose cells were not measured is neither likelier nor less likely for it. All
    zero for a kind that is not measured, and with a card that has no sizes.
    """
    if kind not in (WHITE, PLATELET) or not card.sizes or area_um2 <= 0:
        return np.zeros(len(card.classes))
    known = {name: _log_likelihood(size, kind, area_um2) for name, size in card.sizes.items()}
    white = [name for name, size in card.sizes.items() if size.white > 0.5]
    known |= dict.fromkeys(white, max((known[name] for name in white), default=0.0))
    most = max(known.values())
    return np.array([known.get(name, most) - most for name in card.classes])


def _log_likelihood(size: CellSize, kind: str, area_um2: float) -> float:
    away = (math.log(area_um2) - size.log_mean) / size.log_spread
    density = math.exp(-(away**2) / 2) / (size.log_spread * math.sqrt(2 * math.pi))
    share = size.white if kind == WHITE else 1 - size.white
    return math.log(share * ((1 - _ASTRAY) * density + _ASTRAY / _RANGE))


def contradiction_of(card: Card, kind: str, area_um2: float, label: str) -> str:
    """In which way a label is not what was found; empty where the two agree.

    A white cell is no platelet, and a platelet no white cell, unless cells of the label's class of
    that size are often found so; nor is a cell of a class whose cells hardly ever have its size.
    """
    if label == OTHER_CLASS or kind not in (WHITE, PLATELET):
        return ""
    is_platelet = card.parent_of(label) == PLATELET
    has_platelets = PLATELET in card.parents
    evidence = size_evidence(card, kind, area_um2)[card.classes.index(label)]
    is_unlikely = label not in card.sizes or evidence < UNLIKELY_KIND
    if has_platelets and is_platelet != (kind == PLATELET) and is_unlikely:
        what = "a platelet" if kind == PLATELET else "a white cell"
        return f"found as {what} of {area_um2:.0f} um2, called {label}"
    if evidence < IMPROBABLE:
        return f"{area_um2:.0f} um2 large, which a {label} hardly ever is"
    return ""
