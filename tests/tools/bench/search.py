"""Search by likeness over a million cells: recall at 10 against exact search, time, memory.

    python -m tests.tools.bench.search FEATURES --work DIR [--cells 1000000] [--queries 50]

FEATURES is a table (n, F) of real cells, as `cytostream classify FOLDER --features OUT.npy` writes.
A cell of the store is a mixture of two of them, chosen by chance, with noise of a tenth of their
spread, so that neighbourhoods are as dense as a large store has them.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console

from stream.store.search.likeness import unit_features
from stream.store.search.likeness_index import IndexedCells, LikenessIndex

SLIDE_CELLS = 20_000
COUNT = 10
screen = Console(width=120)


def cells_of(features, count, rng):
    """Features (count, F) of made cells."""
    one, two = rng.integers(len(features), size=(2, count))
    share = rng.beta(0.5, 0.5, (count, 1)).astype(np.float32)
    noise = rng.standard_normal((count, features.shape[1]), np.float32)
    mixed = share * features[one] + (1 - share) * features[two]
    return mixed + 0.1 * features.std(axis=0) * noise


def fill(index, features, count):
    known = sum(index.slides.values())
    for start in range(known, count, SLIDE_CELLS):
        rng = np.random.default_rng(start)
        size = min(SLIDE_CELLS, count - start)
        unit = unit_features(cells_of(features, size, rng))
        ids = rng.integers(256, size=(size, 10)).astype(np.uint8)
        index.add(IndexedCells(f"slide-{start}", unit, ids, ["cell"] * size))


def exact(index, wanted):
    """Ids of the nearest of each of the queries (q, F), by their whole features."""
    rows = sum(index.slides.values())
    units = index.column("units.f16", "f2", rows)
    likeness = np.concatenate(
        [
            units[start : start + 50_000].astype(np.float32) @ wanted.T
            for start in range(0, rows, 50_000)
        ]
    )
    best = np.argpartition(-likeness, COUNT, axis=0)[:COUNT].T
    ids = index.column("ids.u8", "u1", rows)
    return [{ids[row].tobytes().hex() for row in found} for found in best]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("features", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=50)
    given = parser.parse_args()
    features = np.load(given.features).astype(np.float32)
    index = LikenessIndex(given.work)
    begun = time.perf_counter()
    fill(index, features, given.cells)
    built_s = time.perf_counter() - begun
    wanted = unit_features(cells_of(features, given.queries, np.random.default_rng(7)))
    truth = exact(index, wanted)
    index.nearest(wanted[0], COUNT)
    shared = []
    took_ms = []
    for query, right in zip(wanted, truth, strict=True):
        begun = time.perf_counter()
        found = index.nearest(query, COUNT)
        took_ms.append(1000 * (time.perf_counter() - begun))
        shared.append(len(right & {hit.cell_id for hit in found}) / COUNT)
    memory = psutil.Process().memory_info()
    size = sum(path.stat().st_size for path in index.folder.iterdir())
    screen.print(
        f"{given.cells} cells: recall at {COUNT} {np.mean(shared):.4f}, median "
        f"{np.median(took_ms):.0f} ms, longest {max(took_ms):.0f} ms a search; resident "
        f"{memory.rss / 2**20:.0f} MiB (mapped files among it {memory.shared / 2**20:.0f}), on "
        f"disk {size / 2**20:.0f} MiB; made in {built_s:.0f} s"
    )


if __name__ == "__main__":
    main()
