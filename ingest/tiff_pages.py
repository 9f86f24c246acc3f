"""What a TIFF holds beside the image that is read: further fields, planes and series are named and
not dropped; tiles too large and compressions that no reader has are refused at once.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import tifffile

from .errors import SlideError

TILE_PX_MAX = 4096
SAME_SHAPE = 0.03  # by how much the sides of an overview may differ from those of its image
OVERVIEW = 0.7  # of the image's width, at most
REDUCED = 1  # bit of the subfile type
NDPI_FOCUS = 65424
UNREADABLE = {
    "JPEG2000", "JPEG_2000_LOSSY", "WEBP", "LZMA", "JPEGXL", "JPEGXL_DNG", "JPEGXR", "LERC",
    "APERIO_JP2000_YCBC", "APERIO_JP2000_RGB", "JETRAW", "EER_V0", "EER_V1", "EER_V2",
}  # fmt: skip
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # a damaged file is reported by its reader


def check_tiff(path: Path, vendor: str | None) -> None:
    """Refuses a TIFF of which something would be dropped, or that would need too much memory.

    Files of scanners (`vendor` of OpenSlide) have pages of their own, which OpenSlide knows; of a
    file that is no TIFF nothing is said.

    Raises:
        SlideError: further pages, tiles above 4,096 px, or a compression that is not read.
    """
    try:
        with tifffile.TiffFile(path) as file:
            check_pages(path, [page.aspage() for page in file.pages], vendor)
    except SlideError:
        raise
    except Exception:  # no TIFF, or a damaged one, of which tifffile raises whatever comes
        return


def check_pages(path: Path, pages: Sequence[tifffile.TiffPage], vendor: str | None) -> None:
    for page in pages:
        check_tiles(path, page)
    if vendor == "hamamatsu":
        check_focus(path, pages)
    elif vendor in (None, "generic-tiff"):
        check_compression(path, pages[0])
        check_further(path, pages)


def check_tiles(path: Path, page: tifffile.TiffPage) -> None:
    if page.is_tiled and max(page.tilewidth, page.tilelength) > TILE_PX_MAX:
        what = f"{path}: tiles of {page.tilewidth} x {page.tilelength} px take too much memory"
        raise SlideError(what, f"write it in tiles of 512 px, at most {TILE_PX_MAX}")


def check_compression(path: Path, page: tifffile.TiffPage) -> None:
    name = tifffile.COMPRESSION(page.compression).name
    if name in UNREADABLE and (page.is_tiled or name != "LZMA"):
        what = f"{path}: its compression {name} is not supported"
        raise SlideError(what, "write it with JPEG, LZW, Deflate or no compression")


def check_further(path: Path, pages: Sequence[tifffile.TiffPage]) -> None:
    first = pages[0]
    others = [page for page in pages[1:] if not is_overview(page, first)]
    if others:
        raise SlideError(
            f"{path}: {len(pages)} pages (fields, planes or series), of which only the first would "
            "be read",
            "save each as a file of its own; those of one slide into a folder NAME.fields",
        )


def is_overview(page: tifffile.TiffPage, first: tifffile.TiffPage) -> bool:
    """Whether a page is the image of the first one again, smaller."""
    if page.subfiletype & REDUCED:
        return True
    wide = page.imagewidth / first.imagewidth
    high = page.imagelength / first.imagelength
    return wide <= OVERVIEW and abs(wide / high - 1) <= SAME_SHAPE


def check_focus(path: Path, pages: Sequence[tifffile.TiffPage]) -> None:
    size = pages[0].imagewidth, pages[0].imagelength
    same = [page for page in pages if (page.imagewidth, page.imagelength) == size]
    if len({page.tags[NDPI_FOCUS].value for page in same if NDPI_FOCUS in page.tags}) > 1:
        what = f"{path}: {len(same)} planes of focus, of which only one would be read"
        raise SlideError(what, "export the plane that is in focus")
