"""Tiles partition the slide, and show the same pixels of the same place."""

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import (
    Slide,
    SlideError,
    StainMask,
    TileSpec,
    open_slide,
    plan_tiles,
    read_tile,
    step_px0,
    survey_slide,
)
from ingest.readers.reader import box_mean, reader_of
from ingest.synthetic.sprites import write_pyramid
from tests.make import smear


def slide_of(width, height, mpp):
    return Slide("s", "nowhere", width, height, mpp, (), "x", "x", "image")


def smear_of(slide, look=None):
    rows, cols = -(-slide.height_px0 // 100), -(-slide.width_px0 // 100)
    look = np.ones((rows, cols), bool) if look is None else look
    return StainMask(100, look, (240, 240, 240))


@settings(max_examples=50)
@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.sampled_from([0.07, 0.2, 0.25, 0.5]),
    st.sampled_from([256, 512, 1000]),
)
def test_tiles_partition_the_slide(width, height, mpp, tile_px):
    slide = slide_of(width, height, mpp)
    specs = list(plan_tiles(slide, smear_of(slide), tile_px))
    assert sum(s.width_px0 * s.height_px0 for s in specs) == width * height
    rng = np.random.default_rng(width)
    for x, y in zip(rng.integers(0, width, 20), rng.integers(0, height, 20), strict=True):
        assert sum(s.owns(x, y) for s in specs) == 1


def test_tiles_lie_only_where_there_is_something():
    slide = slide_of(1000, 1000, 0.25)
    look = np.zeros((10, 10), bool)
    look[1, 6] = True
    specs = list(plan_tiles(slide, smear_of(slide, look), 256))
    assert [s.owns(650, 150) for s in specs] == [True]


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiles") / "smear.tiff"
    smear(path, side_px=1100, whites=3, mpp=0.12)
    return open_slide(path)


def test_every_tile_shows_the_same_pixels_of_a_place(slide):
    assert step_px0(slide) == 2
    wide = next(plan_tiles(slide, survey_slide(slide).smear, 1024))
    small = [s for s in plan_tiles(slide, survey_slide(slide).smear, 256) if s.owns(600, 600)][0]
    a, b = read_tile(slide, wide), read_tile(slide, small)
    x, y = b.spec.x_px0, b.spec.y_px0
    cut = lambda t: t.pixels[(y - t.y_px0) // 2 :, (x - t.x_px0) // 2 :][:150, :150]  # noqa: E731
    np.testing.assert_array_equal(cut(a), cut(b))


def test_reading_equals_the_slow_mean_of_level_0(slide):
    """The fast path takes a coarser level where one fits; JPEG makes it differ a little from the
    mean of level 0.
    """
    spec = next(plan_tiles(slide, survey_slide(slide).smear, 256))
    tile = read_tile(slide, spec)
    m = spec.margin_px0
    level0 = reader_of(slide).read(0, 0, 0, (spec.width_px0, spec.height_px0))
    fast = tile.pixels[m // 2 :, m // 2 :][: spec.height_px0 // 2, : spec.width_px0 // 2]
    assert np.abs(fast.astype(int) - box_mean(level0, 2)).mean() < 2.5


def test_outside_the_slide_is_background(slide):
    spec = next(plan_tiles(slide, survey_slide(slide).smear, 256))
    assert (read_tile(slide, spec, (1, 2, 3)).pixels[0, 0] == (1, 2, 3)).all()


def test_a_slide_that_is_gone_is_a_slide_error(slide):
    from dataclasses import replace

    gone = replace(slide, path=slide.path.with_name("gone.tiff"))
    with pytest.raises(SlideError, match="gone.tiff"):
        read_tile(gone, next(plan_tiles(slide, survey_slide(slide).smear, 256)))


def test_what_can_be_decoded_of_a_damaged_tile_is_read(tmp_path):
    path = tmp_path / "s.tiff"
    write_pyramid(path, np.full((1200, 1200, 3), 120, np.uint8), 0.28)
    with tifffile.TiffFile(path) as file:
        at = file.pages[0].dataoffsets[6]  # the second of the second row
    data = bytearray(path.read_bytes())
    data[at : at + 60] = bytes(60)
    path.write_bytes(data)
    slide = open_slide(path)
    tile = read_tile(slide, TileSpec(0, 0, 1024, 1024, 0, 1), (1, 2, 3))
    assert tile.unread == ((256, 256, 512, 512),)
    assert (tile.pixels[256:512, 256:512] == (1, 2, 3)).all() and (tile.pixels[:256] > 100).all()
    assert read_tile(slide, TileSpec(512, 512, 256, 256, 0, 1)).unread == ()
    with pytest.raises(SlideError, match="decode"):
        read_tile(slide, TileSpec(256, 256, 256, 256, 0, 1))
