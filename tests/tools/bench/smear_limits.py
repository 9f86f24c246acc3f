"""What the limits of `segment/smear_check.py` were chosen on: smears and other images.

`python -m tests.tools.bench.smear_limits [--mpp UM] [--cut WIDTHxHEIGHT] FILES`: each file, or each
part of it, is an image of its own; without files, photographs of `skimage.data`.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import tifffile
from PIL import Image
from skimage import data

from ingest import HeldError, Slide, SlideError, open_slide, survey_slide
from segment import smear_check
from segment.smear_check import RedCellFit

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


def recording(fits: list[RedCellFit]) -> Callable[..., RedCellFit]:
    """The measurement of a scale, which keeps what it gave."""
    measure = smear_check.fit_at

    def record(slide: Slide, places: Sequence[tuple[int, int]], mpp: float) -> RedCellFit:
        fits.append(measure(slide, places, mpp))
        return fits[-1]

    return record


def figures_of(fits: Sequence[RedCellFit]) -> str:
    """The stated scale, and the best other one where others were tried."""
    kept = [*fits[:1], *sorted(fits[1:], key=lambda fit: -fit.score)[:1]]
    return "; ".join(
        f"at {fit.mpp:.3f}: {len(fit.diameters_um)} of {fit.bodies} round, {fit.share:.2f}, "
        f"{fit.diameter_px0 * fits[0].mpp:.2f} um"
        for fit in kept
    )


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
            verdict = "passes"
            fits: list[RedCellFit] = []
            with mock.patch.object(smear_check, "fit_at", recording(fits)):
                try:
                    smear_check.check_smear(slide, survey_slide(slide))
                except HeldError as error:
                    verdict = error.what.split(": ", 1)[1]
                except SlideError as error:
                    verdict = error.what
            held += verdict != "passes"
            count += 1
            print(f"{name:32} {figures_of(fits)}  {verdict}", flush=True)
    print(f"{held} of {count} held")


if __name__ == "__main__":
    main()
