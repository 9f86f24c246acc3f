"""`python -m tests.tools.bench.readers SLIDE...`: OpenSlide and imagecodecs at the same places:
seconds, equal pixels.
"""

import argparse
from pathlib import Path
from time import process_time

import numpy as np
from rich.console import Console
from rich.table import Table

from ingest import SlideError, open_slide
from ingest.readers.reader import OpenSlideReader, fastest
from ingest.readers.tiff import TiffReader

PX, PLACES = 1024, 12


def places_of(slide, rng):
    """Windows of every level that is read for cells, as arguments of `read`."""
    for number, level in enumerate(slide.levels):
        if not level.whole:
            continue
        size = min(PX, level.width_px), min(PX, level.height_px)
        for _ in range(PLACES):
            x, y = (
                int(rng.integers(0, n - s + 1))
                for n, s in zip((level.width_px, level.height_px), size, strict=True)
            )
            yield int(x * level.downsample), int(y * level.downsample), number, size


def compare(path, mpp, table):
    slide = open_slide(path, mpp)
    try:
        readers = OpenSlideReader(slide), TiffReader(slide)
    except SlideError:
        table.add_row(path.name, "", "", "", "", "OpenSlide alone")
        return
    took, pixels, differ = [0.0, 0.0], 0, 0
    for place in places_of(slide, np.random.default_rng(0)):
        made = []
        for i, reader in enumerate(readers):
            start = process_time()
            made.append(reader.read(*place))
            took[i] += process_time() - start
        pixels += made[0].shape[0] * made[0].shape[1]
        differ += int((made[0] != made[1]).any(axis=2).sum())
    chosen = type(fastest(slide, readers[0])).__name__
    speeds = [pixels / t / 1e6 for t in took]
    table.add_row(
        path.name,
        *(f"{s:.0f}" for s in speeds),
        f"{speeds[1] / speeds[0]:.1f}",
        f"{differ} of {pixels}",
        chosen,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slides", type=Path, nargs="+")
    parser.add_argument("--mpp", type=float)
    options = parser.parse_args()
    table = Table(
        "slide", "OpenSlide Mpx/s", "imagecodecs Mpx/s", "times", "pixels that differ", "chosen"
    )
    for path in options.slides:
        compare(path, options.mpp, table)
    Console().print(table)


if __name__ == "__main__":
    main()
