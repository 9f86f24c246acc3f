"""The picture of a smear's map: what lies where is seen in it, as the legend says."""

import numpy as np
import pytest

from ingest import SmearMap, SmearZone
from stream.cli.pictures.smear_map import LEGEND_PX, TINTS, draw

GREY = 100
# of the picture, where the slide is grey: a third of the tint over it; glass stays as it is
SEEN = {
    "GLASS": (100, 100, 100),
    "THIN": (107, 128, 154),
    "MONOLAYER": (86, 131, 96),
    "THICK": (145, 107, 86),
    "BLURRED": (117, 93, 135),
}


@pytest.fixture
def picture():
    """One row of 40 px blocks, a zone each; the path lies over the second to the fourth row."""
    ground = np.tile(np.repeat(np.array(list(SmearZone)), 4), (8, 1))
    path = np.zeros(ground.shape, bool)
    path[2:6, 8:12] = True
    found = SmearMap(ground, np.zeros(ground.shape), 500.0, 0.5)
    slide = np.full((80, 1000, 3), GREY, np.uint8)
    return np.asarray(draw(slide, found, path)).astype(int)


def test_each_zone_has_its_colour_and_is_named_with_it(picture):
    assert picture.shape == (80 + LEGEND_PX, 1000, 3)
    legend = picture[80 + 13]
    for number, zone in enumerate(SmearZone):
        seen = picture[4, 100 + 200 * number]
        assert np.abs(seen - SEEN[zone.name]).max() <= 1, zone.name
        assert (legend == TINTS[zone]).all(axis=1).any(), zone.name
    assert len({tuple(colour) for colour in TINTS.values()}) == len(SmearZone)


def test_the_counting_path_is_outlined_and_open_inside(picture):
    rows, columns = slice(20, 60), slice(400, 600)
    part = picture[:80]
    is_black = (part == 0).all(axis=2)
    assert is_black[rows, columns].any()
    outside = is_black.copy()
    outside[rows, columns] = False
    assert not outside.any()
    assert not is_black[35:45, 460:540].any()
    border = is_black[rows, columns]
    assert border[0].all() and border[-1].all() and border[:, 0].all() and border[:, -1].all()


def test_the_legend_has_a_box_in_a_black_frame(picture):
    legend = picture[80:]
    assert (legend[7, 8:21] == 0).all() and (legend[19, 8:21] == 0).all()
    assert (legend[8:19, 9:20] == 255).all()  # glass
    assert (legend[:7] == 255).all() and (legend[20:, :8] == 255).all()
