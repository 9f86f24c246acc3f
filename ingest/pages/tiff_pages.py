"""What a TIFF holds beside the image that is read: further fields, planes and series are named and
not dropped; tiles too large and compressions that no reader has are refused at once.
"""

import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path

import tifffile

from ingest.errors import SlideError

from .focal_planes import focal_planes
from .page_content import has_same_content

TILE_PX_MAX = 4096
SAME_SHAPE = 0.03  # by how much the sides of an overview may differ from those of its image
OVERVIEW = 0.7  # of the image's width, at most
REDUCED = 1  # bit of the subfile type
MASK = 4
SIDE_NAME = re.compile("label|macro|thumb|overview", re.IGNORECASE)
UNREADABLE = {
    "JPEG2000",
    "JPEG_2000_LOSSY",
    "WEBP",
    "LZMA",
    "JPEGXL",
    "JPEGXL_DNG",
    "JPEGXR",
    "LERC",
    "APERIO_JP2000_YCBC",
    "APERIO_JP2000_RGB",
    "JETRAW",
    "EER_V0",
    "EER_V1",
    "EER_V2",
}
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # a damaged file is reported by its reader


def check_tiff(path: Path, vendor: str | None) -> None:
    """Refuses a TIFF of which something would be dropped, or that would need too much memory.

    Files of scanners (`vendor` of OpenSlide) have pages of their own, which OpenSlide knows, and
    planes of focus, of which it reads one; of a file that is no TIFF nothing is said.

    Raises:
        SlideError: further pages, tiles above 4,096 px, or a compression that is not read.
    """
    try:
        with tifffile.TiffFile(path) as file:
            pages = [page.aspage() for page in file.pages]
            for page in pages:
                check_tiles(path, page)
            if vendor in (None, "generic-tiff"):
                check_compression(path, pages[0])
                check_further(path, file, pages)
            else:
                check_focus(path, focal_planes(vendor, pages))
    except SlideError:
        raise
    except Exception:  # no TIFF, or a damaged one, of which tifffile raises whatever comes
        return


def check_tiles(path: Path, page: tifffile.TiffPage) -> None:
    if page.is_tiled and max(page.tilewidth, page.tilelength) > TILE_PX_MAX:
        what = f"{path}: tiles of {page.tilewidth} x {page.tilelength} px take too much memory"
        raise SlideError(what, f"write it in tiles of 512 px, at most {TILE_PX_MAX}")


def check_compression(path: Path, page: tifffile.TiffPage) -> None:
    name = tifffile.COMPRESSION(page.compression).name
    if name in UNREADABLE and (page.is_tiled or name != "LZMA"):
        what = f"{path}: its compression {name} is not supported"
        raise SlideError(what, "write it with JPEG, LZW, Deflate or no compression")


def check_further(path: Path, file: tifffile.TiffFile, pages: Sequence[tifffile.TiffPage]) -> None:
    first = pages[0]
    named = side_pages(file)
    others = [
        page for page in pages[1:] if page.index not in named and not is_overview(path, page, first)
    ]
    below = [(page, sub.aspage()) for page in pages for sub in page.pages or ()]
    others += [sub for page, sub in below if sub.imagewidth >= page.imagewidth]
    if others:
        count = len(pages) + len(below)
        raise SlideError(
            f"{path}: {count} pages (fields, planes or series), of which only the first would "
            "be read",
            "save each as a file of its own; those of one slide into a folder NAME.fields",
        )
    stated = [math.prod(series.shape) // math.prod(series.keyframe.shape) for series in file.series]
    check_focus(path, max(first.imagedepth, *stated))


def side_pages(file: tifffile.TiffFile) -> set[int]:
    """The pages that OME-XML names as pictures beside the slide: its label, macro or thumbnail."""
    if not file.is_ome:
        return set()
    beside = [series for series in file.series if SIDE_NAME.search(series.name)]
    return {page.index for series in beside for level in series.levels for page in level if page}


def is_overview(path: Path, page: tifffile.TiffPage, first: tifffile.TiffPage) -> bool:
    """Whether a page is the image of the first one again, smaller, or a mask of it: it says so, or
    has the same shape and content.
    """
    if page.subfiletype & MASK:
        return True
    wide = page.imagewidth / first.imagewidth
    high = page.imagelength / first.imagelength
    if wide > OVERVIEW:
        return False
    if page.subfiletype & REDUCED:
        return True
    return abs(wide / high - 1) <= SAME_SHAPE and has_same_content(path, page, first)


def check_focus(path: Path, planes: int) -> None:
    if planes > 1:
        what = f"{path}: {planes} planes (of focus, time or channel), of which one would be read"
        raise SlideError(what, "export the plane that is in focus as a file of its own")
