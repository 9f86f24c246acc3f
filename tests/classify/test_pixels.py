import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.pixels import (
    DENSEST_BACKGROUND,
    TURNS,
    background,
    on_white,
    resample_matrix,
    to_input,
    to_uint8,
    turned,
    turned_back,
)
from tests.make import white_cell


@given(st.integers(2, 130), st.integers(1, 130))
def test_resampling_keeps_a_flat_image_flat(n_in, n_out):
    np.testing.assert_allclose(resample_matrix(n_in, n_out) @ np.ones(n_in), 1, rtol=1e-5)


def test_there_and_back():
    crop = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(to_input(crop, 64, 64)), crop)


def test_eight_turns_and_back():
    image = np.random.default_rng(0).random((2, 3, 5, 5))
    views = [turned(image, turn) for turn in range(TURNS)]
    assert len({v.tobytes() for v in map(np.ascontiguousarray, views)}) == TURNS
    for turn, view in enumerate(views):
        np.testing.assert_array_equal(turned_back(view, turn), image)


def test_the_middle_is_what_is_seen():
    crop = np.zeros((1, 128, 128, 3), np.uint8)
    crop[:, 16:112, 16:112] = 255
    np.testing.assert_allclose(to_input(crop, 96, 64), 1, rtol=1e-5)


def test_too_small():
    with pytest.raises(ValueError, match="smaller"):
        to_input(np.zeros((1, 10, 10, 3), np.uint8), 96, 64)


def crop_on(glass):
    """A dark-centred crop (1, 96, 96, 3) as a lamp and camera of this background colour show it."""
    rgb, alpha = white_cell(np.random.default_rng(0), 36 / 128, 6.0)
    clear = np.ones((96, 96, 3))
    half = (96 - rgb.shape[0]) // 2
    where = slice(half, half + rgb.shape[0])
    clear[where, where] = 1 - alpha[..., None] * (1 - rgb / 255)
    return np.rint(clear * np.array(glass)).astype(np.uint8)[None]


@given(st.tuples(*[st.integers(150, 255)] * 3))
def test_lamp_and_camera_do_not_show_on_white(glass):
    bare = -np.log(np.array(glass) / 255)
    np.testing.assert_allclose(background(crop_on(glass))[0], bare, atol=0.01)
    seen, true = on_white(crop_on(glass)).astype(int), crop_on((255, 255, 255)).astype(int)
    assert np.abs(seen - true).max() <= 3


def test_a_crop_without_glass_is_not_blown_up():
    dark = np.full((1, 64, 64, 3), 40, np.uint8)
    assert on_white(dark).max() <= np.ceil(40 * np.exp(DENSEST_BACKGROUND))


def test_white_input_is_that_of_the_white_crop():
    crop = crop_on((250, 230, 200))
    np.testing.assert_array_equal(
        to_input(crop, 72, 48, white=True), to_input(on_white(crop), 72, 48)
    )
