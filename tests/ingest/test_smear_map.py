from dataclasses import replace

import numpy as np
import pytest

from ingest import (
    SmearMap,
    SmearZone,
    battlement,
    map_smear,
    open_slide,
    survey_slide,
)
from ingest.smear_map import edge_width_px
from ingest.synthetic import Layer, Synthetic, write_synthetic
from ingest.synthetic.sprites import write_pyramid
from tests.make import white_cell


@pytest.fixture(scope="module")
def smear():
    rgb, alpha = white_cell(np.random.default_rng(0), 0.5)
    return Synthetic(
        3000,
        2000,
        0.5,
        [Layer(1 - alpha[..., None] * (1 - rgb / np.float32(255)), "lymphocyte")],
        seed=1,
    )


def mapped(path, smear):
    write_synthetic(path, smear)
    slide = open_slide(path)
    return slide, map_smear(slide, survey_slide(slide))


def test_a_smear_from_bare_glass_to_thick(smear, tmp_path):
    slide, found = mapped(
        tmp_path / "s.tiff", replace(smear, thin=-2.0, thick=6.0, whites_per_mm2=5)
    )
    columns = [
        np.bincount(part.ravel(), minlength=5).argmax()
        for part in np.array_split(found.ground, 12, axis=1)
    ]
    assert (
        columns[0] == SmearZone.GLASS
        and columns[-1] == SmearZone.THICK
        and SmearZone.MONOLAYER in columns
    )
    assert columns == sorted(columns)
    assert abs(sum(found.area_mm2(g) for g in SmearZone) - 1.5) < 0.1


def test_what_is_out_of_focus_is_found_where_it_is(smear, tmp_path):
    _, sharp = mapped(tmp_path / "sharp.tiff", replace(smear, thin=0.8))
    assert sharp.area_mm2(SmearZone.BLURRED) == 0 and not sharp.problems()
    _, half = mapped(tmp_path / "half.tiff", replace(smear, thin=0.8, blurred=0.8))
    blurred = half.ground == SmearZone.BLURRED
    assert blurred[:, -20:].mean() > 0.9 and blurred[:, :6].mean() == 0
    assert any("out of focus" in problem for problem in half.problems())


def test_an_empty_slide_and_a_thin_one_say_so(smear, tmp_path):
    write_pyramid(tmp_path / "white.tiff", np.full((900, 900, 3), 250, np.uint8), 0.25)
    slide = open_slide(tmp_path / "white.tiff")
    assert map_smear(slide, survey_slide(slide)).problems() == ["nothing lies on the glass"]
    _, thin = mapped(tmp_path / "thin.tiff", replace(smear, thin=0.05, thick=0.2))
    assert any("too thin" in problem for problem in thin.problems())


@pytest.mark.parametrize("contrast", [60, 200])
def test_an_edge_is_as_wide_as_its_blur_whatever_the_contrast(contrast):
    from scipy import ndimage as ndi

    def width(sigma):
        step = np.where(np.arange(128) < 64, 20.0, 20.0 + contrast)
        return edge_width_px(
            np.broadcast_to(ndi.gaussian_filter1d(step, sigma)[None, :, None], (128, 128, 3))
        )

    assert width(6) == pytest.approx(2.5 * 6, rel=0.1) and width(2) < width(4) < width(6)
    assert np.isnan(edge_width_px(np.full((64, 64, 3), 200, np.uint8)))


def test_the_path_is_a_part_of_the_monolayer_and_reaches_across_it():
    ground = np.full((200, 300), SmearZone.THICK, np.uint8)
    ground[20:180, 30:270] = SmearZone.MONOLAYER
    path = battlement(SmearMap(ground, np.full(ground.shape, 1.0), 32.0, 0.5))
    assert not path[ground != SmearZone.MONOLAYER].any()
    assert 0.2 < path.sum() / (ground == SmearZone.MONOLAYER).sum() < 0.5
    assert path[:, 30:50].any() and path[:, 250:270].any()


def test_too_little_monolayer_is_read_whole():
    ground = np.full((20, 20), SmearZone.THICK, np.uint8)
    assert battlement(SmearMap(ground, np.full(ground.shape, 1.0), 32.0, 0.5)).all()
