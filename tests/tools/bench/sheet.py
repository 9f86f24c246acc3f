"""Cells of a slide with their labels: `python -m tests.tools.bench.sheet STORE/SLIDE.zarr --out
sheet.png [--cells 100]`.

The cells are drawn by chance, the same each time, and stand by label; under each its label,
probability and number.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from stream.store.slide_store import SlideStore

COLUMNS, SIDE_PX, LINE_PX, SEED = 10, 128, 14, 6


def tile(crop, words):
    """A crop (px, px, 3) over its words."""
    made = Image.new("RGB", (SIDE_PX, SIDE_PX + LINE_PX), "white")
    made.paste(Image.fromarray(crop).resize((SIDE_PX, SIDE_PX)))
    ImageDraw.Draw(made).text((2, SIDE_PX + 1), words, fill="black")
    return np.asarray(made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=100)
    options = parser.parse_args()
    store = SlideStore.open(options.slide)
    names, crops, labels, sure = (
        store.facts["classes"],
        *(store.read(c) for c in ("crop", "label", "probability")),
    )
    chosen = np.random.default_rng(SEED).permutation(len(labels))[: options.cells]
    chosen = chosen[np.argsort(labels[chosen], kind="stable")]
    tiles = [
        tile(crops[i], f"{n}: {names[labels[i]]} {sure[i].max():.2f}") for n, i in enumerate(chosen)
    ]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[i : i + COLUMNS], axis=1) for i in range(0, len(tiles), COLUMNS)]
    Image.fromarray(np.concatenate(rows)).save(options.out)
    print(f"{len(chosen)} of {len(labels)} cells: {options.out}")


if __name__ == "__main__":
    main()
