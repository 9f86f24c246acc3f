import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.pixels import resample_matrix, to_input, to_uint8


@given(st.integers(2, 130), st.integers(1, 130))
def test_resampling_keeps_a_flat_image_flat(n_in, n_out):
    np.testing.assert_allclose(resample_matrix(n_in, n_out) @ np.ones(n_in), 1, rtol=1e-5)


def test_there_and_back():
    crop = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(to_input(crop, 64, 64)), crop)


def test_the_middle_is_what_is_seen():
    crop = np.zeros((1, 128, 128, 3), np.uint8)
    crop[:, 16:112, 16:112] = 255
    np.testing.assert_allclose(to_input(crop, 96, 64), 1, rtol=1e-5)


def test_too_small():
    with pytest.raises(ValueError, match="smaller"):
        to_input(np.zeros((1, 10, 10, 3), np.uint8), 96, 64)
