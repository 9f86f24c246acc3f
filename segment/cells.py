"""Cells of a tile: found, split, measured, cropped."""

import hashlib
from dataclasses import dataclass

import numpy as np

from ingest import Tile

from .stain import Stain

CROP_UM = 36.0
CROP_PX = 128


@dataclass(frozen=True, slots=True)
class Cell:
    """One stained object: `kind` is "wbc", "platelet" or "rbc"; boxes and centre are in level-0 px.

    `crop` (128, 128, 3) uint8 is the 36 um square centred on (x_px0, y_px0). The id is a function of the slide's
    content and the centre alone.
    """

    cell_id: str
    slide_id: str
    kind: str
    x_px0: int
    y_px0: int
    box_px0: tuple[int, int, int, int]
    area_um2: float
    crop: np.ndarray


def cell_id(slide_id: str, x_px0: int, y_px0: int) -> str:
    return hashlib.blake2b(f"{slide_id}:{x_px0}:{y_px0}".encode(), digest_size=10).hexdigest()


def find_cells(tile: Tile, stain: Stain, slide_id: str, kinds: tuple[str, ...] = ("wbc", "platelet")) -> list[Cell]:
    raise NotImplementedError
