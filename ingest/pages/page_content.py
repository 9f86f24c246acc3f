"""Whether a smaller page of a TIFF shows what a larger one shows.

Limits were chosen by hand on made files, and are held to them by tests/ingest/test_tiff_pages.py.
"""

from pathlib import Path

import numpy as np
import openslide
import tifffile

PATCH_PX = 64  # of the smaller page
PLACES = 0.25, 0.5, 0.75  # of its width and height
FLAT = 6.0  # standard deviation, of 255, of what has no content to compare
LIKE = 0.5  # correlation; that of two fields of cells is about 0


def has_same_content(path: Path, small: tifffile.TiffPage, large: tifffile.TiffPage) -> bool:
    """Compares some patches of both.

    Raises:
        Exception: whatever a decoder raises of a damaged page.
    """
    thumb = grey(small.asarray())
    step = large.imagewidth / small.imagewidth
    whole = None if large.is_tiled else grey(large.asarray())
    found = []
    for share in PLACES:
        side = min(PATCH_PX, *thumb.shape)
        x, y = (int((size - side) * share) for size in thumb.shape[::-1])
        box = int(x * step), int(y * step), int(side * step)
        patch = tile_region(path, box) if whole is None else whole[slices(box)]
        found.append(are_alike(thumb[y : y + side, x : x + side], patch))
    return all(found)


def slices(box: tuple[int, int, int]) -> tuple[slice, slice]:
    x, y, side = box
    return slice(y, y + side), slice(x, x + side)


def tile_region(path: Path, box: tuple[int, int, int]) -> np.ndarray:
    """A square (h, w) of the first page of a tiled file, from its corner x, y and side in px."""
    x, y, side = box
    with openslide.OpenSlide(path) as handle:
        return grey(np.asarray(handle.read_region((x, y), 0, (side, side)).convert("RGB")))


def grey(pixels: np.ndarray) -> np.ndarray:
    """Mean of the channels, where there are some (h, w) float32."""
    return pixels.astype(np.float32) if pixels.ndim == 2 else pixels.mean(axis=-1, dtype=np.float32)


def are_alike(small: np.ndarray, large: np.ndarray) -> bool:
    """Whether two patches of one place, of other scales, show the same."""
    rows, cols = (
        np.linspace(0, n, m + 1).astype(int)[:-1]
        for n, m in zip(large.shape, small.shape, strict=True)
    )
    sums = np.add.reduceat(np.add.reduceat(large, rows, axis=0), cols, axis=1)
    areas = np.outer(
        np.diff(np.append(rows, large.shape[0])), np.diff(np.append(cols, large.shape[1]))
    )
    mean = sums / areas
    spreads = small.std(), mean.std()
    if max(spreads) < FLAT:
        return True
    if not min(spreads):
        return False  # one of them has no content, and so no correlation
    return bool(np.corrcoef(small.ravel(), mean.ravel())[0, 1] > LIKE)
