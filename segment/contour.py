"""The outline of a mask as a polygon."""

import numpy as np
from shapely import LineString
from skimage.measure import find_contours

TOLERANCE_PX = 0.6


def outline(mask: np.ndarray) -> np.ndarray | None:
    """Corners (n, 2) of the longest outline of a mask (h, w) bool, as x, y in px from the upper
    left corner of the first pixel; closed, so that the last is the first. None where nothing of it
    has an area.
    """
    contours = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    if not contours:
        return None
    line = LineString(max(contours, key=len)).simplify(TOLERANCE_PX, preserve_topology=False)
    corners = np.asarray(line.coords)
    if len(corners) < 4:
        return None
    result: np.ndarray = corners[:, ::-1] - 0.5
    return result
