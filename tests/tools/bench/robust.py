"""`python -m tests.tools.bench.robust`: the same cells for any tiles and workers; with a worker
killed; with damaged tiles.
"""

import argparse
import hashlib
import os
import signal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import tifffile
from rich.console import Console
from rich.table import Table

from ingest import CytostreamError, open_slide, open_workers, plan_tiles
from ingest.synthetic import Synthetic, write_synthetic
from segment import begin_scan
from stream.cli.commands.simulate import white_layers

KINDS = ("wbc", "platelet", "rbc")
MPP, REACH_UM = 0.25, 18.0
TABLE = Table("what", "cells", "same", "lost", "more", "reported places")


def facts_of(cell):
    digest = hashlib.blake2b(cell.crop.tobytes(), digest_size=8).hexdigest()
    return cell.cell_id, cell.kind, cell.x_px0, cell.y_px0, cell.box_px0, cell.area_um2, digest


def located(slide, workers, tile_px, meanwhile=lambda done: None):
    """Cells of a slide as facts, and the boxes that could not be read."""
    with open_workers(workers) as pool:
        scan = pool.call(partial(begin_scan, kinds=KINDS), slide, 300)
        cells, bad = set(), set()
        arrived = (
            r
            for r in pool.each(scan.cells_in, list(plan_tiles(slide, scan.smear, tile_px)), 60)
            if r is not None
        )
        for done, (spec, outcome) in enumerate(arrived):
            if isinstance(outcome, CytostreamError):
                bad.add(spec.box_px0)
            else:
                cells |= {facts_of(cell) for cell in outcome.cells}
                bad |= set(outcome.unread)
            meanwhile(done)
        return cells, bad


def kill_a_worker(done):
    """After the third tile, the process of one worker, as the system does that runs out of
    memory.
    """
    if done == 3:
        workers = [
            p
            for p in psutil.Process().children(recursive=True)
            if "spawn_main" in " ".join(p.cmdline())
        ]
        os.kill(workers[0].pid, signal.SIGKILL)


def damaged(path, share, seed=0):
    """A copy with the heads of some compressed tiles of level 0 overwritten; and where they are, in
    level-0 px.
    """
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        across, side, offsets = (
            -(-page.imagewidth // page.tilewidth),
            page.tilewidth,
            page.dataoffsets,
        )
    chosen = np.random.default_rng(seed).choice(
        len(offsets), max(1, round(share * len(offsets))), replace=False
    )
    data = bytearray(path.read_bytes())
    for n in chosen:
        data[offsets[n] : offsets[n] + 200] = bytes(200)
    out = path.with_name("damaged.tiff")
    out.write_bytes(data)
    return out, [
        (n % across * side, n // across * side, n % across * side + side, n // across * side + side)
        for n in chosen
    ]


def near(cell, boxes):
    """Whether a cell's crop or box reaches into one of the boxes."""
    _, _, x, y, box, *_ = cell
    reach = REACH_UM / MPP
    low, high = (
        (min(x - reach, box[0]), min(y - reach, box[1])),
        (max(x + reach, box[2]), max(y + reach, box[3])),
    )
    return any(low[0] < b[2] and low[1] < b[3] and high[0] > b[0] and high[1] > b[1] for b in boxes)


def place_free(cells):
    """Without the id, which is of the file's content."""
    return {cell[1:] for cell in cells}


def row(name, reference, found, bad=()):
    TABLE.add_row(
        name,
        str(len(found)),
        str(len(found & reference)),
        str(len(reference - found)),
        str(len(found - reference)),
        str(len(bad)),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--side", type=int, default=6000, help="of the simulated slide, in px of 0.25 um"
    )
    parser.add_argument(
        "--slide", type=Path, help="a slide instead of a simulated one; a tiled TIFF"
    )
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "s.tiff"
        if options.slide:
            path.write_bytes(options.slide.read_bytes())
        else:
            write_synthetic(
                path,
                Synthetic(
                    options.side,
                    options.side,
                    MPP,
                    white_layers(MPP),
                    whites_per_mm2=150,
                    scratches=1,
                ),
            )
        measure(path, options.workers)
    Console().print(TABLE)


def measure(path, workers):
    slide = open_slide(path)
    reference, _ = located(slide, 0, 1024)
    for tile_px in (256, 512, 1024, 2048):
        row(f"tiles of {tile_px} px, this process", reference, located(slide, 0, tile_px)[0])
    for count in workers:
        row(f"tiles of 1024 px, {count} workers", reference, located(slide, count, 1024)[0])
    found, bad = located(slide, 2, 512, kill_a_worker)
    row("a worker killed", reference, found, bad)
    torn, boxes = damaged(path, 0.01)
    found, bad = located(open_slide(torn), 2, 1024)
    whole = {cell for cell in reference if not near(cell, bad)}
    row(
        f"{len(boxes)} tiles of the file damaged, away from what is reported",
        place_free(whole),
        place_free(found),
        bad,
    )
    told = all(
        any(b[0] < x1 and b[1] < y1 and b[2] > x0 and b[3] > y0 for b in bad)
        for x0, y0, x1, y1 in boxes
    )
    print(
        f"damaged tiles all reported: {told}; cells within reach of them: "
        f"{len(reference) - len(whole)} of {len(reference)}"
    )


if __name__ == "__main__":
    main()
