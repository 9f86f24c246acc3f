"""Slides as facts, and every way in which a file is no slide."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ingest import SlideError, open_slide
from stream.store import facts_of, slide_of
from tests.ingest.scn import write_scn
from tests.make import MPP, smear


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "smear.tiff"
    smear(path, side_px=700, whites=2)
    return path


def test_facts_of_a_pyramid(slide_file):
    slide = open_slide(slide_file)
    assert (slide.width_px0, slide.height_px0, slide.reader) == (700, 700, "openslide")
    assert slide.mpp == pytest.approx(MPP)
    assert [level.downsample for level in slide.levels] == [1, 2, 4, pytest.approx(8, abs=0.1)]


def test_the_corner_of_the_scanned_area_is_kept(slide_file, tmp_path):
    path = tmp_path / "area.scn"
    write_scn(path, np.full((256, 300, 3), 200, np.uint8), (700, 900), (2000, 2400))
    slide = open_slide(path)
    assert slide.origin_px0 == (700, 900) and (slide.width_px0, slide.height_px0) == (2000, 2400)
    assert slide_of(json.loads(json.dumps(facts_of(slide)))) == slide
    assert open_slide(slide_file).origin_px0 == (0, 0)


def test_the_same_content_is_the_same_slide(slide_file, tmp_path):
    copy = shutil.copy(slide_file, tmp_path / "another name.tiff")
    assert open_slide(copy).slide_id == open_slide(slide_file).slide_id


def test_mpp_given_stands_in_and_only_an_override_overrules(slide_file):
    assert open_slide(slide_file, mpp=0.5).mpp == pytest.approx(MPP)
    assert open_slide(slide_file, mpp=0.5, override=0.3).mpp == 0.3


@pytest.mark.parametrize("mpp", [40, 0, -0.25, float("nan")])
def test_an_mpp_that_cannot_be_is_not_taken(slide_file, mpp):
    with pytest.raises(SlideError, match="no microscope"):
        open_slide(slide_file, mpp=mpp)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_plain_field_of_view(tmp_path, suffix):
    path = tmp_path / f"field{suffix}"
    Image.fromarray(np.full((80, 100, 3), 200, np.uint8)).save(path)
    with pytest.raises(SlideError, match="um per pixel") as caught:
        open_slide(path)
    assert "--mpp" in caught.value.hint
    slide = open_slide(path, mpp=0.1)
    assert (slide.width_px0, slide.height_px0, slide.mpp) == (100, 80, 0.1)


def test_mpp_of_a_microscope_is_read_from_a_png(tmp_path):
    path = tmp_path / "field.png"
    Image.fromarray(np.full((80, 100, 3), 200, np.uint8)).save(path, dpi=(101600, 101600))
    assert open_slide(path).mpp == pytest.approx(0.25, rel=1e-3)


def test_the_72_dpi_of_an_editor_is_not_believed(tmp_path):
    path = tmp_path / "field.png"
    Image.fromarray(np.full((80, 100, 3), 200, np.uint8)).save(path, dpi=(72, 72))
    with pytest.raises(SlideError, match="no microscope"):
        open_slide(path)


def broken(kind, slide_file, tmp_path):
    path = tmp_path / "broken.tiff"
    if kind == "zero bytes":
        path.touch()
    elif kind == "truncated":
        path.write_bytes(slide_file.read_bytes()[:12])
    elif kind == "text":
        path.write_text("no slide at all")
    elif kind == "folder":
        path.mkdir()
    elif kind == "16-bit":
        Image.fromarray(np.zeros((40, 40), np.uint16)).save(path)
    return path


@pytest.mark.parametrize("kind", ["missing", "zero bytes", "truncated", "text", "folder", "16-bit"])
def test_what_is_no_slide_says_so_in_one_line(kind, slide_file, tmp_path):
    with pytest.raises(SlideError) as caught:
        open_slide(broken(kind, slide_file, tmp_path), mpp=0.25)
    assert "\n" not in caught.value.what and caught.value.hint
