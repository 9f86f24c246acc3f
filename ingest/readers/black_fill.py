"""Places that were never scanned, or lie outside of a round field, where a file has black.

Limits were chosen by hand on photographs through an eyepiece and on made slides; not measured.
"""

import numpy as np
from scipy import ndimage as ndi

BLACK = 32  # of 255: no stain is so dark in every channel
LEAST_UM = 10.0  # a square as wide as this lies in whatever is filling
EDGE_UM = 3.0
SHADE_UM = 12.0  # from black to the light of the field, in a photograph through an eyepiece
SHADE = 170
GREY = 24  # spread of the channels of such a shade
_WHITE = 255


def without_black(pixels: np.ndarray, mpp: float) -> np.ndarray:
    """The same pixels (h, w, 3) uint8 of `mpp` um, white in place of black filling and its edge.

    What is filling is seen within 25 um of a place; beyond the border of the array there may be
    more of it.
    """
    side = max(3, round(LEAST_UM / mpp))
    every = max(1, side // 3)
    if not (pixels[::every, ::every].max(axis=2) < BLACK).any():
        return pixels
    brightest = pixels.max(axis=2)
    black = np.pad(brightest < BLACK, side, constant_values=True).view(np.uint8)
    filling = ndi.maximum_filter(ndi.minimum_filter(black, side), side)
    edge = ndi.maximum_filter(filling, 2 * max(1, round(EDGE_UM / mpp)) + 1)
    near = ndi.maximum_filter(filling, 2 * max(1, round(SHADE_UM / mpp)) + 1)
    inside = (slice(side, -side), slice(side, -side))
    is_shade = (brightest < SHADE) & (np.ptp(pixels, axis=2) < GREY)
    empty = edge[inside].view(bool) | (near[inside].view(bool) & is_shade)
    return np.where(empty[..., None] & filling[inside].any(), np.uint8(_WHITE), pixels)
