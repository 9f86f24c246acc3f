"""A smear is told from what is none, and the size of its red cells is held against its scale."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw
from skimage import data

from ingest import HeldError, open_slide, survey_slide
from ingest.synthetic.sprites import Sprite, glass, place, red_cell_sprite, write_pyramid
from segment import smear_check
from segment.smear_check import check_smear
from tests.make import GLASS, MPP, smear


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("smear") / "smear.tiff"
    smear(path, side_px=900, whites=3)
    return path


def check(path: Path, mpp: float, red_cell_um: float = 7.2) -> None:
    slide = open_slide(path, override=mpp)
    check_smear(slide, survey_slide(slide), red_cell_um)


def saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)
    return path


def test_a_smear_passes(slide_file: Path) -> None:
    check(slide_file, MPP)


@pytest.mark.parametrize("factor", [0.4, 1.6, 2.54])
def test_a_scale_that_the_red_cells_contradict_is_held(slide_file: Path, factor: float) -> None:
    with pytest.raises(HeldError, match="median red cell") as held:
        check(slide_file, MPP * factor)
    assert f"{MPP * factor:.4g} um per pixel" in held.value.what and "7.2 um" in held.value.what
    fitting = float(held.value.figures.split("; ")[1].split()[0])
    assert fitting == pytest.approx(MPP, rel=0.15) and "--mpp-override" in held.value.hint


def test_red_cells_of_another_species(slide_file: Path) -> None:
    with pytest.raises(HeldError, match="where 4 um is usual"):
        check(slide_file, MPP, red_cell_um=4.0)
    check(slide_file, MPP * 4 / 7.2, red_cell_um=4.0)


def test_a_field_of_few_large_cells_passes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    mpp = 0.1
    canvas = glass(480, 640, GLASS, rng)
    middles = [(90, 90), (250, 110), (420, 80), (100, 260), (270, 290), (450, 260), (560, 400)]
    place(canvas, [Sprite(*red_cell_sprite(mpp, rng), x, y) for x, y in middles])
    check(saved(tmp_path / "few.png", canvas), mpp)


def field_of(cells: int, height: int, width: int, mpp: float = 0.1, seed: int = 3) -> np.ndarray:
    """A field (h, w, 3) of red cells at random places, which overlap where there are many."""
    rng = np.random.default_rng(seed)
    canvas = glass(height, width, GLASS, rng)
    places = rng.integers(0, (width, height), (cells, 2))
    place(canvas, [Sprite(*red_cell_sprite(mpp, rng), x, y) for x, y in places])
    return canvas


def test_a_dense_field_of_overlapping_cells_passes(tmp_path: Path) -> None:
    path = saved(tmp_path / "dense.png", field_of(130, 640, 760, seed=4))
    fit = smear_check.fit_at(open_slide(path, 0.1), [(320, 320), (400, 320)], 0.1)
    assert fit.share < smear_check.SHARE_OF_MANY and fit.is_dense
    check(path, 0.1)


@pytest.mark.parametrize("cells", [2, 6])
def test_a_field_that_holds_a_cell_or_two_passes(tmp_path: Path, cells: int) -> None:
    check(saved(tmp_path / "narrow.png", field_of(cells, 200, 260)), 0.1)


def test_a_small_field_on_a_large_empty_slide_passes(tmp_path: Path) -> None:
    canvas = np.full((4000, 3200, 3), 255, np.uint8)
    canvas[1500:2100, 900:1600] = field_of(40, 600, 700)
    write_pyramid(tmp_path / "slide.tiff", canvas, 0.1)
    check(tmp_path / "slide.tiff", 0.1)


def test_a_field_in_a_black_frame_passes(tmp_path: Path) -> None:
    canvas = np.zeros((1200, 1400, 3), np.uint8)
    canvas[300:900, 350:1050] = field_of(40, 600, 700)
    check(saved(tmp_path / "framed.png", canvas), 0.1)


@pytest.mark.parametrize("red_cell_um", [7.2, 8.4])
def test_a_torn_tile_of_a_small_slide_is_left_out(tmp_path: Path, red_cell_um: float) -> None:
    path = tmp_path / "torn.tiff"
    smear(path, side_px=600, whites=1)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].aspage().dataoffsets[0]
    data[start : start + 400] = bytes(400)
    path.write_bytes(data)
    check(path, MPP, red_cell_um)  # with a second one, other scales are tried too


def test_an_image_too_small_to_show_a_cell_is_not_judged(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    check(saved(tmp_path / "tiny.png", noise), 0.5)


@pytest.mark.parametrize("name", ["chelsea", "astronaut", "coffee", "immunohistochemistry"])
def test_a_photograph_is_held(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / "photograph.png", getattr(data, name)())
    with pytest.raises(HeldError):
        check(path, MPP)


def test_a_drawing_is_held(tmp_path: Path) -> None:
    image = Image.new("RGB", (900, 700), "white")
    draw = ImageDraw.Draw(image)
    for number in range(12):
        draw.line((20, 50 * number + 20, 850, 900 - 60 * number), fill=(200, 30, 60), width=5)
        draw.rectangle(
            (60 * number, 40 * number, 60 * number + 50, 40 * number + 25), outline="blue"
        )
    image.save(tmp_path / "drawing.png")
    with pytest.raises(HeldError):
        check(tmp_path / "drawing.png", MPP)


def test_a_grey_smear_is_held(slide_file: Path, tmp_path: Path) -> None:
    with Image.open(slide_file) as image:
        grey = np.asarray(image.convert("L").convert("RGB"))
    with pytest.raises(HeldError, match="no colour"):
        check(saved(tmp_path / "grey.png", grey), MPP)
    check(tmp_path / "grey.png", MPP, red_cell_um=0)


def test_an_empty_slide_passes(tmp_path: Path) -> None:
    write_pyramid(tmp_path / "glass.tiff", np.full((900, 900, 3), 250, np.uint8), MPP)
    check(tmp_path / "glass.tiff", MPP)
