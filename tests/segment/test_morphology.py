"""Masks and the highest values around a place, held to scipy's filters."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from segment.morphology import grown, highest_around, shrunk


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (37, 23)])
@pytest.mark.parametrize("radius", [1, 2, 3, 5, 8, 50])
def test_all_are_what_scipys_filters_make(shape, radius):
    rng = np.random.default_rng(radius)
    mask = rng.random(shape) < 0.2
    values = rng.integers(-500, 500, shape).astype(np.int16)
    side = 2 * radius + 1
    assert np.array_equal(grown(mask, radius), ndi.maximum_filter(mask, side))
    assert np.array_equal(shrunk(~mask, radius), ndi.minimum_filter(~mask, side))
    found = highest_around(values, radius)
    assert found.dtype == np.int16 and np.array_equal(found, ndi.maximum_filter(values, side))
