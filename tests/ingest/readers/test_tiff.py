"""Tiles decoded without OpenSlide: the same pixels, and a tile that is damaged costs itself
alone.
"""

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest import SlideError, open_slide
from ingest.readers.reader import OpenSlideReader, fastest
from ingest.readers.tiff import TiffReader
from ingest.synthetic.sprites import write_pyramid


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "s.tiff"
    noise = np.random.default_rng(0).integers(0, 255, (90, 110, 3), np.uint8)
    write_pyramid(path, np.repeat(np.repeat(noise, 12, 0), 12, 1), 0.25)
    return path


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_the_same_pixels_as_openslide(path, data):
    slide = open_slide(path)
    number = data.draw(st.integers(0, len(slide.levels) - 1))
    level = slide.levels[number]
    x, y = (
        data.draw(st.integers(0, level.width_px - 1)),
        data.draw(st.integers(0, level.height_px - 1)),
    )
    size = (
        data.draw(st.integers(1, level.width_px - x)),
        data.draw(st.integers(1, level.height_px - y)),
    )
    place = int(x * level.downsample), int(y * level.downsample), number, size
    assert np.array_equal(TiffReader(slide).read(*place), OpenSlideReader(slide).read(*place))


def test_it_is_chosen_where_it_can_read(path, tmp_path):
    slide = open_slide(path)
    assert isinstance(fastest(slide, OpenSlideReader(slide)), TiffReader)
    with tifffile.TiffWriter(tmp_path / "lzw.tiff") as file:
        file.write(
            np.zeros((600, 600, 3), np.uint8), tile=(256, 256), photometric="rgb", compression="lzw"
        )
    slide = open_slide(tmp_path / "lzw.tiff", mpp=0.25)
    assert isinstance(fastest(slide, OpenSlideReader(slide)), OpenSlideReader)


def test_a_level_that_does_not_divide_the_slide_does_not_matter(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (1004, 1004, 3), np.uint8)
    write_pyramid(tmp_path / "odd.tiff", noise, 0.25)
    slide = open_slide(tmp_path / "odd.tiff")
    assert any(level.downsample % 1 for level in slide.levels)
    assert isinstance(fastest(slide, OpenSlideReader(slide)), TiffReader)


def test_other_pixels_are_left_to_openslide(path, monkeypatch):
    slide = open_slide(path)
    monkeypatch.setattr(
        TiffReader, "read", lambda self, x, y, level, size: np.zeros((*size[::-1], 3), np.uint8)
    )
    assert isinstance(fastest(slide, OpenSlideReader(slide)), OpenSlideReader)


def tiles_of(path):
    with tifffile.TiffFile(path) as file:
        return file.pages[0].dataoffsets, file.pages[0].databytecounts


def test_a_damaged_tile_and_a_cut_file(path, tmp_path):
    offsets, counts = tiles_of(path)
    damaged, data = tmp_path / "d.tiff", bytearray(path.read_bytes())
    data[offsets[1] : offsets[1] + 300] = bytes(300)
    damaged.write_bytes(data)
    reader = TiffReader(open_slide(damaged))
    with pytest.raises(SlideError, match=r"tile \(0, 1\)"):
        reader.read(300, 0, 0, (64, 64))
    assert reader.read(0, 0, 0, (64, 64)).any()
    (damaged := tmp_path / "e.tiff").write_bytes(path.read_bytes())
    slide = open_slide(damaged)
    reader = TiffReader(slide)
    with damaged.open("r+b") as file:
        file.truncate(int(offsets[3]) + 9)
    with pytest.raises(SlideError, match="the file ends"):
        reader.decoded(0, 0, 3)
    assert reader.decoded(0, 0, 0).any()
