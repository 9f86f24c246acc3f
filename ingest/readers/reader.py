"""Reads pixels of a slide. Lives in the worker that reads; never travels."""

import errno
import math
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import openslide
from PIL import Image

from ingest.errors import DamagedSlideError, SlideAwayError, SlideError
from ingest.slide import FORMATS, Slide

from .black_fill import without_black
from .tiff import TiffReader

_CACHE_BYTES = 64 << 20
SAMPLE_PX = 64
AWAY = {
    errno.ENOENT,
    errno.EIO,
    errno.ESTALE,
    errno.ENOTCONN,
    errno.EACCES,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
}
READ_MPP = 36.0 / 128  # of the crops that the classifier is trained on


class Reader(Protocol):
    def read(self, x_px0: int, y_px0: int, level: int, size_px: tuple[int, int]) -> np.ndarray:
        """RGB uint8 (h, w, 3) of a level, from a level-0 corner inside the slide; never-scanned
        places are white.

        Raises:
            SlideError: the place cannot be decoded; the next call works again.
        """


class OpenSlideReader:
    """An OpenSlide error latches on its handle, so a handle that failed is replaced (and only the
    tile is lost).
    """

    def __init__(self, slide: Slide):
        self.path = slide.path
        self.cache = openslide.OpenSlideCache(_CACHE_BYTES)
        self.handle: openslide.OpenSlide | None = self.opened()

    def opened(self) -> openslide.OpenSlide:
        handle = openslide.OpenSlide(self.path)
        handle.set_cache(self.cache)
        return handle

    def read(self, x_px0: int, y_px0: int, level: int, size_px: tuple[int, int]) -> np.ndarray:
        try:
            self.handle = self.handle or self.opened()
            region = self.handle.read_region((x_px0, y_px0), level, size_px)
        except openslide.OpenSlideError as error:
            self.handle = None  # the next call opens it anew, if the file is there by then
            what = f"cannot decode the place ({x_px0}, {y_px0}) of level {level}: {error}"
            raise SlideError(what, "scan the slide again") from error
        white = Image.new("RGB", region.size, (255, 255, 255))
        white.paste(region, mask=region.getchannel("A"))
        return np.asarray(white)


class ImageReader:
    """A plain field of view, decoded whole, once."""

    def __init__(self, slide: Slide):
        try:
            with Image.open(slide.path) as image:
                self.pixels = np.asarray(_on_white(image))
        except (OSError, SyntaxError) as error:
            raise DamagedSlideError(
                f"{slide.path}: cannot be decoded: {error}", "copy it again from the microscope"
            ) from error

    def read(self, x_px0: int, y_px0: int, level: int, size_px: tuple[int, int]) -> np.ndarray:
        width, height = size_px
        return self.pixels[y_px0 : y_px0 + height, x_px0 : x_px0 + width]


def _on_white(image: Image.Image) -> Image.Image:
    """The image in RGB; what is transparent is white, as it is in slides."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(layer, mask=layer.getchannel("A"))
    return white


@lru_cache(maxsize=2)
def reader_of(slide: Slide) -> Reader:
    """The process's one reader of a slide, so that tiles share its handle and its tile cache."""
    try:
        module, _, function = FORMATS[slide.reader].opener.partition(":")
        opener = cast(Callable[[Slide], Reader], getattr(import_module(module), function))
        return opener(slide)
    except openslide.OpenSlideError as error:
        raise DamagedSlideError(
            f"{slide.path}: cannot be opened: {error}", "copy it again from the scanner"
        ) from error


def open_levels(slide: Slide) -> Reader:
    """The reader of a slide that OpenSlide knows."""
    return fastest(slide, OpenSlideReader(slide))


def fastest(slide: Slide, slow: OpenSlideReader) -> Reader:
    """The tiles decoded without OpenSlide, where that gives the same pixels in the middle and at
    the far end of its levels.
    """
    try:
        fast = TiffReader(slide)
        return fast if all(same_pixels(fast, slow, place) for place in places(slide)) else slow
    except SlideError:
        return slow


def places(slide: Slide) -> Iterator[tuple[int, int, int, tuple[int, int]]]:
    """What to compare, as arguments of `read`, in every level that is read for cells."""
    for i, level in enumerate(slide.levels):
        if not level.whole:
            continue
        size = min(SAMPLE_PX, level.width_px), min(SAMPLE_PX, level.height_px)
        for share in (0.5, 1.0):
            x, y = (
                int((n - s) * share)
                for n, s in zip((level.width_px, level.height_px), size, strict=True)
            )
            yield int(x * level.downsample), int(y * level.downsample), i, size


def same_pixels(fast: Reader, slow: Reader, place: tuple[int, int, int, tuple[int, int]]) -> bool:
    return np.array_equal(fast.read(*place), slow.read(*place))


def step_px0(slide: Slide, mpp: float = READ_MPP) -> int:
    """Level-0 px a pixel as read: the most that still resolves `mpp`, a whole number so that all
    tiles share one grid.
    """
    return max(1, math.floor(mpp / slide.mpp + 1e-6))


def whole_step_px0(slide: Slide, wanted: float) -> int:
    """Level-0 px a pixel of the coarsest whole level that is not coarser than `wanted`; 1 where
    there is none.
    """
    return max(
        (int(v.downsample) for v in slide.levels if v.whole and v.downsample <= wanted), default=1
    )


def levels_for(slide: Slide, step_px0: int) -> list[int]:
    """The levels whose pixels fit a whole number of times into a `step_px0` square, coarsest first;
    level 0 at least."""
    fits = [i for i, level in enumerate(slide.levels) if step_px0 % level.downsample == 0]
    return sorted(fits, key=lambda i: -slide.levels[i].downsample) or [0]


def read_grid(
    slide: Slide,
    box: tuple[int, int, int, int],
    step_px0: int,
    background: tuple[int, int, int],
    keep_black: bool = False,
) -> np.ndarray:
    """Box means of the slide over squares of `step_px0` level-0 px: uint8 (h, w, 3) for a box in
    level-0 px; black filling is white, unless it is to be kept.

    The box may leave the slide, where it is `background`. Its corner must lie on the grid
    (multiples of the step). What cannot be decoded of one level is read from the next finer one.

    Raises:
        SlideAwayError: the file is not there now.
        SlideError: no level can be decoded there.
    """
    read = partial(read_level, slide, box, step_px0, background=background, keep_black=keep_black)
    *coarser, finest = levels_for(slide, step_px0)
    for level in coarser:
        try:
            return read(level)
        except SlideAwayError:
            raise
        except SlideError:
            continue
    return read(finest)


def read_level(
    slide: Slide,
    box: tuple[int, int, int, int],
    step_px0: int,
    level: int,
    *,
    background: tuple[int, int, int],
    keep_black: bool,
) -> np.ndarray:
    """As `read_grid`, from one level."""
    d = int(slide.levels[level].downsample)
    x0, y0, x1, y1 = (v // d for v in box)
    wide = slide.levels[level].width_px
    high = slide.levels[level].height_px
    left = max(x0, 0)
    top = max(y0, 0)
    right = min(x1, wide)
    bottom = min(y1, high)
    shape = (y1 - y0, x1 - x0, 3)
    if right <= left or bottom <= top:
        return box_mean(plain_image(shape, background), step_px0 // d)
    pixels = read_place(slide, left * d, top * d, level, (right - left, bottom - top))
    if not keep_black:
        pixels = without_black(pixels, slide.mpp * d)
    if pixels.shape == shape and d < step_px0:
        return box_mean(pixels, step_px0 // d)
    out = plain_image(shape, background)
    out[top - y0 : bottom - y0, left - x0 : right - x0] = pixels
    return box_mean(out, step_px0 // d)


def plain_image(shape: tuple[int, int, int], colour: tuple[int, int, int]) -> np.ndarray:
    """An image (h, w, 3) of one colour; filled row by row, since three bytes at a time is slow."""
    row = np.tile(np.array(colour, np.uint8), shape[1]).reshape(shape[1:])
    return np.broadcast_to(row, shape).copy()


def read_place(
    slide: Slide, x_px0: int, y_px0: int, level: int, size_px: tuple[int, int]
) -> np.ndarray:
    """As `Reader.read`; a file that is not there is told from one that cannot be decoded."""
    try:
        return reader_of(slide).read(x_px0, y_px0, level, size_px)
    except SlideError as error:
        if is_there(slide.path) and getattr(error.__cause__, "errno", None) not in AWAY:
            raise
        hint = "does every worker see this path, and is the share still there?"
        raise SlideAwayError(f"{slide.path}: not there for this worker", hint) from error


def is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def box_mean(pixels: np.ndarray, n: int) -> np.ndarray:
    """Mean (h // n, w // n, 3) of n x n squares of pixels (h, w, 3), rounded; the remainder at the
    right and bottom is dropped.

    Rows are added first, along which memory runs, then the columns, a channel at a time.
    """
    if n == 1:
        return pixels
    h = pixels.shape[0] // n
    w = pixels.shape[1] // n
    wide = np.uint16 if n * n * 256 <= np.iinfo(np.uint16).max else np.uint32
    rows = pixels[: h * n, : w * n].reshape(h, n, w * n * 3)
    half = np.array(n * n // 2, wide)
    area = np.array(n * n, wide)
    total: np.ndarray = rows[:, 0].astype(wide)
    for i in range(1, n):
        total += rows[:, i]
    columns = total.reshape(h, w, n, 3)
    mean = np.empty((h, w, 3), np.uint8)
    for channel in range(3):
        added: np.ndarray = columns[:, :, 0, channel] + half
        for j in range(1, n):
            added += columns[:, :, j, channel]
        mean[..., channel] = added // area
    return mean


def openslide_version() -> str:
    return openslide.__library_version__
