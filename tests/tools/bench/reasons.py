"""What maps and generated cells are worth: `python -m tests.tools.bench.reasons DATA --work DIR
[--model M] [--cells 24]`.

Cells of pbc/val that the model calls rightly: where the energy of their maps lies, what happens to
the label's log odds when the pixels that a map names are blurred away (deletion) against random
maps of the same smoothness, whether counterfactuals are judged as the class they are to show,
seconds a cell; a sheet of them, and with --generated N a sheet of N generated cells a class.
"""

import argparse
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy import ndimage as ndi

from classify import SHIPPED, CropFolder, explain_cell, load_model, open_engine
from classify.calibration.fit import error_table
from classify.explain.generate import generate_cells
from classify.explain.maps import MAP_SMOOTH_PX, inside
from classify.pixels import central, on_white, to_input
from classify.rule import posterior
from segment import cell_masks, fit_stain
from stream.cli.pictures.explanation_sheet import overlay, scale_of

SHARES = (0.02, 0.05, 0.1, 0.2)
RANDOM = 3
BLUR_PX = 6.0
screen = Console(width=140)


def chosen_cells(model, data, count):
    """Crops spread over the classes, by chance but the same each time."""
    rng, found = np.random.default_rng(4), []
    for i in range(count):
        name = model.card.counted[i % len(model.card.counted)]
        folder = CropFolder(data / "pbc/val" / name, model.card.crop_px)
        folder.paths = [folder.paths[rng.integers(len(folder.paths))]]
        found += list(folder)
    return found


def log_odds(engine, model, x, one, other):
    """Of class `one` against `other` for inputs (n, 3, px, px), by every draw."""
    p = np.log(np.maximum(posterior(error_table(engine, x, model), model)[:, -1], 1e-12))
    return p[:, one] - p[:, other]


def stain_of(model, data, count=48):
    """The laboratory's stain, from crops of it with their background made white."""
    crops = on_white(np.stack([crop for _, crop in chosen_cells(model, data, count)]))
    return fit_stain(list(crops), (255, 255, 255), model.card.crop_um / model.card.crop_px)


def mask_of(crop, stain, card):
    """The cell in the model's pixels, touching red cells left out."""
    _, cell = cell_masks(on_white(crop[None])[0], stain)
    window = central(np.repeat(cell[..., None].astype(np.uint8) * 255, 3, axis=2), card.window_px)
    return (
        np.asarray(
            Image.fromarray(window).resize((card.image_px, card.image_px), Image.Resampling.BOX)
        )[..., 0]
        > 127
    )


def blurred_away(x, heat, share):
    """The input (3, px, px) with the `share` of pixels that a map names most blurred."""
    cut = np.quantile(heat, 1 - share)
    return np.where(heat > cut, ndi.gaussian_filter(x, (0, BLUR_PX, BLUR_PX), mode="nearest"), x)


def deletion(engine, model, x, heat, mask, one, other, rng):
    """Fall of the log odds: rows are the map, random maps anywhere, random maps within the cell;
    columns SHARES.
    """
    px = heat.shape[0]
    noises = [
        ndi.gaussian_filter(rng.standard_normal((px, px)), 2 * MAP_SMOOTH_PX * px / 64)
        for _ in range(RANDOM)
    ]
    maps = [heat, *noises, *(np.where(mask, noise, noise.min() - 1) for noise in noises)]
    gone = np.stack([blurred_away(x, m, share) for m in maps for share in SHARES])
    values = log_odds(engine, model, np.concatenate([x[None], gone]), one, other)
    falls = (values[0] - values[1:]).reshape(len(maps), len(SHARES))
    return np.stack(
        [falls[0], falls[1 : 1 + RANDOM].mean(axis=0), falls[1 + RANDOM :].mean(axis=0)]
    )


def maps(model, engine, data, count, work):
    rng, card = np.random.default_rng(0), model.card
    energy, area, falls, turned, seconds, rows = [], [], [], [], [], []
    stain = stain_of(model, data)
    explain_cell(engine, model, chosen_cells(model, data, 1)[0][1])  # compiles
    for path, crop in chosen_cells(model, data, count):
        start = perf_counter()
        why = explain_cell(engine, model, crop)
        seconds.append(perf_counter() - start)
        x, mask = (
            to_input(crop[None], card.window_px, card.image_px, card.white)[0],
            mask_of(crop, stain, card),
        )
        one, other = (card.classes.index(name) for name in why.classes[:2])
        energy.append([inside(heat, mask) for heat in why.heat])
        area.append(mask.mean())
        falls.append(deletion(engine, model, x, why.heat[0], mask, one, other, rng))
        as_other = to_model(why.counterfactual[1])
        turned.append(log_odds(engine, model, np.stack([x, as_other]), other, one))
        rows.append(row_of(why, mask, path))
    energy, falls, turned = np.array(energy), np.array(falls), np.array(turned)
    screen.print(
        f"{count} cells; energy of the maps inside the cell: predicted {energy[:, 0].mean():.3f}, "
        f"runner-up {energy[:, 1].mean():.3f}, "
        f"third {energy[:, 2].mean():.3f}; the cell is {np.mean(area):.3f} of the picture"
    )
    table = Table(
        "blurred away",
        *(f"{share:.0%} of pixels" for share in SHARES),
        title="Fall of the log odds of the label",
        title_justify="left",
    )
    for name, fall in zip(
        ("what the map names", "random, anywhere", "random, within the cell"),
        falls.mean(axis=0),
        strict=True,
    ):
        table.add_row(name, *(f"{v:.2f}" for v in fall))
    for name, against in (("anywhere", 1), ("within the cell", 2)):
        table.add_row(
            f"cells where the map's fall is the larger ({name})",
            *(f"{v:.2f}" for v in (falls[:, 0] > falls[:, against]).mean(axis=0)),
        )
    screen.print(table)
    screen.print(
        f"log odds of the runner-up: {turned[:, 0].mean():.2f} before, {turned[:, 1].mean():.2f} "
        "in its counterfactual; "
        f"{(turned[:, 1] > 0).mean():.2f} of counterfactuals are judged as it"
    )
    screen.print(f"{np.mean(seconds):.2f} s a cell (median {np.median(seconds):.2f})")
    half = -(-len(rows) // 2)
    pair = [np.concatenate(part) for part in (rows[:half], rows[half:]) if part]
    pair = [
        np.pad(p, ((0, pair[0].shape[0] - p.shape[0]), (0, 0), (0, 0)), constant_values=255)
        for p in pair
    ]
    save(np.concatenate(pair, axis=1), work / "maps.png", 2)


def to_model(picture):
    return np.moveaxis(picture.astype(np.float32) / 127.5 - 1, 2, 0)


def row_of(why, mask, path):
    """Cell, its outline, and map and counterfactual of each class."""
    edge = mask ^ ndi.binary_erosion(mask)
    outlined = np.where(edge[..., None], np.uint8([0, 160, 0]), why.seen)
    scale = scale_of(why.heat)
    tiles = [
        t
        for heat, other in zip(why.heat, why.counterfactual, strict=True)
        for t in (overlay(why.seen, heat, scale), other)
    ]
    print(path.parent.name, path.stem, *why.classes)
    return np.concatenate([outlined, *tiles], axis=1)


def save(picture, path, zoom):
    Image.fromarray(picture).resize(
        (picture.shape[1] * zoom, picture.shape[0] * zoom), Image.Resampling.NEAREST
    ).save(path)
    screen.print(path)


def generated(model, engine, count, work):
    """A sheet of `count` cells a class, a block of rows a class."""
    classes, side = model.card.counted, int(np.ceil(np.sqrt(count)))
    start = perf_counter()
    cells = np.stack(
        list(generate_cells(model, engine, np.repeat(np.arange(len(classes)), count), seed=1))
    )
    seconds = perf_counter() - start
    blocks = []
    for own in cells.reshape(len(classes), count, *cells.shape[1:]):
        own = np.concatenate([own, np.full((side**2 - count, *own.shape[1:]), 255, np.uint8)])
        rows = own.reshape(side, side, *own.shape[1:]).transpose(0, 2, 1, 3, 4)
        blocks.append(
            np.pad(
                rows.reshape(side * own.shape[1], side * own.shape[2], 3),
                ((4, 4), (4, 4), (0, 0)),
                constant_values=255,
            )
        )
    half = len(blocks) // 2
    save(
        np.concatenate(
            [np.concatenate(blocks[:half], axis=1), np.concatenate(blocks[half : 2 * half], axis=1)]
        ),
        work / "generated.png",
        1,
    )
    x = np.moveaxis(cells.astype(np.float32) / 127.5 - 1, 3, 1)
    named = label_all(engine, model, x)
    share = np.mean(named == np.repeat(np.arange(len(classes)), count))
    screen.print(
        f"{len(cells)} generated cells, {seconds / len(cells):.2f} s each; the model itself calls "
        f"{share:.3f} of them as intended"
    )


def label_all(engine, model, x):
    return posterior(error_table(engine, x, model), model)[:, -1].argmax(axis=1)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=SHIPPED)
    parser.add_argument("--cells", type=int, default=24)
    parser.add_argument("--generated", type=int, default=0)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    model = load_model(given.model)
    engine = open_engine(model, "openvino")
    if given.cells:
        maps(model, engine, given.data, given.cells, given.work)
    if given.generated:
        generated(model, engine, given.generated, given.work)


if __name__ == "__main__":
    main()
