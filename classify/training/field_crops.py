"""Training crops out of whole fields whose cells carry boxes, as the CBC fields have them (Alam and
Islam 2019).
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from classify.errors import DataError
from ingest import Slide, open_slide, read_grid

FOLDERS = {"wbc": "white-cell", "rbc": "other", "platelet": "platelet"}
FIELD_EDGE_UM = {
    "wbc": 6.5,
    "rbc": 6.5,
    "platelet": 4.0,
}  # nearest a whole cell's centre comes to it
RED_SHARE = 0.45  # of the red cells: there are ten times as many as of the others
WHITE_RGB = (255, 255, 255)


class FieldBox(BaseModel):
    """One cell, in level-0 px of the slide."""

    model_config = ConfigDict(frozen=True)

    label: str
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def centre(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2


class FieldBoxes(BaseModel):
    """The cells of a slide of fields of one size, laid edge to edge."""

    model_config = ConfigDict(frozen=True)

    mpp: float = Field(gt=0)
    field: tuple[int, int]
    boxes: tuple[FieldBox, ...]


def read_boxes(path: Path) -> FieldBoxes:
    """The boxes beside a slide of fields.

    Raises:
        DataError: the file is none of that kind.
    """
    try:
        return FieldBoxes(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        first = str(error).splitlines()[0]
        count = (
            f"{error.error_count()} keys are wrong" if isinstance(error, ValidationError) else ""
        )
        raise DataError(
            f"{path}: no boxes of fields: {count or first}",
            "it wants mpp, field (width, height) and boxes (label, x0, y0, x1, y1)",
        ) from error


def chosen_boxes(found: FieldBoxes, seed: int = 0) -> Iterator[tuple[int, FieldBox]]:
    """Whole cells of the three kinds, with their number; of the red cells a share, by chance."""
    width, height = found.field
    rng = np.random.default_rng(seed)
    for number, box in enumerate(found.boxes):
        drawn = rng.random() < RED_SHARE
        x, y = box.centre[0] % width, box.centre[1] % height
        nearest_um = min(x, width - x, y, height - y) * found.mpp
        if box.label not in FOLDERS or nearest_um < FIELD_EDGE_UM[box.label]:
            continue
        if box.label != "rbc" or drawn:
            yield number, box


def cell_crop(
    slide: Slide, found: FieldBoxes, box: FieldBox, crop_um: float, crop_px: int
) -> np.ndarray:
    """The square (crop_px, crop_px, 3) of `crop_um` about a cell, its own field mirrored beyond its
    edges: neighbouring fields are of other places.
    """
    width, height = found.field
    left, top = (int(c // side * side) for c, side in zip(box.centre, found.field, strict=True))
    pixels = read_grid(slide, (left, top, left + width, top + height), 1, WHITE_RGB)
    side = crop_um / found.mpp
    margin = int(np.ceil(side / 2))
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    x, y = box.centre[0] - left + margin, box.centre[1] - top + margin
    corners = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    size = (crop_px, crop_px)
    return np.asarray(Image.fromarray(padded).resize(size, Image.Resampling.BILINEAR, corners))


def write_field_crops(
    slide_path: Path, boxes: Path, out: Path, crop_um: float = 36.0, crop_px: int = 128
) -> Counter[str]:
    """Write `out/CLASS/field_NUMBER.png` for every chosen box; returns how many of each class.

    Raises:
        DataError: the boxes cannot be read, or no cell is whole.
        SlideError: the slide cannot be read.
    """
    found = read_boxes(boxes)
    slide = open_slide(slide_path, found.mpp)
    written: Counter[str] = Counter()
    for number, box in chosen_boxes(found):
        folder = out / FOLDERS[box.label]
        folder.mkdir(parents=True, exist_ok=True)
        crop = cell_crop(slide, found, box, crop_um, crop_px)
        Image.fromarray(crop).save(folder / f"field_{number:05d}.png")
        written[FOLDERS[box.label]] += 1
    if not written:
        raise DataError(f"{boxes}: no box of a whole cell", f"labels are {', '.join(FOLDERS)}")
    return written
