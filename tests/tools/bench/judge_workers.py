"""`python -m tests.tools.bench.judge_workers`: how judging on workers grows with their number.

The engine is emulated: a pass takes a fixed time and no processor, as that of a GPU of each worker
would. Tiles, cells, judge, pickling and Dask are the real ones. Efficiency is the time of one
worker over that of n, divided by n; starting the workers is not counted.

All workers are processes of this machine: what a tile takes of its processors (`tile_cpu_ms`) times
the tiles a second must be well below its cores, else the machine is measured and not the workers.
A longer `--pass-s` makes it so.
"""

import argparse
import json
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import psutil

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


@dataclass(frozen=True)
class MadeCells:
    """Tiles of a few like cells, brighter from tile to tile and from the start again after `period`
    tiles: some take more passes than others, and every `period` tiles take as many together.
    """

    period: int

    def cells_in(self, number: int) -> TileCells:
        brightness = 40 + 160 * (number % self.period) // self.period
        crop = np.full((128, 128, 3), brightness, np.uint8)
        cells = [
            Cell(f"{number}-{each}", "s1", "wbc", 100, 200, (90, 180, 110, 220), 120.5, crop)
            for each in range(CELLS_A_TILE)
        ]
        return TileCells(cells)


def used_s() -> float:
    """Processor time of this process and of those that it has started."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def seconds(workers: int, each: int, pass_s: float) -> tuple[float, float]:
    """How long that many tiles a worker take, on workers that are up and have opened their engines;
    and the processor time of all that takes part.
    """
    tiles = workers * each
    with open_workers(workers) as pool:
        there = TileJudge(MadeCells(each), OpenTimed(pass_s))
        for _ in pool.each(there, range(3 * workers), LIMIT_S):
            pass
        begun, begun_used = time.monotonic(), used_s()
        found = [arrived[1] for arrived in pool.each(there, range(tiles), LIMIT_S) if arrived]
        took, used = time.monotonic() - begun, used_s() - begun_used
    assert sum(len(judged.verdicts) for judged in found) == tiles * CELLS_A_TILE
    return took, used


def main() -> None:
    parser = argparse.ArgumentParser(prog="judge_workers", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--tiles", type=int, default=40, help="a worker")
    parser.add_argument("--pass-s", type=float, default=0.5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for workers in options.workers:
        tiles = workers * options.tiles
        took, used = seconds(workers, options.tiles, options.pass_s)
        rows.append({"workers": workers, "tiles": tiles, "tiles_s": round(tiles / took, 2)})
        efficiency = rows[-1]["tiles_s"] / (workers * rows[0]["tiles_s"] / rows[0]["workers"])
        rows[-1]["efficiency"] = round(efficiency, 3)
        rows[-1]["tile_cpu_ms"] = round(used / tiles * 1000, 1)
        rows[-1]["cores_busy"] = round(used / took, 2)
        print(rows[-1], flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
