"""Bodies of the smear check, all at once, held to one after the other."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from segment.smear_check import FREE_RIM, IN_DISC, bodies_in

MPP = 0.5625


def measured_alone(owner, beside_free):
    """Diameter, area and roundness of each body: the slow reference."""
    high, wide = owner.shape
    found = []
    for number, where in enumerate(ndi.find_objects(owner + 1)):
        if where is None:
            continue
        rows, cols = where
        if not (rows.start and cols.start and rows.stop < high and cols.stop < wide):
            continue
        mask = owner[where] == number
        rim = mask & ~ndi.binary_erosion(np.pad(mask, 1))[1:-1, 1:-1]
        free = np.count_nonzero(rim & beside_free[where]) / max(1, np.count_nonzero(rim))
        area = np.count_nonzero(mask)
        radius = np.sqrt(area / np.pi)
        y, x = np.nonzero(mask)
        in_disc = np.hypot(y - y.mean(), x - x.mean()) <= radius + 0.5
        is_round = free > FREE_RIM and in_disc.mean() > IN_DISC and area >= 8
        found.append((2 * radius * MPP, area * MPP**2, is_round))
    return found


def test_all_at_once_are_as_one_after_the_other():
    rng = np.random.default_rng(2)
    rows, cols = np.mgrid[:150, :200]
    owner = np.full((150, 200), -1)
    for number, (y, x) in enumerate(rng.uniform((0, 0), (150, 200), (60, 2))):
        long, wide = rng.uniform(1, 10), rng.uniform(3, 8)
        inside = ((rows - y) / long) ** 2 + ((cols - x) / wide) ** 2 <= 1
        owner[inside & (owner < 0)] = 2 * number
    beside_free = ndi.binary_dilation(owner < 0)
    found = bodies_in(owner, beside_free, MPP)
    expected = measured_alone(owner, beside_free)
    assert len(found) == len(expected) > 20 and {body.is_round for body in found} == {True, False}
    for body, (diameter_um, area_um2, is_round) in zip(found, expected, strict=True):
        assert (body.diameter_um, body.area_um2) == pytest.approx((diameter_um, area_um2))
        assert body.is_round == is_round


def test_a_window_without_bodies():
    assert bodies_in(np.full((5, 6), -1), np.ones((5, 6), bool), MPP) == []
