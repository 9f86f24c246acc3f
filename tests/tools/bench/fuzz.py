"""`python -m tests.tools.bench.fuzz --files 500`: damaged slide files through all of `locate`;
nothing may hang or crash.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.progress import track

from ingest import CytostreamError, open_slide, open_workers, plan_tiles
from segment import begin_reading
from tests.make import smear

LIMIT_S = 20.0


def damages(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    """One damage: the file cut, bytes changed in its head or anywhere, a stretch zeroed, filled,
    doubled, moved or left out.
    """
    kind = rng.choice(["cut", "head", "bytes", "zeros", "noise", "doubled", "moved", "left out"])
    out, at, length = bytearray(data), int(rng.integers(len(data))), int(rng.integers(1, 5000))
    if kind == "cut":
        return kind, bytes(out[:at])
    if kind in ("head", "bytes"):
        places = rng.integers(0, 400 if kind == "head" else len(out), rng.integers(1, 12))
        for place in places:
            out[place] = rng.integers(256)
    elif kind == "zeros":
        out[at : at + length] = bytes(len(out[at : at + length]))
    elif kind == "noise":
        out[at : at + length] = rng.bytes(len(out[at : at + length]))
    elif kind == "doubled":
        out[at:at] = out[at : at + length]
    elif kind == "moved":
        part = out[at : at + length]
        del out[at : at + length]
        there = int(rng.integers(len(out)))
        out[there:there] = part
    else:
        del out[at : at + length]
    return str(kind), bytes(out)


def outcome_of(pool, path: Path) -> str:
    """How reading a file ends, in a word; only an error of the house may end it."""
    try:
        slide = open_slide(path, mpp=0.25)
        outlook = pool.call(begin_reading, slide, LIMIT_S)
        specs = list(plan_tiles(slide, outlook.scan.smear, 512))
        arrived = [r[1] for r in pool.each(outlook.scan.cells_in, specs, LIMIT_S) if r is not None]
    except CytostreamError as error:
        assert error.what, "an error that says nothing"
        return fault_or(error, "refused")
    failed = [o for o in arrived if isinstance(o, CytostreamError)]
    if failed:
        return next((w for o in failed if (w := fault_or(o, "")) != ""), "read in part")
    return "read in part" if any(o.unread for o in arrived) else "read"


def fault_or(error: CytostreamError, word: str) -> str:
    """A fault of ours that came as an error, a worker that ended, or the word."""
    if error.what.startswith("unexpected"):
        return f"fault: {error.what}"
    return "worker ended" if "ended the worker" in error.what else word


def fuzzed(
    pool, whole: list[Path], folder: Path, files: int, seed: int = 0
) -> Iterator[tuple[str, str, float]]:
    """(damage, outcome, seconds) of each file."""
    rng = np.random.default_rng(seed)
    for number in range(files):
        source = whole[number % len(whole)]
        damage, data = damages(rng, source.read_bytes())
        path = folder / f"{number}{source.suffix}"
        path.write_bytes(data)
        start = perf_counter()
        yield damage, outcome_of(pool, path), perf_counter() - start
        path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--slide", type=Path, nargs="*", default=[], help="slides to damage, beside a simulated one"
    )
    options = parser.parse_args()
    with TemporaryDirectory() as folder, open_workers(options.workers) as pool:
        own = Path(folder) / "whole.tiff"
        smear(own, side_px=1000, whites=4)
        made = fuzzed(pool, [own, *options.slide], Path(folder), options.files, options.seed)
        found = list(
            track(made, "damaged files", total=options.files, console=Console(stderr=True))
        )
    outcomes, seconds = Counter(outcome for _, outcome, _ in found), [s for *_, s in found]
    print(
        f"{len(found)} files: {dict(outcomes)}; longest {max(seconds):.1f} s, in all "
        f"{sum(seconds):.0f} s"
    )


if __name__ == "__main__":
    main()
