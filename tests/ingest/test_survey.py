"""The first look."""

import numpy as np
import pytest

from ingest import SlideError, open_slide, plan_tiles, stain_samples, survey_slide
from ingest.synthetic.sprites import write_pyramid
from tests.make import GLASS, smear


def test_white_cells_lie_where_the_look_says(tmp_path):
    centres = smear(tmp_path / "s.tiff", whites=8)
    found = survey_slide(open_slide(tmp_path / "s.tiff"))
    assert all(found.smear.covers(x, y) for x, y in centres)
    assert np.abs(np.array(found.smear.background_rgb) - GLASS).max() < 8
    assert 0.05 < found.density.mean() < 0.9


def test_an_empty_slide_has_nothing_to_look_at(tmp_path):
    write_pyramid(tmp_path / "white.tiff", np.full((900, 900, 3), 250, np.uint8), 0.25)
    slide = open_slide(tmp_path / "white.tiff")
    found = survey_slide(slide)
    assert (
        not found.smear.look.any()
        and not list(plan_tiles(slide, found.smear))
        and stain_samples(slide, found) == []
    )


def test_a_dark_background_is_refused(tmp_path):
    write_pyramid(tmp_path / "dark.tiff", np.full((600, 600, 3), 12, np.uint8), 0.25)
    with pytest.raises(SlideError, match="dark background"):
        survey_slide(open_slide(tmp_path / "dark.tiff"))


def test_samples_are_the_same_each_time(tmp_path):
    smear(tmp_path / "s.tiff", whites=4)
    slide = open_slide(tmp_path / "s.tiff")
    first, second = (stain_samples(slide, survey_slide(slide)) for _ in range(2))
    assert len(first) > 3 and all((a == b).all() for a, b in zip(first, second, strict=True))


def test_a_slide_cut_short_behind_its_directory(tmp_path):
    smear(tmp_path / "s.tiff", whites=4)
    whole = (tmp_path / "s.tiff").read_bytes()
    (tmp_path / "cut.tiff").write_bytes(whole[:3000])
    with pytest.raises(SlideError, match="cut"):
        survey_slide(open_slide(tmp_path / "cut.tiff"))
