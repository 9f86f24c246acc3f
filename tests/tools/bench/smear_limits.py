"""What the limits of `segment/smear_check.py` were chosen on: smears and other images.

`python -m tests.tools.bench.smear_limits [--mpp UM] [--cut WIDTHxHEIGHT] FILES`: each file, or each
part of it, is an image of its own; without files, photographs of `skimage.data`.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from skimage import data

from ingest import HeldError, SlideError, open_slide, survey_slide
from segment.smear_check import (
    RED_CELL_UM,
    appearance,
    check_smear,
    fit_at,
    fits_beside,
    places_of,
    windows_at,
)

PHOTOGRAPHS = (
    "astronaut", "chelsea", "coffee", "rocket", "retina", "immunohistochemistry",
    "hubble_deep_field", "colorwheel", "coins", "text", "page", "brick", "grass", "gravel",
    "camera", "cell", "clock", "moon",
)  # fmt: skip


def images_of(options: argparse.Namespace) -> Iterator[tuple[str, np.ndarray]]:
    for name in PHOTOGRAPHS if not options.files else ():
        image = getattr(data, name)()
        yield name, (np.stack([image] * 3, -1) if image.ndim == 2 else image)[..., :3]
    for path in options.files:
        whole = (
            tifffile.imread(path)
            if path.suffix == ".tiff"
            else np.asarray(Image.open(path).convert("RGB"))
        )
        wide, high = map(int, options.cut.split("x")) if options.cut else whole.shape[1::-1]
        for y in range(0, whole.shape[0] - high + 1, high):
            for x in range(0, whole.shape[1] - wide + 1, wide):
                yield f"{path.name} {x},{y}", whole[y : y + high, x : x + wide]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--mpp", type=float, default=0.25)
    parser.add_argument("--cut", default="")
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    held = count = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, pixels) in enumerate(images_of(options)):
            if number % options.every:
                continue
            path = Path(folder) / f"{number}.png"
            Image.fromarray(np.ascontiguousarray(pixels)).save(path)
            slide = open_slide(path, options.mpp)
            figures, verdict = "", "passes"
            try:
                seen = survey_slide(slide)
                places = places_of(slide, seen)
                fits = [fit_at(slide, places, slide.mpp), *fits_beside(slide, places, RED_CELL_UM)]
                best = max(fits, key=lambda fit: fit.score)
                glass, colour = appearance(list(windows_at(slide, places, best.mpp)))
                figures = (
                    f"at {best.mpp:.3f}: {len(best.diameters_um)} of {best.bodies} round, "
                    f"{best.share:.2f}, {best.diameter_px0 * slide.mpp:.2f} um, glass {glass:.2f}, "
                    f"colour {colour:.2f}"
                )
                check_smear(slide, seen)
            except HeldError as error:
                verdict = error.what.split(": ", 1)[1]
            except SlideError as error:
                verdict = error.what
            held += verdict != "passes"
            count += 1
            print(f"{name:32} {figures}  {verdict}", flush=True)
    print(f"{held} of {count} held")


if __name__ == "__main__":
    main()
