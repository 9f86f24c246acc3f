"""A first look at a low level: where stained objects lie and how dense the smear is.

Limits were chosen by hand: a first look must leave out nothing in which cells are found, which
`cytostream bench locate SLIDE` compares with every place of a slide.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .errors import DamagedSlideError, SlideAwayError, SlideError
from .readers import BLACK, read_grid, step_px0, whole_step_px0
from .slide import Slide

BLOCK_UM = 32.0
LOOK_MPP = 1.7  # coarse enough to be quick, fine enough for a platelet to leave a mark
PART_PX = 512, 2048
DARK = 100  # mean of an 8-bit background that no bright-field scanner leaves
UNREAD = 0
LEAST_SEEN = 0.002  # share of the slide that is not black
THRESHOLD_RANGE = (0.06, 0.15)  # optical density


@dataclass(frozen=True, slots=True)
class StainMask:
    """Where to look: `look` (rows, cols) bool over blocks of `block_px0` level-0 px, where
    something stained lies or may lie. `background_rgb` is the empty glass. Travels to every worker.

    `look` is fixed by the slide alone. A cell counts only where it holds, so that the cells do not
    depend on the tiles.
    """

    block_px0: int
    look: np.ndarray
    background_rgb: tuple[int, int, int]

    def covers(self, x_px0: float, y_px0: float) -> bool:
        row, col = int(y_px0 // self.block_px0), int(x_px0 // self.block_px0)
        return bool(self.look[min(row, self.look.shape[0] - 1), min(col, self.look.shape[1] - 1)])

    def any_in(self, box_px0: tuple[int, int, int, int]) -> bool:
        x0, y0, x1, y1 = box_px0
        b = self.block_px0
        return bool(self.look[y0 // b : -(-y1 // b), x0 // b : -(-x1 // b)].any())


@dataclass(frozen=True, slots=True)
class Survey:
    """What the first look saw, over the smear's blocks: `density` (rows, cols), share of the block
    that is not background; `stained` (rows, cols), its strongest stain in optical density of red
    light.
    """

    smear: StainMask
    density: np.ndarray
    stained: np.ndarray


def look_step_px0(slide: Slide) -> int:
    """Level-0 px a pixel of the first look: a pyramid level's where there is one near `LOOK_MPP`,
    never finer than needed.
    """
    wanted = LOOK_MPP / slide.mpp
    best = whole_step_px0(slide, wanted)
    return best * max(1, int(wanted // best))


def parts(
    slide: Slide, step: int, block: int, keep_black: bool = False
) -> Iterator[tuple[int, np.ndarray]]:
    """The whole slide at `step`, row by row in parts of whole blocks, so that memory does not grow
    with it: (row, pixels).

    A part that cannot be decoded comes out black, so the tiles of it are looked at, and fail one by
    one.
    """
    rows, cols = (block * max(1, px // block) * step for px in PART_PX)
    height, width = (-(-px0 // step) * step for px0 in (slide.height_px0, slide.width_px0))
    for y in range(0, height, rows):
        for x in range(0, width, cols):
            x1, y1 = min(x + cols, width), min(y + rows, height)
            try:
                yield y, read_grid(slide, (x, y, x1, y1), step, (255, 255, 255), keep_black)
            except SlideAwayError:
                raise
            except SlideError:
                yield y, np.full(((y1 - y) // step, (x1 - x) // step, 3), UNREAD, np.uint8)


def survey_slide(slide: Slide) -> Survey:
    """Look at the whole slide once at about 1.7 um/px.

    Raises:
        SlideError: nothing of it can be decoded, or its background is dark (fluorescence).
    """
    step = look_step_px0(slide)
    block = max(1, round(BLOCK_UM / slide.mpp / step))
    sample = np.concatenate(
        [pixels[::4, ::4].reshape(-1, 3) for _, pixels in parts(slide, step, block, True)]
    )
    if not sample.any():
        raise DamagedSlideError(
            f"{slide.path}: no part of it can be decoded",
            "is it cut short? copy it again from the scanner",
        )
    seen = sample[sample.max(axis=1) >= BLACK]  # black filling is no background
    background = background_of(seen) if len(seen) > LEAST_SEEN * len(sample) else (0, 0, 0)
    if np.mean(background) < DARK:
        raise SlideError(
            f"{slide.path}: dark background, as in fluorescence", "a bright-field smear is wanted"
        )
    rows: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    for y, pixels in parts(slide, step, block):
        rows.setdefault(y, []).append(block_maps(pixels, block, background))
    stained, density = (
        np.concatenate([np.hstack([m[i] for m in maps]) for maps in rows.values()])
        for i in range(2)
    )
    stained = stained.astype(np.float16)
    density = density.astype(np.float16)
    smear = StainMask(
        block * step, look_map(stained > look_threshold(seen, background)), background
    )
    return Survey(smear, density, stained)


def background_of(samples: np.ndarray) -> tuple[int, int, int]:
    """Colour of the empty glass in pixels (n, 3): the median of the brightest fifth that is not
    blown out.
    """
    # channel by channel: along an axis of three numpy is slow
    red, green, blue = (samples[:, channel].astype(np.int32) for channel in range(3))
    brightness = red + green + blue
    blown = (brightness >= 3 * 254) | (brightness == 3 * UNREAD)
    if (~blown).mean() > 0.05:
        samples = samples[~blown]
        brightness = brightness[~blown]
    bright = samples[brightness >= np.quantile(brightness, 0.8)]
    return (
        int(np.median(bright[:, 0])),
        int(np.median(bright[:, 1])),
        int(np.median(bright[:, 2])),
    )


def red_density(pixels: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    """Optical density of red light, less 0.3 of blue's: high in nuclei and platelets, low in red
    cells (h, w) float32.
    """
    density = -np.log10(
        (np.arange(256, dtype=np.float32)[:, None] + 1) / (np.array(background, np.float32) + 1)
    )
    result: np.ndarray = density[pixels[..., 0], 0] - 0.3 * density[pixels[..., 2], 2]
    return result


def block_maps(
    strip: np.ndarray, block: int, background: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Strongest stain and density (rows, cols) of the blocks of a strip; a last, narrower block
    counts as one.
    """
    stain = red_density(strip, background)
    covered = is_covered(strip, background)
    h, w = stain.shape
    tops = np.arange(0, h, block)
    lefts = np.arange(0, w, block)
    peak = np.maximum.reduceat(np.maximum.reduceat(stain, tops, axis=0), lefts, axis=1)
    share = np.add.reduceat(
        np.add.reduceat(covered.astype(np.float32), tops, axis=0), lefts, axis=1
    )
    area = np.diff(np.append(tops, h))[:, None] * np.diff(np.append(lefts, w))
    return peak, share / area


def is_covered(pixels: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    return pixels[..., 1] < 0.88 * background[1]


def look_threshold(samples: np.ndarray, background: tuple[int, int, int]) -> float:
    """A stain somewhat above that of the slide's own red cells, which are most of what covers a
    smear.

    Bounded on both sides: glass has some noise, and where white cells prevail the median is theirs.
    """
    stain = red_density(samples[is_covered(samples, background)], background)
    if not len(stain):
        return THRESHOLD_RANGE[0]
    middle = np.median(stain)
    return float(np.clip(middle + 1.48 * np.median(np.abs(stain - middle)), *THRESHOLD_RANGE))


def look_map(found: np.ndarray) -> np.ndarray:
    """The found blocks with their eight neighbours, since a cell may reach over."""
    found = np.pad(found, 1)
    rows = found[:-2] | found[1:-1] | found[2:]
    result: np.ndarray = rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
    return result


def stain_samples(slide: Slide, seen: Survey, count: int = 16) -> list[np.ndarray]:
    """Windows (256, 256, 3) as tiles are read, for fitting the stain: the most stained places, half
    of them from anywhere, in an order that the slide alone fixes. Fewer where there is less to look
    at; an unreadable one is left out.
    """
    smear = seen.smear
    places = np.argwhere(seen.smear.look)
    if not len(places):
        return []
    by_stain = places[np.argsort(-seen.stained[tuple(places.T)], kind="stable")]
    spread = by_stain[np.linspace(0, len(by_stain) - 1, count // 2).astype(int)]
    chosen = np.unique(np.concatenate([by_stain[: count // 2], spread]), axis=0)
    return [
        window
        for row, col in chosen
        if (window := sample_window(slide, smear, row, col)) is not None
    ]


def sample_window(
    slide: Slide, smear: StainMask, row: int, col: int, px: int = 256
) -> np.ndarray | None:
    step = step_px0(slide)
    half = px // 2 * step
    x, y = (int((n + 0.5) * smear.block_px0) // step * step - half for n in (col, row))
    try:
        return read_grid(slide, (x, y, x + px * step, y + px * step), step, smear.background_rgb)
    except SlideAwayError:
        raise
    except SlideError:
        return None
