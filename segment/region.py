"""A found object as exact sums over its pixels, so that its centre and box are the same from every
tile.
"""

from dataclasses import dataclass

import numpy as np

from .grid import Grid


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
