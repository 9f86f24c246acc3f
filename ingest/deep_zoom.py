"""What a person sees of a slide: square tiles of a pyramid of powers of two (deep zoom), and the
pictures beside the tissue.
"""

import io
from functools import lru_cache

import openslide
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image

from .errors import SlideError
from .slide import Slide

VIEW_PX = 256


def view_tile(place: tuple[Slide, int, int, int]) -> bytes:
    """JPEG of tile (slide, level, column, row): at the last level a pixel is a level-0 px, each
    level before has half of it.

    Takes one value, as workers hand it over.

    Raises:
        SlideError: there is no such tile, or it cannot be decoded.
    """
    slide, level, column, row = place
    view = _view(slide)
    columns, rows = view.level_tiles[level] if 0 <= level < view.level_count else (0, 0)
    if not (0 <= column < columns and 0 <= row < rows):
        raise SlideError(
            f"no tile ({column}, {row}) of level {level}", "ask for one within the slide"
        )
    try:
        return _jpeg(view.get_tile(level, (column, row)))
    except openslide.OpenSlideError as error:
        _view.cache_clear()  # an error stays with its handle
        raise SlideError(
            f"cannot decode tile ({column}, {row}) of level {level}: {error}",
            "scan the slide again",
        ) from error


def view_levels(slide: Slide) -> int:
    """How many levels the pyramid of a slide has."""
    return (max(slide.width_px0, slide.height_px0) - 1).bit_length() + 1


def associated_image(ask: tuple[Slide, str]) -> bytes:
    """JPEG of a picture that the scanner stored beside the tissue: (slide, "label") or (slide,
    "macro"). It may name the patient.

    Raises:
        SlideError: there is none.
    """
    slide, name = ask
    try:
        with openslide.open_slide(slide.path) as handle:
            return _jpeg(handle.associated_images[name].convert("RGB"))
    except (OSError, KeyError, openslide.OpenSlideError) as error:
        raise SlideError(
            f"{slide.path}: no {name} image", "not every scanner stores one"
        ) from error


@lru_cache(maxsize=4)
def _view(slide: Slide) -> DeepZoomGenerator:
    try:
        handle = openslide.open_slide(slide.path)
    except (OSError, openslide.OpenSlideError) as error:
        raise SlideError(
            f"{slide.path}: cannot be opened: {error}", "is the slide still where it was read?"
        ) from error
    return DeepZoomGenerator(handle, VIEW_PX, 0)


def _jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.convert("RGB").save(out, format="JPEG", quality=85)
    return out.getvalue()
