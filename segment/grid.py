"""The work grid: pixels as read, summed in squares, on one lattice for the whole slide."""

from dataclasses import dataclass, replace

import numpy as np

from ingest import Tile

WORK_MPP = 0.5625  # coarse enough to be fast, fine enough for a 2 um platelet


def bin_px(mpp: float, work_mpp: float = WORK_MPP) -> int:
    """How many pixels as read make one work pixel across: the most that still resolves
    `work_mpp`.
    """
    return max(1, int(work_mpp / mpp + 1e-6))


def bin_pixels(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Sums (h // factor, w // factor, 3) uint16 over squares of (h, w, 3) uint8."""
    h, w = (n // factor * factor for n in pixels.shape[:2])
    rows = _added([pixels[i:h:factor, :w] for i in range(factor)])
    return _added([rows[:, i::factor] for i in range(factor)])


def _added(parts: list[np.ndarray]) -> np.ndarray:
    total = parts[0].astype(np.uint16)
    for part in parts[1:]:
        np.add(total, part, out=total)
    return total


@dataclass(frozen=True, slots=True)
class Grid:
    """Sums (h, w, 3) over `share` pixels as read. Work pixel (row, col) covers the `step_px0`
    square of level-0 px at ((col + x) * step_px0, (row + y) * step_px0), so x and y are the same
    for one place in every tile.
    """

    sums: np.ndarray
    share: int
    x: int
    y: int
    step_px0: int
    mpp: float

    def part(self, where: tuple[slice, slice]) -> "Grid":
        """The same lattice, a window of it."""
        rows, cols = where
        return replace(self, sums=self.sums[where], x=self.x + cols.start, y=self.y + rows.start)

    def px(self, um: float) -> int:
        """Whole work pixels, at least one."""
        return max(1, round(um / self.mpp))


def work_grid(tile: Tile, work_mpp: float = WORK_MPP) -> Grid:
    """The tile on the slide's work lattice; cut to whole work pixels."""
    step = tile.step_px0
    col = tile.x_px0 // step
    row = tile.y_px0 // step
    factor = bin_px(tile.mpp, work_mpp)
    sums = bin_pixels(tile.pixels[-row % factor :, -col % factor :], factor)
    return Grid(
        sums,
        factor * factor,
        -(-col // factor),
        -(-row // factor),
        step * factor,
        tile.mpp * factor,
    )
