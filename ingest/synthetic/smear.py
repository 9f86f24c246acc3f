"""A smear of any size made of given cells, with known truth: every place follows from the seed,
nothing is kept in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ingest.errors import CytostreamError

from .sprites import red_cell_sprite

PATCH_UM = 128.0
RED_VARIANTS = 48
RED_PER_MM2 = 9000.0  # of a monolayer, about two fifths of which are covered
APART_UM = 9.0  # no red cell's middle lies nearer than this to a white cell's
SPARSE_REDS = 0.4  # red cells at the left and at the right, as a multiple of a monolayer
DENSE_REDS = 1.3


@dataclass(frozen=True, slots=True)
class Layer:
    """What one cell lets through: transmission (h, w, 3), 1 being the glass, and its class.

    `cover` (h, w, 1) in [0, 1] is where it takes the place of what lies there, as a real crop does
    with its own surroundings; None where densities add up. No red cell's middle lies nearer to its
    own than `apart_um`; `image` is the file that it was read from.
    """

    light: np.ndarray
    label: str
    cover: np.ndarray | None = None
    apart_um: float = APART_UM
    image: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """A lab's stain and lamp: colour of the glass, and by how much each channel's density is
    multiplied.
    """

    glass_rgb: tuple[int, int, int]
    density: tuple[float, float, float]


LOOKS = {
    "may-gruenwald": Look((247, 238, 224), (1.0, 1.0, 1.0)),
    "wright": Look((236, 236, 240), (0.8, 1.05, 1.3)),
    "giemsa": Look((232, 226, 214), (1.35, 0.95, 0.7)),
    "pale": Look((250, 250, 248), (0.6, 0.6, 0.6)),
}


@dataclass(frozen=True, slots=True)
class PlacedCell:
    """A white cell or platelet: class, middle and box in level-0 px."""

    label: str
    x_px0: int
    y_px0: int
    side_px0: int
    image: str = ""


class SyntheticError(CytostreamError):
    """A smear that cannot be made as asked."""


@dataclass(frozen=True, eq=False)
class Synthetic:
    """The plan of a smear. `whites` are drawn evenly; the smear thickens from `thin` to `thick`
    times a monolayer along x.

    `scratches` lines without cells cross it; `blurred` is the share of its width, at the right,
    that is out of focus. With `each_once` every one of `whites` lies on it once, and
    `whites_per_mm2` says nothing.
    """

    width_px: int
    height_px: int
    mpp: float
    whites: Sequence[Layer]
    look: Look = LOOKS["may-gruenwald"]
    whites_per_mm2: float = 60.0
    thin: float = SPARSE_REDS
    thick: float = DENSE_REDS
    scratches: int = 0
    blurred: float = 0.0
    seed: int = 0
    each_once: bool = False

    @cached_property
    def sown(self) -> dict[tuple[int, int], Layer]:
        """The cell of each quarter of a patch that has one, where each lies on the smear once.

        Raises:
            SyntheticError: there are more cells than quarters.
        """
        half = self.patch_px // 2
        rows = (self.height_px - half) // half
        columns = (self.width_px - half) // half
        if len(self.whites) > rows * columns:
            raise SyntheticError(
                f"{len(self.whites)} white cells do not fit on {self.width_px} x "
                f"{self.height_px} px",
                f"make it larger: a cell needs {half} px a side",
            )
        places = self.rng(6).permutation(rows * columns)[: len(self.whites)]
        return {
            (int(place) // columns, int(place) % columns): layer
            for place, layer in zip(places, self.whites, strict=True)
        }

    @property
    def patch_px(self) -> int:
        return max(64, round(PATCH_UM / self.mpp))

    def rng(self, *place: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *place))

    def reds(self) -> list[Layer]:
        """Red cells to choose among, each as what it lets through."""
        made = (red_cell_sprite(self.mpp, self.rng(1, i)) for i in range(RED_VARIANTS))
        return [
            Layer(1 - alpha[..., None] * (1 - rgb / np.float32(255)), "rbc") for rgb, alpha in made
        ]

    def whites_of(self, row: int, col: int) -> list[tuple[PlacedCell, Layer]]:
        """White cells whose middles a patch owns, one at most in each quarter of it, whole on the
        slide.
        """
        rng = self.rng(2, row, col)
        half = self.patch_px // 2
        quarters = [(row * 2 + i, col * 2 + j) for i in (0, 1) for j in (0, 1)]
        chosen: dict[tuple[int, int], Layer | None]
        if self.each_once:
            chosen = {quarter: self.sown[quarter] for quarter in quarters if quarter in self.sown}
        else:
            chance = min(0.9, self.whites_per_mm2 * (half * self.mpp / 1000) ** 2)
            chosen = {quarter: None for quarter in quarters if rng.random() < chance}
        return [
            cell
            for (r, c), layer in chosen.items()
            if (cell := self.white_at(r * half, c * half, rng, layer)) is not None
        ]

    def white_at(
        self, top: int, left: int, rng: np.random.Generator, chosen: Layer | None = None
    ) -> tuple[PlacedCell, Layer] | None:
        """The cell of a quarter of a patch: the one that was chosen, or any; None where it would
        not be whole.
        """
        layer = chosen or self.whites[int(rng.integers(len(self.whites)))]
        px = layer.light.shape[0]
        free = max(1, self.patch_px // 2 - px)
        x, y = left + px // 2 + int(rng.integers(free)), top + px // 2 + int(rng.integers(free))
        inside = px // 2 <= x < self.width_px - px // 2 and px // 2 <= y < self.height_px - px // 2
        return (
            (PlacedCell(layer.label, x, y, px, layer.image), layer)
            if inside and not self.scratched(x, y, px)
            else None
        )

    def scratched(self, x: int, y: int, px: int) -> bool:
        across = [int(self.scratch_x(n, np.array([y]))[0]) for n in range(self.scratches)]
        return any(abs(x - at) < px for at in across)

    def scratch_x(self, n: int, y: np.ndarray) -> np.ndarray:
        """Where scratch n runs at heights (m,): a slanting line."""
        start, slant = self.rng(3, n).random(2)
        result: np.ndarray = (
            (start + (slant - 0.5) * 0.3 * y / self.height_px) * self.width_px
        ).astype(int)
        return result

    def layers_of(self, row: int, col: int, reds: Sequence[Layer]) -> list[tuple[int, int, Layer]]:
        """Middles and layers of everything a patch owns: red cells where no white cell lies, then
        the white cells.
        """
        rng = self.rng(4, row, col)
        whites = self.whites_of(row, col)
        where = (col + 0.5) * self.patch_px / self.width_px
        dense = max(0.0, self.thin + (self.thick - self.thin) * where)
        count = rng.poisson(RED_PER_MM2 * dense * (self.patch_px * self.mpp / 1000) ** 2)
        x, y = (rng.integers(0, self.patch_px, count) + n * self.patch_px for n in (col, row))
        clear = np.ones(count, bool)
        for cell, layer in whites:
            clear &= np.hypot(x - cell.x_px0, y - cell.y_px0) * self.mpp > layer.apart_um
        kinds = rng.integers(0, len(reds), count)
        red = [
            (int(i), int(j), reds[k])
            for i, j, k in zip(x[clear], y[clear], kinds[clear], strict=True)
        ]
        return red + [(cell.x_px0, cell.y_px0, layer) for cell, layer in whites]
