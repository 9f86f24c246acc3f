"""`make bench`: speed as ratios against a named reference, in one run, on the cells that the
project ships.
"""

from time import perf_counter

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from classify import judge, load_model, open_engine
from classify.model_card import read_sheet
from tests.tools.bench.engine_share import share_table

COPIES = 3


def shipped_cells(model):
    """The generated cells as crops (n, 128, 128, 3): the model's window in the middle, its border
    repeated around it.
    """
    card = model.card
    px = card.image_px
    cells = read_sheet(len(card.counted) + 1).reshape(-1, px, px, 3)
    size = (card.window_px, card.window_px)
    grown = [np.asarray(Image.fromarray(c).resize(size, Image.Resampling.BICUBIC)) for c in cells]
    pad = (card.crop_px - card.window_px) // 2
    return np.stack(
        [np.pad(c, ((pad, pad), (pad, pad), (0, 0)), mode="edge") for c in grown] * COPIES
    )


def timed(model, crops, precision, exhaustive, one_at_a_time=False):
    """(cells/s, draws a cell, labels); the first pass, which compiles, is not counted."""
    engine = open_engine(model, "openvino", precision)
    list(judge([(0, crops[0])], engine, model, exhaustive))
    items = [item for pair in enumerate(crops) for item in (pair, *[None] * one_at_a_time)]
    start = perf_counter()
    verdicts = dict(judge(items, engine, model, exhaustive))
    seconds = perf_counter() - start
    return (
        len(crops) / seconds,
        np.mean([v.draws for v in verdicts.values()]),
        [verdicts[i].label for i in range(len(crops))],
    )


def main():
    model = load_model()
    crops = shipped_cells(model)
    rows = {
        "exhaustive reference, f32": timed(model, crops, "f32", True),
        "elimination, f32": timed(model, crops, "f32", False),
        "elimination, as the card allows": timed(model, crops, None, False),
        "the same, one cell at a time": timed(model, crops, None, False, one_at_a_time=True),
    }
    table = Table(
        "judge",
        "cells/s",
        "against the reference",
        "draws a cell",
        "same label",
        title=f"{len(crops)} generated cells: many lie between classes, where the labels part",
    )
    reference = rows["exhaustive reference, f32"]
    for name, (rate, draws, labels) in rows.items():
        same = np.mean([a == b for a, b in zip(labels, reference[2], strict=True)])
        table.add_row(
            name, f"{rate:.0f}", f"{rate / reference[0]:.1f} x", f"{draws:.1f}", f"{same:.3f}"
        )
    Console().print(table)
    Console().print(share_table(model, crops))


main()
