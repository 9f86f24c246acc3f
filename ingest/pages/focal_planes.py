"""Planes of focus in the files of scanners, of which OpenSlide reads one without a word."""

import re
from collections.abc import Callable, Sequence

import tifffile

NDPI_FOCUS = 65424
LEICA_PLANE = re.compile(r"\sz=\"(\d+)\"")
VENTANA_PLANES = re.compile(r"Z-layers=\"(\d+)\"")
XMP = 700


def focal_planes(vendor: str | None, pages: Sequence[tifffile.TiffPage]) -> int:
    """How many planes a TIFF of a scanner has, 1 where nothing says more."""
    return max(1, _PLANES[vendor](pages)) if vendor in _PLANES else 1


def aperio_planes(pages: Sequence[tifffile.TiffPage]) -> int:
    """Pages of tiles as large as the first one: planes of one image."""
    return sum(page.is_tiled and size_of_page(page) == size_of_page(pages[0]) for page in pages)


def hamamatsu_planes(pages: Sequence[tifffile.TiffPage]) -> int:
    same = [page for page in pages if size_of_page(page) == size_of_page(pages[0])]
    return len({page.tags[NDPI_FOCUS].value for page in same if NDPI_FOCUS in page.tags})


def leica_planes(pages: Sequence[tifffile.TiffPage]) -> int:
    return len(set(LEICA_PLANE.findall(pages[0].description)))


def ventana_planes(pages: Sequence[tifffile.TiffPage]) -> int:
    texts = [page.tags[XMP].value for page in pages if XMP in page.tags]
    found = [
        int(number)
        for text in texts
        for number in VENTANA_PLANES.findall(bytes(text).decode("utf-8", "replace"))
    ]
    return max(found, default=1)


def size_of_page(page: tifffile.TiffPage) -> tuple[int, int]:
    return page.imagewidth, page.imagelength


_PLANES: dict[str | None, Callable[[Sequence[tifffile.TiffPage]], int]] = {
    "aperio": aperio_planes,
    "hamamatsu": hamamatsu_planes,
    "leica": leica_planes,
    "ventana": ventana_planes,
}
