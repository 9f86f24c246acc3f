"""What a file holds beside the image that is read is named, and what cannot be read is refused."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from ingest import SlideError, open_slide
from ingest.slide import IMAGE_PX_MAX

FIELD = np.random.default_rng(0).integers(150, 255, (256, 256, 3), np.uint8)
SMALL = FIELD[::4, ::4]
PLAIN = {"photometric": "rgb", "resolution": (4e4, 4e4), "resolutionunit": "CENTIMETER"}


def written(path: Path, pages: list[np.ndarray], **options: object) -> Path:
    with tifffile.TiffWriter(path) as file:
        for page in pages:
            file.write(page, **{**PLAIN, **options}, metadata=None)
    return path


@pytest.mark.parametrize("tiles", [{}, {"tile": (64, 64)}], ids=["stripped", "tiled"])
@pytest.mark.parametrize("pages", [[FIELD] * 4, [SMALL, FIELD], [FIELD, FIELD[:, :200]]])
def test_further_fields_are_named(tmp_path: Path, tiles: dict, pages: list[np.ndarray]) -> None:
    with pytest.raises(SlideError, match=f"{len(pages)} pages") as refused:
        open_slide(written(tmp_path / "fields.tif", pages, **tiles))
    assert ".fields" in refused.value.hint


@pytest.mark.parametrize("tiles", [{}, {"tile": (64, 64)}], ids=["stripped", "tiled"])
def test_an_overview_is_no_further_field(tmp_path: Path, tiles: dict) -> None:
    slide = open_slide(written(tmp_path / "field.tif", [FIELD, SMALL], **tiles))
    assert (slide.width_px0, slide.height_px0) == (256, 256)


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
