"""What a file holds beside the image that is read is named, and what cannot be read is refused."""

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from PIL import Image

from ingest import SlideError, open_slide
from ingest.pages import focal_planes as focal_planes_of
from ingest.slide import IMAGE_PX_MAX

RNG = np.random.default_rng(0)


def field_of_blobs(side: int = 256) -> np.ndarray:
    """A field (h, w, 3) with detail that a smaller copy has, too."""
    coarse = RNG.integers(150, 255, (side // 16, side // 16, 3), np.uint8)
    return coarse.repeat(16, axis=0).repeat(16, axis=1)


FIELD = field_of_blobs()
SMALL = FIELD[::4, ::4]
OTHER = field_of_blobs()[::2, ::2]
PLAIN = {"photometric": "rgb", "resolution": (4e4, 4e4), "resolutionunit": "CENTIMETER"}


def written(path: Path, pages: list[np.ndarray], **options: object) -> Path:
    with tifffile.TiffWriter(path) as file:
        for page in pages:
            file.write(page, **{**PLAIN, **options}, metadata=None)
    return path


@pytest.mark.parametrize("tiles", [{}, {"tile": (64, 64)}], ids=["stripped", "tiled"])
@pytest.mark.parametrize(
    "pages", [[FIELD] * 4, [SMALL, FIELD], [FIELD, FIELD[:, :200]], [FIELD, OTHER]]
)
def test_further_fields_are_named(tmp_path: Path, tiles: dict, pages: list[np.ndarray]) -> None:
    with pytest.raises(SlideError, match=f"{len(pages)} pages") as refused:
        open_slide(written(tmp_path / "fields.tif", pages, **tiles))
    assert ".fields" in refused.value.hint


@pytest.mark.parametrize("tiles", [{}, {"tile": (64, 64)}], ids=["stripped", "tiled"])
def test_an_overview_is_no_further_field(tmp_path: Path, tiles: dict) -> None:
    slide = open_slide(written(tmp_path / "field.tif", [FIELD, SMALL], **tiles))
    assert (slide.width_px0, slide.height_px0) == (256, 256)


def test_a_page_that_says_it_is_reduced_and_is_not(tmp_path: Path) -> None:
    path = tmp_path / "field.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(FIELD, **PLAIN, metadata=None)
        file.write(FIELD[::-1], **PLAIN, metadata=None, subfiletype=1)
    with pytest.raises(SlideError, match="2 pages"):
        open_slide(path)


def test_a_page_below_another_as_large(tmp_path: Path) -> None:
    path = tmp_path / "field.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(FIELD, **PLAIN, metadata=None, subifds=1)
        file.write(FIELD[::-1], **PLAIN, metadata=None)
    with pytest.raises(SlideError, match="2 pages"):
        open_slide(path)


STACK = np.stack([FIELD, FIELD[::-1]])


@pytest.mark.parametrize(
    "options",
    [
        {"truncate": True},
        {"volumetric": True, "tile": (2, 64, 64)},
        {"imagej": True},
        {"ome": True, "metadata": {"axes": "ZYXS"}},
    ],
    ids=["one page for all", "depth", "ImageJ", "OME"],
)
def test_planes_of_one_file_are_named(tmp_path: Path, options: dict) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK, **({} if "imagej" in options else PLAIN), **options)
    with pytest.raises(SlideError, match="2 p(lanes|ages)"):
        open_slide(path, mpp=0.25)


def test_an_ome_slide_of_several_files_is_named(tmp_path: Path) -> None:
    planes = "".join(
        f'<TiffData FirstZ="{z}" PlaneCount="1"><UUID FileName="{z}.ome.tif">urn:uuid:{z}</UUID>'
        "</TiffData>"
        for z in range(2)
    )
    pixels = (
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="256" SizeY="256" '
        'SizeC="3" SizeZ="2" SizeT="1"><Channel ID="c" SamplesPerPixel="3"/>'
    )
    text = f'<OME UUID="urn:uuid:0"><Image ID="Image:0">{pixels}{planes}</Pixels></Image></OME>'
    path = tmp_path / "0.ome.tif"
    tifffile.imwrite(path, FIELD, **PLAIN, description=text, metadata=None)
    with pytest.raises(SlideError, match="2 planes"):
        open_slide(path)


def test_pictures_beside_the_slide_that_ome_names_are_no_fields(tmp_path: Path) -> None:
    path = tmp_path / "slide.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(FIELD, **PLAIN, metadata={"Name": "slide"})
        file.write(FIELD[:40, :200], **PLAIN, metadata={"Name": "label image"})
    assert open_slide(path, mpp=0.25).width_px0 == 256


class Page:
    """What the count of focal planes looks at in a page."""

    def __init__(self, size: int = 900, description: str = "", **tags: object):
        self.imagewidth = self.imagelength = size
        self.is_tiled = True
        self.description = description
        self.tags = {focal_planes_of.XMP: SimpleNamespace(**tags)} if tags else {}


@pytest.mark.parametrize(
    ("vendor", "pages", "planes"),
    [
        ("aperio", [Page(), Page(30), Page(450)], 1),
        ("aperio", [Page(), Page(30), Page(), Page()], 3),
        ("leica", [Page(description='<dimension z="0"/><dimension z="1" ifd="3"/>')], 2),
        ("leica", [Page(description="<dimension sizeX='1' r='0'/>")], 1),
        ("ventana", [Page(), Page(value=b'<iScan Z-layers="5"/>')], 5),
        ("philips", [Page(), Page()], 1),
    ],
)
def test_planes_of_focus_of_scanners(vendor: str, pages: list, planes: int) -> None:
    assert focal_planes_of.focal_planes(vendor, pages) == planes


def test_a_preview_in_a_photograph_is_no_further_image(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    photo = Image.fromarray(FIELD)
    photo.save(path, format="MPO", save_all=True, append_images=[photo.resize((64, 64))])
    assert open_slide(path, mpp=0.25).width_px0 == 256
    photo.save(path, format="MPO", save_all=True, append_images=[photo.rotate(180)])
    with pytest.raises(SlideError, match="2 images"):
        open_slide(path, mpp=0.25)


def test_further_images_of_other_formats(tmp_path: Path) -> None:
    path = tmp_path / "moving.png"
    Image.fromarray(FIELD).save(path, save_all=True, append_images=[Image.fromarray(255 - FIELD)])
    with pytest.raises(SlideError, match="2 images"):
        open_slide(path, mpp=0.25)


def test_a_tile_that_unpacks_to_too_much(tmp_path: Path) -> None:
    blank = np.zeros((8192, 8192, 3), np.uint8)
    path = written(tmp_path / "bomb.tif", [blank], tile=(8192, 8192), compression="zlib")
    assert path.stat().st_size < 1_000_000
    with pytest.raises(SlideError, match="8192 x 8192"):
        open_slide(path)


@pytest.mark.parametrize("compression", ["jpeg2000", "webp", "lzma"])
def test_a_compression_that_no_reader_has(tmp_path: Path, compression: str) -> None:
    path = written(tmp_path / "odd.tif", [FIELD], tile=(64, 64), compression=compression)
    with pytest.raises(SlideError, match="is not supported"):
        open_slide(path)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "jpeg", None])
def test_a_compression_that_is_read(tmp_path: Path, compression: str | None) -> None:
    path = written(tmp_path / "usual.tif", [FIELD], tile=(64, 64), compression=compression)
    assert open_slide(path).mpp == pytest.approx(0.25)


@pytest.mark.skipif(os.geteuid() == 0 and not hasattr(os, "seteuid"), reason="needs another user")
def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "field.png"
    Image.fromarray(FIELD).save(path)
    path.chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o055)
    mine = os.geteuid()
    try:
        if mine == 0:
            os.seteuid(65534)
        with pytest.raises(SlideError, match="Permission denied") as refused:
            open_slide(path, mpp=0.25)
        assert "right" in refused.value.hint
    finally:
        os.seteuid(mine)


def test_a_name_that_is_too_long() -> None:
    with pytest.raises(SlideError, match="name too long"):
        open_slide(Path("a" * 300 + ".png"))


@pytest.mark.parametrize("side", [14_000, 16_000])
def test_the_limit_of_a_plain_image_is_the_one_that_is_named(tmp_path: Path, side: int) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (side, side)).save(path, compress_level=1)
    if side**2 <= IMAGE_PX_MAX:
        assert open_slide(path, mpp=0.25).width_px0 == side
    else:
        with pytest.raises(SlideError, match="without a pyramid"):
            open_slide(path, mpp=0.25)
