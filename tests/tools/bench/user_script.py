"""What a user would write in an afternoon: tiles at full resolution by OpenSlide, a threshold, and
a plain classifier of the same encoder on each crop. Prints how many cells it has labelled.

    python -m tests.tools.bench.user_script SLIDE
"""

import sys
from pathlib import Path

import numpy as np
import openslide
from PIL import Image
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.morphology import closing, disk

from classify import load_model, open_engine
from ingest import open_slide
from segment import CROP_PX, CROP_UM
from tests.tools.bench.engine_share import plain_labels

TILE_PX = 1024
WORK_MPP = 0.3
LEAST_UM2 = 20.0


def stain_of(pixels: np.ndarray) -> np.ndarray:
    """Red optical density, less 0.3 of blue's (h, w)."""
    density = -np.log10((pixels[..., (0, 2)].astype(np.float32) + 1) / 240)
    return density[..., 0] - 0.3 * density[..., 1]


def crops_of(image: openslide.OpenSlide, mpp: float) -> list[np.ndarray]:
    """Crops (px, px, 3) around what is stained, tile by tile; one threshold for all."""
    width, height = image.dimensions
    shrink = max(1, round(WORK_MPP / mpp))
    places = [(x, y) for y in range(0, height, TILE_PX) for x in range(0, width, TILE_PX)]
    sampled = [stain_of(read(image, *place, TILE_PX)[::4, ::4]) for place in places[::7]]
    limit = threshold_otsu(np.concatenate([part.ravel() for part in sampled]))
    side = round(CROP_UM / mpp)
    crops = []
    for x, y in places:
        stain = stain_of(read(image, x, y, TILE_PX)[::shrink, ::shrink])
        for found in regionprops(label(closing(stain > limit, disk(2)))):
            if found.area * (shrink * mpp) ** 2 < LEAST_UM2:
                continue
            row, col = (round(middle * shrink) for middle in found.centroid)
            crop = read(image, x + col - side // 2, y + row - side // 2, side)
            crops.append(np.asarray(Image.fromarray(crop).resize((CROP_PX, CROP_PX))))
    return crops


def read(image: openslide.OpenSlide, x: int, y: int, side: int) -> np.ndarray:
    """Pixels (side, side, 3), white beyond the slide."""
    seen = image.read_region((x, y), 0, (side, side))
    white = Image.new("RGBA", seen.size, "white")
    return np.asarray(Image.alpha_composite(white, seen).convert("RGB"))


def main() -> None:
    path = Path(sys.argv[1])
    crops = crops_of(openslide.OpenSlide(path), open_slide(path).mpp)
    model = load_model()
    labels = plain_labels(open_engine(model, "openvino"), model, np.stack(crops))
    print(len(labels))


if __name__ == "__main__":
    main()
