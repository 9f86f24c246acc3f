"""The outline of a mask as a polygon."""

import numpy as np
from skimage.measure import approximate_polygon, find_contours

TOLERANCE_PX = 0.6


def outline(mask: np.ndarray) -> np.ndarray | None:
    """Corners (n, 2) of the longest outline of a mask (h, w) bool, as x, y in px from the upper
    left corner of the first pixel; closed, so that the last is the first. None where nothing of it
    has an area.
    """
    contours = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    rings = [approximate_polygon(c, TOLERANCE_PX) for c in sorted(contours, key=len)[-1:]]
    if not rings or len(rings[0]) < 4:
        return None
    result: np.ndarray | None = rings[0][:, ::-1] - 0.5
    return result
