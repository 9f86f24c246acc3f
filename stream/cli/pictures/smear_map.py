"""The picture of a smear's map: the slide, tinted by what lies there, the counting path, a
legend.
"""

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage as ndi

from ingest import SmearMap, SmearZone

TINTS = {
    SmearZone.GLASS: (255, 255, 255),
    SmearZone.THIN: (120, 180, 255),
    SmearZone.MONOLAYER: (60, 190, 90),
    SmearZone.THICK: (230, 120, 60),
    SmearZone.BLURRED: (150, 80, 200),
}
OPACITY = 0.35
LEGEND_PX = 26


def draw(slide: np.ndarray, found: SmearMap, path: np.ndarray) -> Image.Image:
    """The small slide (h, w, 3) under its map; `path` (rows, cols) bool is outlined."""
    h, w = slide.shape[:2]
    tints = np.array([TINTS[g] for g in SmearZone], np.float32)
    rows, cols = (
        np.minimum(np.arange(n) * m // n, m - 1)
        for n, m in zip((h, w), found.ground.shape, strict=True)
    )
    ground, lanes = (a[rows[:, None], cols] for a in (found.ground, path))
    mixed = np.where(
        (ground == SmearZone.GLASS)[..., None],
        slide,
        (1 - OPACITY) * slide + OPACITY * tints[ground],
    )
    mixed[lanes & ~ndi.binary_erosion(lanes)] = 0
    canvas = Image.new("RGB", (w, h + LEGEND_PX), (255, 255, 255))
    canvas.paste(Image.fromarray(mixed.astype(np.uint8)))
    pen = ImageDraw.Draw(canvas)
    x = 8
    for g in SmearZone:
        pen.rectangle([x, h + 7, x + 12, h + 19], fill=TINTS[g], outline=(0, 0, 0))
        text = f"{g.name.lower()} {found.area_mm2(g):.2f} mm2"
        pen.text((x + 18, h + 7), text, fill=(0, 0, 0))
        x += 30 + round(pen.textlength(text))
    return canvas
