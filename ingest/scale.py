"""How many um a pixel is: what files state, and what of it can be believed."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import tifffile
from PIL import Image

from .errors import SlideError

MPP_RANGE = (0.02, 1.0)  # objectives of 10x and more; 72 dpi, which editors write, is 353
SQUARE = 0.02  # by how much the sides of a pixel may differ
INCH_UM = 25_400
CENTIMETRE_UM = 10_000
UNIT_UM = {
    "": 1.0,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "pm": 1e-6,
    "å": 1e-4,
}
X_RESOLUTION = 282
Y_RESOLUTION = 283
RESOLUTION_UNIT = 296
OME_SIZE = re.compile(r'PhysicalSize([XY](?:Unit)?)\s*=\s*"([^"]*)"')

Sides = tuple[float, float]


def settled_mpp(
    path: Path, stated: Sides | None, mpp: float | None, override: float | None
) -> float:
    """The um per level-0 px: `override`, else what the file states, else `mpp`.

    Raises:
        SlideError: nothing says it, or no microscope has it, or its pixels are not square.
    """
    for given in (override, mpp):
        if given is not None:
            check_range(path, given)
    if override is not None:
        return override
    if stated is None or (mpp is not None and not all(map(is_likely, stated))):
        if mpp is None:
            hint = "give --mpp, 0.25 for most 40x scanners"
            raise SlideError(f"{path}: does not say its um per pixel", hint)
        return mpp
    for side in stated:
        check_range(path, side)
    wide, high = stated
    if abs(wide / high - 1) > SQUARE:
        what = f"{path}: pixels of {wide:.4g} x {high:.4g} um, which are not square"
        raise SlideError(
            what, "resample it to square pixels, or give the true scale with --mpp-override"
        )
    return wide


def is_likely(mpp: float) -> bool:
    return MPP_RANGE[0] <= mpp <= MPP_RANGE[1]


def check_range(path: Path, mpp: float) -> None:
    if not is_likely(mpp):
        what = f"{path}: {mpp:.4g} um per pixel is what no microscope has"
        raise SlideError(what, "give the true one with --mpp")


def stated_by_slide(path: Path, properties: Mapping[str, str]) -> Sides | None:
    """Sides of a pixel in um as OpenSlide has them; of a generic TIFF, its text goes first."""
    if properties.get("openslide.vendor") == "generic-tiff":
        written = stated_by_text(path)
        if written:
            return written
    sides = [properties.get(f"openslide.mpp-{axis}") for axis in "xy"]
    return (
        (float(sides[0] or sides[1] or 0), float(sides[1] or sides[0] or 0)) if any(sides) else None
    )


def stated_by_image(path: Path, image: Image.Image) -> Sides | None:
    """Sides of a pixel in um as a plain image has them.

    JFIF counts dots in 16 bits, so that the density of a microscope wraps: of a JPEG, EXIF alone
    is believed.
    """
    if image.format == "TIFF":
        written = stated_by_text(path)
        if written:
            return written
    if image.format in ("JPEG", "MPO"):
        exif = image.getexif()
        unit_um = {2: INCH_UM, 3: CENTIMETRE_UM}.get(exif.get(RESOLUTION_UNIT, 0))
        wide = exif.get(X_RESOLUTION)
        high = exif.get(Y_RESOLUTION, wide)
    else:
        unit_um = INCH_UM
        wide, high = image.info.get("dpi", (None, None))
    if not unit_um or not wide or not high:
        return None
    return unit_um / float(wide), unit_um / float(high)


def stated_by_text(path: Path) -> Sides | None:
    """Sides of a pixel in um as OME-XML or ImageJ write them into a TIFF."""
    with suppress(Exception), tifffile.TiffFile(path) as file:  # of a damaged file: whatever comes
        if file.is_ome and file.ome_metadata:
            return sides_of_ome(file.ome_metadata)
        if file.is_imagej and file.imagej_metadata:
            unit = str(file.imagej_metadata.get("unit", "pixel"))
            return sides_of_imagej(file.pages[0].aspage(), unit)
    return None


def sides_of_ome(text: str) -> Sides | None:
    """The sides that the first image of an OME-XML text has."""
    found: dict[str, str] = {}
    for name, value in OME_SIZE.findall(text):
        found.setdefault(name, value)
    unit_um = UNIT_UM.get(found.get("XUnit", "").casefold())
    if unit_um is None or "X" not in found:
        return None
    wide = float(found["X"]) * unit_um
    high_um = UNIT_UM.get(found.get("YUnit", found.get("XUnit", "")).casefold(), unit_um)
    return wide, float(found["Y"]) * high_um if "Y" in found else wide


def sides_of_imagej(page: tifffile.TiffPage, unit: str) -> Sides | None:
    """The sides of a page whose resolution counts pixels an ImageJ unit."""
    name = unit.encode().decode("unicode_escape") if unit.startswith("\\u") else unit
    unit_um = INCH_UM if name == "inch" else UNIT_UM.get(name.casefold())
    if unit_um is None or not name:
        return None
    wide, high = (page.tags[tag].value for tag in (X_RESOLUTION, Y_RESOLUTION))
    return unit_um * wide[1] / wide[0], unit_um * high[1] / high[0]
