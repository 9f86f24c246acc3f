"""Where a slide's scale is checked: not on glass, and not where red cells lie over each other."""

from types import SimpleNamespace

import numpy as np
import pytest

from segment.smear_check import places_of

SIDE_PX0 = 100


def columns_of(density):
    rows, columns = density.shape
    slide = SimpleNamespace(width_px0=columns * SIDE_PX0, height_px0=rows * SIDE_PX0)
    seen = SimpleNamespace(density=density, smear=SimpleNamespace(block_px0=SIDE_PX0))
    return {x // SIDE_PX0 for x, _ in places_of(slide, seen)}


@pytest.mark.parametrize("other", [0.0, 0.9])
def test_windows_lie_where_the_smear_is_neither_empty_nor_thick(other):
    density = np.full((30, 60), other)
    density[:, 20:40] = 0.3
    assert columns_of(density) <= set(range(16, 44))


@pytest.mark.parametrize("everywhere", [0.02, 0.9])
def test_they_lie_on_what_there_is_where_nothing_is_so(everywhere):
    assert columns_of(np.full((30, 60), everywhere))
