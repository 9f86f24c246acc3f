"""All red cells of a field measured at once, held to one after the other."""

import numpy as np
import pytest

from segment.grid import Grid
from segment.region import MIDDLE, RIM_PERCENT, region_shapes

GRID = Grid(np.zeros((90, 120, 3), np.uint16), 4, 0, 0, 2, 0.5625)


def measured_alone(number, owner, stained):
    """Area, roundness and pallor of one cell: the slow reference."""
    rows, cols = np.nonzero(owner == number)
    area = len(rows) * GRID.mpp**2
    spread = np.cov(rows, cols, ddof=0) + np.eye(2) / 12
    major = 4 * np.sqrt(np.linalg.eigvalsh(spread)[1]) * GRID.mpp
    values = stained[rows, cols].astype(float)
    away = np.hypot(rows - rows.mean(), cols - cols.mean()) * GRID.mpp
    middle = away <= MIDDLE * np.sqrt(area / np.pi)
    rim = max(1.0, float(np.percentile(values, RIM_PERCENT)))
    pallor = 1 - values[middle].mean() / rim if middle.any() else 0.0
    return area, min(1.0, 4 * area / (np.pi * major**2)), max(0.0, pallor)


@pytest.fixture
def field():
    """Owners and stain of rings, slim ellipses, a pixel and a ring without a middle."""
    rng = np.random.default_rng(3)
    rows, cols = np.mgrid[:90, :120]
    owner = np.full((90, 120), -1)
    for number, (y, x, long, wide, tilt) in enumerate(
        [(20, 20, 9, 9, 0), (20, 60, 12, 5, 0.6), (60, 30, 7, 7, 0), (60, 80, 14, 3, 2.0)]
    ):
        along = (cols - x) * np.cos(tilt) + (rows - y) * np.sin(tilt)
        across = (rows - y) * np.cos(tilt) - (cols - x) * np.sin(tilt)
        owner[(along / long) ** 2 + (across / wide) ** 2 <= 1] = 2 * number
    owner[60 - 4 : 60 + 5, 30 - 4 : 30 + 5] = -1
    owner[85, 110] = 11
    return owner, rng.integers(-20, 300, owner.shape).astype(np.int16)


def test_all_at_once_are_as_one_after_the_other(field):
    owner, stained = field
    numbers = np.array([11, 0, 6, 4])  # in any order, and not all there are
    found = region_shapes(owner, numbers, stained, GRID)
    rows = np.stack([found.area_um2, found.roundness, found.pallor], axis=1)
    expected = [measured_alone(number, owner, stained) for number in numbers]
    assert rows == pytest.approx(np.array(expected), abs=1e-9)
    assert len(np.unique(rows[:, 2])) > 2


def test_a_field_without_cells(field):
    found = region_shapes(np.full((4, 5), -1), np.zeros(0, int), np.zeros((4, 5), int), GRID)
    assert found.area_um2.shape == found.roundness.shape == found.pallor.shape == (0,)
