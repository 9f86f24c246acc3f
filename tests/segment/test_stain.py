"""What the fitted stain holds, also where the samples hold little."""

import pickle

import numpy as np
import pytest

from segment import fit_stain
from segment.stain import LEAST_MOD
from tests.segment.smears import GLASS, MPP, NUCLEUS, glass, red_cell, white_cell


def field(white: bool = True) -> np.ndarray:
    image = glass(200, 200)
    for x in range(30, 200, 70):
        red_cell(image, x, 50)
    if white:
        white_cell(image, 120, 140)
    return image


def mod(colour: tuple[int, int, int], stain) -> int:
    """The white-cell stain of one colour, in mOD."""
    return int(stain.white(np.array(colour, np.uint16).reshape(1, 1, 3), 1)[0, 0])


def test_nuclei_stand_above_the_threshold_and_red_cells_at_nought():
    stain = fit_stain([field()], GLASS, MPP)
    assert mod((196, 140, 150), stain) == pytest.approx(0, abs=15)
    assert mod(GLASS, stain) == 0
    assert mod(NUCLEUS, stain) > stain.nucleus_mod > stain.white_mod > 0


def test_the_same_samples_give_the_same_stain():
    assert fit_stain([field(), field(False)], GLASS, MPP) == fit_stain(
        [field(), field(False)], GLASS, MPP
    )


def test_a_stain_travels():
    stain = fit_stain([field()], GLASS, MPP)
    assert pickle.loads(pickle.dumps(stain)) == stain


def test_without_white_cells_red_cells_stay_below_the_thresholds():
    stain = fit_stain([field(white=False)], GLASS, MPP)
    assert mod((196, 140, 150), stain) < stain.white_mod < stain.nucleus_mod
    assert mod(NUCLEUS, stain) > stain.nucleus_mod


@pytest.mark.parametrize(
    "samples", [[], [glass(100, 100)], [np.zeros((0, 0, 3), np.uint8)], [glass(50, 50) + 15]]
)
def test_nothing_stained_gives_a_stain_that_takes_glass_for_glass(samples):
    stain = fit_stain(samples, GLASS, MPP)
    assert stain.stained_mod >= LEAST_MOD
    assert mod(GLASS, stain) < stain.white_mod


def test_all_nuclei_do_not_pass_for_red_cells():
    stain = fit_stain([np.full((100, 100, 3), NUCLEUS, np.uint8)], GLASS, MPP)
    assert stain.red_ratio <= 2.2
    assert min(stain.white_mod, stain.nucleus_mod, stain.level_mod, stain.platelet_mod) > 0
