"""Transparent and black places are white, and a level that is torn is read from a finer one."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from ingest import open_slide, read_grid, survey_slide
from ingest.synthetic.sprites import write_pyramid
from tests.make import smear

WHITE = (255, 255, 255)
MPP = 0.25


def smear_pixels(tmp_path: Path, side: int = 800) -> np.ndarray:
    smear(tmp_path / "whole.tiff", side_px=side, whites=2)
    return tifffile.imread(tmp_path / "whole.tiff", key=0)


def in_circle(side: int, radius: float) -> np.ndarray:
    rows, cols = np.indices((side, side)) - side // 2
    return np.hypot(rows, cols) < radius


def read_whole(path: Path, side: int) -> np.ndarray:
    slide = open_slide(path, MPP)
    return read_grid(slide, (0, 0, side, side), 1, WHITE).astype(int)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "palette"])
def test_what_is_transparent_is_white(tmp_path: Path, mode: str) -> None:
    pixels = smear_pixels(tmp_path)
    inside = in_circle(800, 380)
    path = tmp_path / "round.png"
    alpha = np.where(inside, 255, 0).astype(np.uint8)
    pixels[~inside] = 0
    if mode == "RGBA":
        Image.fromarray(np.dstack([pixels, alpha])).save(path)
    elif mode == "LA":
        Image.fromarray(np.dstack([pixels[..., 1], alpha])).save(path)
    else:
        numbers = np.where(inside, 1, 0).astype(np.uint8)
        image = Image.fromarray(numbers, mode="P")
        image.putpalette([0, 0, 0, 200, 150, 160])
        image.save(path, transparency=0)
    read = read_whole(path, 800)
    assert (read[~inside] == 255).all() and read[inside].mean() < 250


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff"])
def test_black_filling_is_white(tmp_path: Path, suffix: str) -> None:
    pixels = smear_pixels(tmp_path)
    inside = in_circle(800, 380)
    filled = pixels.copy()
    filled[~inside] = 0
    path = tmp_path / f"round.{suffix}"
    if suffix == "tiff":
        write_pyramid(path, filled, MPP, levels=2)
    else:
        Image.fromarray(filled).save(path, quality=85)
    read = read_whole(path, 800)
    assert (read[~inside] == 255).all()
    well_inside = in_circle(800, 380 - 8 / MPP)
    assert np.abs(read - pixels)[well_inside].mean() < 6
    assert np.mean(survey_slide(open_slide(path, MPP)).smear.background_rgb) > 200


def test_dark_nuclei_are_no_filling(tmp_path: Path) -> None:
    pixels = np.full((300, 300, 3), 230, np.uint8)
    pixels[120:150, 120:150] = 10  # 7.5 um
    path = tmp_path / "dark.png"
    Image.fromarray(pixels).save(path)
    assert (read_whole(path, 300)[120:150, 120:150] == 10).all()


@pytest.mark.parametrize("level", [1, 2])
def test_a_torn_overview_is_read_from_a_finer_level(tmp_path: Path, level: int) -> None:
    path = tmp_path / "torn.tiff"
    smear(path, side_px=1400, whites=3)
    sound = survey_slide(open_slide(path))
    with tifffile.TiffFile(path) as file:
        page = file.pages[level].aspage()
        places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    data = bytearray(path.read_bytes())
    for offset, count in places:
        data[offset : offset + count] = b"\x11" + bytes(count - 1)
    torn = tmp_path / "level.tiff"
    torn.write_bytes(data)
    found = survey_slide(open_slide(torn))
    assert np.abs(found.density.astype(float) - sound.density).max() < 0.1
