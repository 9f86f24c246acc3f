"""A synthetic smear drawn strip by strip and written as a pyramid, with its truth beside it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile
from scipy import ndimage as ndi

from ingest.readers import box_mean

from .smear import Layer, PlacedCell, Synthetic

LEVEL_STEP = 4
TILE_PX = 512


def strips(smear: Synthetic) -> Iterator[tuple[np.ndarray, list[PlacedCell]]]:
    """The slide in strips (patch_px, width, 3) uint8 from the top, each with the white cells whose
    middles it owns.
    """
    reds = smear.reds()
    px = smear.patch_px
    rows, cols = -(-smear.height_px // px), -(-smear.width_px // px)

    def band(row: int) -> list[tuple[int, int, Layer]]:
        return [cell for col in range(cols) for cell in smear.layers_of(row, col, reds)]

    above: list[tuple[int, int, Layer]] = []
    here = band(0)
    for row in range(rows):
        below = band(row + 1) if row + 1 < rows else []
        height = min(px, smear.height_px - row * px)
        light = np.ones((height, smear.width_px, 3), np.float32)
        for x, y, layer in [*above, *here, *below]:
            absorb(light, layer, x, y - row * px)
        yield (
            finished(smear, light, row),
            [cell for col in range(cols) for cell, _ in smear.whites_of(row, col)],
        )
        above = here
        here = below


def absorb(light: np.ndarray, layer: Layer, x: int, y: int) -> None:
    """Put a layer around (x, y) of what comes through (H, W, 3), cut where it leaves it: densities
    add up, or the layer covers what was there.
    """
    high, wide = layer.light.shape[:2]
    top, left = y - high // 2, x - wide // 2
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + high, light.shape[0]), min(left + wide, light.shape[1])
    if y1 <= y0 or x1 <= x0:
        return
    cut = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    if layer.cover is None:
        light[y0:y1, x0:x1] *= layer.light[cut]
    else:
        cover = layer.cover[cut]
        light[y0:y1, x0:x1] += cover * (layer.light[cut] - light[y0:y1, x0:x1])


def finished(smear: Synthetic, light: np.ndarray, row: int) -> np.ndarray:
    """A strip as the scanner of that lab writes it: scratches, focus, stain, grain."""
    y = np.arange(light.shape[0]) + row * smear.patch_px
    wide = max(2, round(6 / smear.mpp))
    for n in range(smear.scratches):
        for i, x in enumerate(smear.scratch_x(n, y)):
            light[i, max(0, x - wide // 2) : max(0, x + wide // 2)] = 1
    sharp = round(smear.width_px * (1 - smear.blurred))
    if sharp < smear.width_px:
        light[:, sharp:] = ndi.gaussian_filter(
            light[:, sharp:], (1.2 / smear.mpp, 1.2 / smear.mpp, 0)
        )
    rng = smear.rng(5, row)
    for c in range(3):
        light[..., c] **= smear.look.density[c]
        light[..., c] *= smear.look.glass_rgb[c]
    light += rng.normal(0, 1.5, light.shape[:2]).astype(np.float32)[..., None]
    result: np.ndarray = np.clip(light, 0, 255).astype(np.uint8)
    return result


def write_synthetic(
    path: Path, smear: Synthetic, on_strip: Callable[[int, int], None] = lambda done, of: None
) -> int:
    """Write the smear as a pyramidal TIFF and `path` + .truth.jsonl, a line a white cell; returns
    how many there are.

    Each level is written once, from the top; what the next ones need lies on disk meanwhile, a
    sixteenth of the pixels.
    """
    count = 0
    of = -(-smear.height_px // smear.patch_px)
    with (
        TemporaryDirectory(dir=path.parent) as beside,
        tifffile.TiffWriter(path, bigtiff=True) as file,
    ):
        shape = smear.height_px // LEVEL_STEP, smear.width_px // LEVEL_STEP, 3
        small = np.memmap(Path(beside) / "level", np.uint8, "w+", shape=shape)
        with Path(f"{path}.truth.jsonl").open("w") as truth:

            def whole() -> Iterator[np.ndarray]:
                nonlocal count
                for done, (strip, cells) in enumerate(strips(smear)):
                    count += len(cells)
                    truth.writelines(json.dumps(truth_line(cell)) + "\n" for cell in cells)
                    on_strip(done + 1, of)
                    yield strip

            write_level(file, kept(whole(), small), (smear.height_px, smear.width_px), smear.mpp)
        mpp = smear.mpp * LEVEL_STEP
        level: np.ndarray = small
        while min(level.shape[:2]) >= TILE_PX // 2:
            height_px, width_px = level.shape[:2]
            write_level(file, iter([level]), (height_px, width_px), mpp, reduced=True)
            level = box_mean(level, LEVEL_STEP)
            mpp *= LEVEL_STEP
    return count


def kept(strips: Iterator[np.ndarray], small: np.ndarray) -> Iterator[np.ndarray]:
    """The strips as they come, their reduced rows written to `small`; rows that a strip leaves over
    join the next one's.
    """
    row = 0
    rest = None
    for strip in strips:
        yield strip
        rows = strip if rest is None else np.concatenate([rest, strip])
        done = box_mean(rows, LEVEL_STEP)[: len(small) - row]
        small[row : row + len(done)] = done
        row += len(done)
        rest = rows[len(rows) // LEVEL_STEP * LEVEL_STEP :]


def write_level(
    file: tifffile.TiffWriter,
    strips: Iterator[np.ndarray],
    size: tuple[int, int],
    mpp: float,
    reduced: bool = False,
) -> None:
    per_cm = 1e4 / mpp
    file.write(
        tiles(strips, size[1]),
        shape=(*size, 3),
        dtype=np.uint8,
        tile=(TILE_PX, TILE_PX),
        photometric="rgb",
        compression="jpeg",
        compressionargs={"level": 88},
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
        subfiletype=int(reduced),
    )


def tiles(strips: Iterator[np.ndarray], width: int) -> Iterator[np.ndarray]:
    """Strips of any height as rows of tiles; the last ones are filled up with white."""
    held: list[np.ndarray] = []
    for strip in strips:
        held.append(strip)
        while sum(map(len, held)) >= TILE_PX:
            rows = np.concatenate(held) if len(held) > 1 else held[0]
            yield from tile_row(rows[:TILE_PX], width)
            held = [rows[TILE_PX:]]
    left = sum(map(len, held))
    if left:
        last = np.concatenate(held)
        yield from tile_row(
            np.pad(last, ((0, TILE_PX - left), (0, 0), (0, 0)), constant_values=255), width
        )


def tile_row(rows: np.ndarray, width: int) -> Iterator[np.ndarray]:
    for x in range(0, width, TILE_PX):
        part = rows[:, x : x + TILE_PX]
        yield np.pad(part, ((0, 0), (0, TILE_PX - part.shape[1]), (0, 0)), constant_values=255)


def truth_line(cell: PlacedCell) -> dict[str, str | list[int]]:
    half = cell.side_px0 // 2
    box = [cell.x_px0 - half, cell.y_px0 - half, cell.x_px0 + half, cell.y_px0 + half]
    image = {"image": cell.image} if cell.image else {}
    return {"label": cell.label, "centre": [cell.x_px0, cell.y_px0], "box": box, **image}
