"""Means of squares, against the plain sum of all their pixels."""

import numpy as np
import pytest

from ingest.readers.reader import box_mean, plain_image


def slow_mean(pixels, n):
    h = pixels.shape[0] // n
    w = pixels.shape[1] // n
    squares = pixels[: h * n, : w * n].astype(int).reshape(h, n, w, n, 3)
    return (squares.sum(axis=(1, 3)) + n * n // 2) // (n * n)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 15, 16, 17, 20])
@pytest.mark.parametrize("fill", ["noise", "white"])
def test_means_of_squares(n, fill):
    rng = np.random.default_rng(n)
    noise = rng.integers(0, 256, (61, 83, 3)).astype(np.uint8)
    pixels = noise if fill == "noise" else np.full_like(noise, 255)
    for view in (pixels, pixels[3:, 5:]):
        np.testing.assert_array_equal(box_mean(view, n), slow_mean(view, n))


def test_a_plain_image():
    image = plain_image((3, 5, 3), (1, 2, 3))
    assert image.shape == (3, 5, 3) and image.flags.writeable
    assert (image == np.array([1, 2, 3])).all()
