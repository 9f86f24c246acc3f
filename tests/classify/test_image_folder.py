"""Crops of any size about their cell."""

import numpy as np
import pytest
from PIL import Image

from classify.image_folder import CropFolder, read_crop
from classify.model_card import SHIPPED, model_folder


def saved(folder, side_px: int):
    """A grey image with a dark square of 20 px in its middle."""
    pixels = np.full((side_px, side_px, 3), 200, np.uint8)
    low = side_px // 2 - 10
    pixels[low : low + 20, low : low + 20] = 40
    path = folder / f"{side_px}.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("side_px", [60, 80, 128])
def test_the_middle_is_cut_out_whatever_the_size(tmp_path, side_px):
    crop = read_crop(saved(tmp_path, side_px), 80, 80.0)
    assert crop.shape == (80, 80, 3)
    assert (crop[30:50, 30:50] == 40).all() and (crop == 40).sum() == 20 * 20 * 3


def test_a_finer_image_is_brought_to_the_model_s_pixels(tmp_path):
    crop = read_crop(saved(tmp_path, 160), 40, 80.0)
    assert (crop[17:23, 17:23] == 40).all() and (crop[:12] == 200).all()


def test_a_folder_is_read_so(tmp_path):
    saved(tmp_path, 128)
    ((_, crop),) = CropFolder(tmp_path, 80, 80.0)
    assert (crop[30:50, 30:50] == 40).all()


def test_shipped_models_have_short_names(tmp_path):
    assert model_folder(SHIPPED) == SHIPPED
    assert model_folder(tmp_path) == tmp_path
    assert model_folder(type(tmp_path)("white")) == SHIPPED
    assert model_folder(type(tmp_path)("red")) == SHIPPED / "red"
