import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from ingest import open_slide
from ingest.readers.reader import read_grid
from ingest.synthetic.smear import LOOKS, Layer, Synthetic
from ingest.synthetic.smear_file import strips, write_synthetic
from ingest.synthetic.sprites import Sprite, place
from tests.make import white_cell


@pytest.fixture(scope="module")
def smear():
    rgb, alpha = white_cell(np.random.default_rng(0), 0.25)
    layer = Layer(1 - alpha[..., None] * (1 - rgb / np.float32(255)), "lymphocyte")
    return Synthetic(1500, 1300, 0.25, [layer], whites_per_mm2=100, seed=3)


def test_it_opens_as_a_slide_and_the_truth_lies_where_the_cells_are(smear, tmp_path):
    count = write_synthetic(tmp_path / "a.tiff", smear)
    truth = [
        json.loads(line) for line in (tmp_path / "a.tiff.truth.jsonl").read_text().splitlines()
    ]
    slide = open_slide(tmp_path / "a.tiff")
    assert (slide.width_px0, slide.height_px0, round(slide.mpp, 4)) == (1500, 1300, 0.25) and len(
        slide.levels
    ) > 1
    assert len(truth) == count > 3
    pixels = read_grid(slide, (0, 0, 1500, 1300), 1, (255, 255, 255)).astype(int)
    red = [
        pixels[y - 4 : y + 4, x - 4 : x + 4, 0].mean()
        for x, y in (cell["centre"] for cell in truth)
    ]
    assert max(red) < 140 < pixels[..., 0].mean()


def test_the_same_seed_gives_the_same_smear_and_another_another(smear):
    one, two = (np.concatenate([s for s, _ in strips(smear)]) for _ in range(2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, np.concatenate([s for s, _ in strips(replace(smear, seed=4))]))


def test_cells_cross_the_strips_without_a_seam(smear):
    """A white cell on the border of two strips is whole: the rows on both sides of it are alike."""
    whole = np.concatenate([s for s, _ in strips(smear)]).astype(int)
    steps = np.abs(np.diff(whole, axis=0)).mean(axis=(1, 2))
    border = smear.patch_px - 1
    assert steps[border] < 2 * np.median(steps)


def test_it_is_thin_on_the_left_and_thick_on_the_right(smear):
    whole = np.concatenate([s for s, _ in strips(smear)])
    assert whole[:, :500, 1].mean() > whole[:, -500:, 1].mean() + 5


def test_scratches_and_focus_and_stain(smear):
    def pixels(**changes):
        return np.concatenate([s for s, _ in strips(replace(smear, **changes))]).astype(float)

    plain, scratched, blurred, other = (
        pixels(),
        pixels(scratches=1),
        pixels(blurred=0.5),
        pixels(look=LOOKS["wright"]),
    )
    y = np.arange(1300)
    on_line = scratched[y, replace(smear, scratches=1).scratch_x(0, y).clip(0, 1499)]
    assert np.median(on_line[:, 1]) > 230
    sharpness = [np.abs(np.diff(image[:, 800:, 1], axis=1)).mean() for image in (plain, blurred)]
    assert sharpness[1] < 0.7 * sharpness[0]
    assert abs(other[..., 2].mean() - plain[..., 2].mean()) > 5


def test_reduced_levels_are_means(smear, tmp_path):
    write_synthetic(tmp_path / "a.tiff", smear)
    with tifffile.TiffFile(tmp_path / "a.tiff") as file:
        full, small = file.pages[0].asarray().astype(float), file.pages[1].asarray().astype(float)
    means = (
        full[: small.shape[0] * 4, : small.shape[1] * 4]
        .reshape(small.shape[0], 4, small.shape[1], 4, 3)
        .mean(axis=(1, 3))
    )
    assert np.abs(means - small).mean() < 4.5


@pytest.mark.parametrize(("x_px", "y_px"), [(-5, 10), (10, -5), (25, 10), (10, 25)])
def test_a_sprite_outside_of_the_canvas_leaves_it_as_it_is(x_px, y_px):
    canvas = np.full((20, 20, 3), 7, np.uint8)
    place(canvas, [Sprite(np.zeros((4, 4, 3), np.uint8), np.ones((4, 4)), x_px, y_px)])
    assert (canvas == 7).all()
