"""What files state of their scale, and what of it is believed."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from ingest import SlideError, open_slide

FIELD = np.full((256, 256, 3), 220, np.uint8)
TILED = {"tile": (128, 128), "photometric": "rgb"}
CENTIMETRE = {"resolutionunit": "CENTIMETER"}


def per_cm(mpp: float) -> float:
    return 1e4 / mpp


@pytest.mark.parametrize("kind", [TILED, {"photometric": "rgb"}], ids=["tiled", "stripped"])
@pytest.mark.parametrize("sides", [(0.1, 0.2), (0.25, 0.2)])
def test_pixels_that_are_not_square_are_refused(
    tmp_path: Path, kind: dict, sides: tuple[float, float]
) -> None:
    path = tmp_path / "oblong.tif"
    tifffile.imwrite(path, FIELD, resolution=tuple(map(per_cm, sides)), **CENTIMETRE, **kind)
    with pytest.raises(SlideError, match="not square"):
        open_slide(path)
    assert open_slide(path, override=0.1).mpp == 0.1


@pytest.mark.parametrize("mode", ["png", "jpg"])
def test_both_axes_of_a_picture_are_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / f"oblong.{mode}"
    exif = Image.Exif()
    exif.update({282: 101_600.0, 283: 50_800.0, 296: 2})
    Image.fromarray(FIELD).save(path, dpi=(101_600, 50_800), exif=exif)
    with pytest.raises(SlideError, match="not square"):
        open_slide(path)


@pytest.mark.parametrize("kind", [TILED, {"photometric": "rgb"}], ids=["tiled", "stripped"])
@pytest.mark.parametrize("size, unit", [(0.25, "µm"), (250, "nm"), (0.00025, "mm")])
def test_a_scale_in_ome_xml(tmp_path: Path, kind: dict, size: float, unit: str) -> None:
    path = tmp_path / "field.ome.tif"
    metadata = {"axes": "YXS"}
    for axis in "XY":
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": unit}
    tifffile.imwrite(path, FIELD, metadata=metadata, **kind)
    assert open_slide(path).mpp == pytest.approx(0.25)


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_a_scale_in_imagej_text(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "field.tif"
    tifffile.imwrite(path, FIELD, imagej=True, resolution=(4, 4), metadata={"unit": unit})
    assert open_slide(path).mpp == pytest.approx(0.25)


@pytest.mark.parametrize("dpi", [254_000, 60_000])
def test_the_density_of_jfif_is_not_believed(tmp_path: Path, dpi: int) -> None:
    path = tmp_path / "field.jpg"
    Image.fromarray(FIELD).save(path, dpi=(dpi, dpi))
    with pytest.raises(SlideError, match="does not say"):
        open_slide(path)
    assert open_slide(path, mpp=0.1).mpp == 0.1


def test_what_editors_write_unasked_gives_way_to_what_is_given(tmp_path: Path) -> None:
    path = tmp_path / "field.png"
    Image.fromarray(FIELD).save(path, dpi=(72, 72))
    assert open_slide(path, mpp=0.1).mpp == 0.1


@pytest.mark.parametrize("given", ["mpp", "override"])
def test_5_um_are_refused(tmp_path: Path, given: str) -> None:
    path = tmp_path / "field.png"
    Image.fromarray(FIELD).save(path)
    with pytest.raises(SlideError, match="no microscope"):
        open_slide(path, **{given: 5.0})
