"""`python -m tests.tools.bench.judge_workers`: how judging on workers grows with their number.

The engine is emulated: a pass takes a fixed time and no processor, as that of a GPU of each worker
would. Tiles, cells, judge, pickling and Dask are the real ones. Efficiency is the time of one
worker over that of n, divided by n; starting the workers is not counted.
"""

import argparse
import json
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from classify import Engine, Model
from ingest import open_workers
from segment import Cell, TileCells
from stream.run import TileJudge
from tests.make import BrightnessEngine, tiny_model

CELLS_A_TILE = 4
LIMIT_S = 600.0


class TimedEngine(BrightnessEngine):
    """A pass takes `pass_s`."""

    def __init__(self, pass_s: float):
        super().__init__()
        self.pass_s = pass_s

    def errors(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        time.sleep(self.pass_s)
        return super().errors(images, noise, sigma)


@dataclass(frozen=True)
class OpenTimed:
    """Opens the emulated engine, once a process."""

    pass_s: float

    def __call__(self) -> tuple[Model, Engine]:
        return opened(self.pass_s)


@lru_cache
def opened(pass_s: float) -> tuple[Model, Engine]:
    return tiny_model(), TimedEngine(pass_s)


class MadeCells:
    """Tiles with the same few cells."""

    def cells_in(self, number: int) -> TileCells:
        crop = np.full((128, 128, 3), 40 + number % 160, np.uint8)
        cells = [
            Cell(f"{number}-{each}", "s1", "wbc", 100, 200, (90, 180, 110, 220), 120.5, crop)
            for each in range(CELLS_A_TILE)
        ]
        return TileCells(cells)


def seconds(workers: int, tiles: int, pass_s: float) -> float:
    """How long the tiles take on that many workers that are up and have opened their engines."""
    with open_workers(workers) as pool:
        there = TileJudge(MadeCells(), OpenTimed(pass_s))
        for _ in pool.each(there, range(3 * workers), LIMIT_S):
            pass
        begun = time.monotonic()
        found = [arrived[1] for arrived in pool.each(there, range(tiles), LIMIT_S) if arrived]
        took = time.monotonic() - begun
    assert sum(len(judged.verdicts) for judged in found) == tiles * CELLS_A_TILE
    return took


def main() -> None:
    parser = argparse.ArgumentParser(prog="judge_workers", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--tiles", type=int, default=12, help="a worker")
    parser.add_argument("--pass-s", type=float, default=0.2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for workers in options.workers:
        tiles = workers * options.tiles
        took = seconds(workers, tiles, options.pass_s)
        rows.append({"workers": workers, "tiles": tiles, "tiles_s": tiles / took})
        efficiency = rows[-1]["tiles_s"] / (workers * rows[0]["tiles_s"] / rows[0]["workers"])
        rows[-1]["efficiency"] = round(efficiency, 3)
        print(rows[-1], flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
