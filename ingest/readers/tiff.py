"""Reads tiles of a pyramidal TIFF by imagecodecs, several times as fast as OpenSlide; used only
where the pixels are equal.
"""

import os
import weakref
from functools import lru_cache

import numpy as np
import tifffile

from ingest.errors import SlideError
from ingest.slide import Level, Slide

_CACHE_BYTES = 64 << 20
_WHITE = 255
_COLOURS = {tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR}


class TiffReader:
    """Tiles decoded one by one, the last ones kept. Threads may share it: reads have no place of
    their own in the file.

    Raises:
        SlideError: the file is not of tiles of 8-bit colour, one page a level.
    """

    def __init__(self, slide: Slide):
        self.path = slide.path
        try:
            self.file = tifffile.TiffFile(slide.path)
            weakref.finalize(self, self.file.close)
            self.pages = [page_of(self.file, level) for level in slide.levels]
        except Exception as error:  # of a damaged file tifffile raises whatever comes
            raise SlideError(
                f"{slide.path}: no plain tiled TIFF: {error}", "leave it to OpenSlide"
            ) from error
        self.steps = [level.downsample for level in slide.levels]
        page = self.pages[0]
        self.tile = lru_cache(max(4, _CACHE_BYTES // (3 * page.tilewidth * page.tilelength)))(
            self.decoded
        )

    def read(self, x_px0: int, y_px0: int, level: int, size_px: tuple[int, int]) -> np.ndarray:
        """As `Reader.read`."""
        page = self.pages[level]
        width, height = size_px
        x, y = (int(v / self.steps[level]) for v in (x_px0, y_px0))
        wide = page.tilewidth
        high = page.tilelength
        out = np.empty((height, width, 3), np.uint8)
        for row in range(y // high, -(-(y + height) // high)):
            for col in range(x // wide, -(-(x + width) // wide)):
                top, left = row * high - y, col * wide - x
                part = self.tile(level, row, col)[
                    max(0, -top) : height - top, max(0, -left) : width - left
                ]
                top, left = max(0, top), max(0, left)
                out[top : top + part.shape[0], left : left + part.shape[1]] = part
        return out

    def decoded(self, level: int, row: int, col: int) -> np.ndarray:
        """A whole tile (h, w, 3); one that was never scanned, or lies outside, is white.

        Raises:
            SlideError: it cannot be decoded.
        """
        page = self.pages[level]
        wide = page.tilewidth
        high = page.tilelength
        across = -(-page.imagewidth // wide)
        white = np.full((high, wide, 3), _WHITE, np.uint8)
        if col >= across or row >= -(-page.imagelength // high):
            return white
        index = row * across + col
        try:
            count = page.databytecounts[index]
            offset = page.dataoffsets[index]
            if not count:
                return white
            data = os.pread(self.file.filehandle.fileno(), count, offset)
            image = (
                page.decode(data, index, jpegtables=page.jpegtables)[0]
                if len(data) == count
                else None
            )
        except Exception as error:  # a decoder's own errors have no common base
            raise self.trouble(level, row, col, error) from error
        if image is None:
            raise self.trouble(level, row, col, "the file ends before it")
        tile: np.ndarray = image[0]
        if tile.shape == white.shape:
            return tile
        white[: tile.shape[0], : tile.shape[1]] = tile
        return white

    def trouble(self, level: int, row: int, col: int, error: object) -> SlideError:
        return SlideError(
            f"cannot decode the tile ({row}, {col}) of level {level}: {error}",
            "scan the slide again",
        )


def page_of(file: tifffile.TiffFile, level: Level) -> tifffile.TiffPage:
    """The page of a level: tiles of 8-bit colour, all channels together.

    Raises:
        StopIteration: there is none.
    """
    pages = [page.aspage() for page in file.pages]
    pages += [page.aspage() for page in file.pages for page in (page.aspage().pages or ())]
    return next(
        page
        for page in pages
        if (page.imagewidth, page.imagelength) == (level.width_px, level.height_px) and fits(page)
    )


def fits(page: tifffile.TiffPage) -> bool:
    return (
        page.is_tiled
        and page.samplesperpixel == 3
        and page.bitspersample == 8
        and page.planarconfig == tifffile.PLANARCONFIG.CONTIG
        and page.photometric in _COLOURS
        and page.compression in (tifffile.COMPRESSION.JPEG, tifffile.COMPRESSION.NONE)
    )
