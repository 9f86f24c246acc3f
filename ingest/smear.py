"""A first look at a low level: where stained objects lie and how dense the smear is."""

from dataclasses import dataclass

import numpy as np

BLOCK_UM = 32.0


@dataclass(frozen=True, slots=True)
class Smear:
    """Maps over blocks of `block_px0` level-0 px: `look` (rows, cols) bool, where something stained lies or may lie;
    `density` (rows, cols), share of the block that is not background. `background_rgb` is the empty glass.

    `look` is fixed by the slide alone. A cell counts only where it holds, so that the cells do not depend on the tiles.
    """

    block_px0: int
    look: np.ndarray
    density: np.ndarray
    background_rgb: tuple[int, int, int]

    def covers(self, x_px0: float, y_px0: float) -> bool:
        row, col = int(y_px0 // self.block_px0), int(x_px0 // self.block_px0)
        return bool(self.look[min(row, self.look.shape[0] - 1), min(col, self.look.shape[1] - 1)])

    def any_in(self, box_px0: tuple[int, int, int, int]) -> bool:
        x0, y0, x1, y1 = box_px0
        b = self.block_px0
        return bool(self.look[y0 // b : -(-y1 // b), x0 // b : -(-x1 // b)].any())
