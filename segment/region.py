"""A found object as exact sums over its pixels, so that its centre and box are the same from every
tile; the shapes of many at once.
"""

from dataclasses import dataclass

import numpy as np

from .grid import Grid

MIDDLE = 1 / 3  # of the radius, where the pallor is looked for
RIM_PERCENT = 90


@dataclass(frozen=True, slots=True)
class Blob:
    """One object on the work lattice: `kind`, pixel count, sums of columns and rows, and the
    half-open box (x0, y0, x1, y1).
    """

    kind: str
    count: int
    x_sum: int
    y_sum: int
    box: tuple[int, int, int, int]

    def centre_px0(self, grid: Grid) -> tuple[int, int]:
        """Centroid in level-0 px, on the lattice of pixels as read."""
        read = int(grid.share**0.5)
        step = grid.step_px0 // read
        x, y = (
            (2 * s + self.count) * read // (2 * self.count) * step for s in (self.x_sum, self.y_sum)
        )
        return x, y

    def box_px0(self, grid: Grid) -> tuple[int, int, int, int]:
        x0, y0, x1, y1 = (max(0, v * grid.step_px0) for v in self.box)
        return x0, y0, x1, y1

    def area_um2(self, grid: Grid) -> float:
        return round(self.count * grid.mpp**2, 3)


def blob_of(kind: str, mask: np.ndarray, x: int, y: int) -> Blob:
    """The blob of a mask (h, w) bool that lies at (x, y) of the lattice; the mask must not be
    empty.
    """
    rows, cols = np.nonzero(mask)
    box = int(cols.min()) + x, int(rows.min()) + y, int(cols.max()) + x + 1, int(rows.max()) + y + 1
    return Blob(
        kind, len(rows), int(cols.sum()) + x * len(cols), int(rows.sum()) + y * len(rows), box
    )


@dataclass(frozen=True, slots=True, eq=False)
class RegionShapes:
    """A row a cell (n,): its area in um2; its roundness, 4 area / (pi major axis^2), 1 for a disc;
    its pallor, by how much the stain of its middle falls short of that of its rim.
    """

    area_um2: np.ndarray
    roundness: np.ndarray
    pallor: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class _Pixels:
    """The pixels of `count` cells (m,): whose each is, from 0, its row and column, its stain."""

    count: int
    cell: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    stain: np.ndarray

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum of a whole number of each pixel over each cell (count,); exact."""
        return np.bincount(self.cell, values, self.count)


def region_shapes(
    owner: np.ndarray, numbers: np.ndarray, stained: np.ndarray, grid: Grid
) -> RegionShapes:
    """The cells `numbers` (n,) of a map of owners (h, w), on which the stain is `stained` (h, w)
    int; each has a pixel at least.
    """
    pixels = _pixels_of(owner, numbers, stained)
    size = pixels.sums(np.ones(len(pixels.cell)))
    area = size * grid.mpp**2
    middle_row = pixels.sums(pixels.rows) / size
    middle_col = pixels.sums(pixels.cols) / size
    away = np.hypot(pixels.rows - middle_row[pixels.cell], pixels.cols - middle_col[pixels.cell])
    is_middle = away * grid.mpp <= (MIDDLE * np.sqrt(area / np.pi))[pixels.cell]
    inside = pixels.sums(is_middle)
    rim = np.maximum(1.0, _rim_stain(pixels, size))
    stain = pixels.sums(np.where(is_middle, pixels.stain, 0)) / np.maximum(inside, 1)
    return RegionShapes(
        area,
        np.minimum(1.0, 4 * area / (np.pi * (_major_px(pixels, size) * grid.mpp) ** 2)),
        np.where(inside > 0, np.maximum(0.0, 1 - stain / rim), 0.0),
    )


def _pixels_of(owner: np.ndarray, numbers: np.ndarray, stained: np.ndarray) -> _Pixels:
    index = np.full(max(int(owner.max(initial=-1)), int(numbers.max(initial=-1))) + 2, -1)
    index[numbers] = np.arange(len(numbers))
    cell = index[owner]  # the last, of no cell, is -1
    rows, cols = np.nonzero(cell >= 0)
    return _Pixels(len(numbers), cell[rows, cols], rows, cols, stained[rows, cols].astype(np.int64))


def _major_px(pixels: _Pixels, size: np.ndarray) -> np.ndarray:
    """The major axis (n,) in px of the ellipse with the same second moments; a pixel is a
    square.
    """
    row, col = pixels.sums(pixels.rows), pixels.sums(pixels.cols)
    down = (size * pixels.sums(pixels.rows**2) - row * row) / size**2
    across = (size * pixels.sums(pixels.cols**2) - col * col) / size**2
    mixed = (size * pixels.sums(pixels.rows * pixels.cols) - row * col) / size**2
    largest = (down + across) / 2 + np.hypot((down - across) / 2, mixed) + 1 / 12
    result: np.ndarray = 4 * np.sqrt(largest)
    return result


def _rim_stain(pixels: _Pixels, size: np.ndarray) -> np.ndarray:
    """The percentile `RIM_PERCENT` (n,) of the stain of each cell, between its values."""
    by_stain = pixels.stain[np.lexsort((pixels.stain, pixels.cell))]
    first = np.cumsum(size) - size
    place = RIM_PERCENT / 100 * (size - 1)
    low = np.floor(place)
    high = np.minimum(low + 1, size - 1)
    below, above = (by_stain[(first + at).astype(int)] for at in (low, high))
    result: np.ndarray = below + (above - below) * (place - low)
    return result
