"""`cytostream simulate`: smears of generated or real cells, to try things on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.progress import Progress

from classify import SHIPPED, CropFolder, DataError, load_model, on_white, read_crop, read_sheet
from ingest.synthetic import DENSE_REDS, LOOKS, SPARSE_REDS, Layer, Look, Synthetic, write_synthetic
from segment import CROP_PX, CROP_UM
from stream.cli.console import screen

GENERATED_MPP = 0.25
# white cells of a healthy adult, per cent: about the middles of the reference ranges
NORMAL_BLOOD = {"neutrophil": 60, "lymphocyte": 30, "monocyte": 6, "eosinophil": 3, "basophil": 1}
RED_RADIUS_UM = 4.0
FEATHER_UM = 0.8
GLASS_PERCENTILE = 90  # of the brightness of a crop's pixels: above it lies glass


def simulate(
    out: Annotated[
        Path,
        typer.Argument(help="Pyramidal TIFF to write; the truth goes beside it, as .truth.jsonl."),
    ],
    width_px: Annotated[int, typer.Option(min=512)] = 8192,
    height_px: Annotated[int, typer.Option(min=512)] = 8192,
    mpp: Annotated[
        float | None,
        typer.Option(min=0.05, max=1.0, help="um per pixel: 0.25, or that of real cells."),
    ] = None,
    stain: Annotated[
        str, typer.Option(help=f"Of generated cells: {', '.join(LOOKS)}.")
    ] = "may-gruenwald",
    whites_per_mm2: Annotated[float, typer.Option(min=0, help="Of generated cells.")] = 60.0,
    cells: Annotated[
        list[Path] | None,
        typer.Option(help="Real cells, 36 um wide, as FOLDER/CLASS/image; may be repeated."),
    ] = None,
    per_100: Annotated[
        list[str] | None,
        typer.Option(
            help="With --cells, CLASS=NUMBER of 100 white cells, as blast=5; may be repeated. "
            "The others are as in normal blood."
        ),
    ] = None,
    whites: Annotated[int, typer.Option(min=1, help="With --cells, how many white cells.")] = 200,
    reds: Annotated[
        float, typer.Option(min=0, max=3, help="Red cells, as a multiple of the usual number.")
    ] = 1.0,
    scratches: Annotated[int, typer.Option(min=0)] = 0,
    blurred: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the slide, at its right, that is out of focus."),
    ] = 0.0,
    seed: int = 0,
) -> None:
    """Make a smear of any size from generated cells, thin at its left and thick at its right, with
    the truth beside it. With --cells, real cells lie in it with their own surroundings.

    Example: cytostream simulate big.tiff --width-px 60000 --height-px 60000 --scratches 3

    Example: cytostream simulate slide.tiff --cells cells/ --per-100 blast=5
    """
    if stain not in LOOKS:
        raise DataError(f"no stain {stain!r}", f"one of {', '.join(LOOKS)}")
    if per_100 and not cells:
        raise DataError("--per-100 needs --cells", "name a folder of cells as FOLDER/CLASS/image")
    if cells:
        scale = mpp or CROP_UM / CROP_PX
        chosen = chosen_images(cells, shares_per_100(per_100 or []), whites, seed)
        look, layers = real_layers(chosen, scale)
    else:
        scale = mpp or GENERATED_MPP
        look = LOOKS[stain]
        layers = white_layers(scale)
    smear = Synthetic(
        width_px,
        height_px,
        scale,
        layers,
        look,
        whites_per_mm2,
        thin=SPARSE_REDS * reds,
        thick=DENSE_REDS * reds,
        scratches=scratches,
        blurred=blurred,
        seed=seed,
        each_once=bool(cells),
    )
    count = write_smear(out, smear)
    screen.print(f"{out}: {count} white cells and platelets; where they are: {out}.truth.jsonl")


def write_smear(out: Path, smear: Synthetic) -> int:
    """Writes a smear with its truth, and says how many cells it has."""
    with Progress(console=screen) as bars:
        task = bars.add_task("writing")

        def show(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        return write_synthetic(out, smear, show)


def white_layers(mpp: float) -> list[Layer]:
    """The shipped model's generated cells, cut out as a soft disc, as what they let through at
    `mpp`.
    """
    card = load_model(SHIPPED).card
    classes = card.counted
    px = round(card.window_um / mpp)
    y, x = (np.mgrid[:px, :px] + 0.5 - px / 2) / (px / 2)
    alpha = (1 / (1 + np.exp((np.hypot(x, y) - 0.72) * 22)))[..., None].astype(np.float32)
    made = []
    for label, cells in zip(classes, read_sheet(len(classes) + 1), strict=False):
        for cell in on_white(cells):
            rgb = np.asarray(
                Image.fromarray(cell).resize((px, px), Image.Resampling.BICUBIC), np.float32
            )
            made.append(Layer(1 - alpha * (1 - rgb / 255), label))
    return made


def shares_per_100(given: Sequence[str]) -> dict[str, float]:
    """Cells of 100 by class, as `blast=5` states them.

    Raises:
        DataError: one is not CLASS=NUMBER, or they are more than 100.
    """
    shares = {}
    for text in given:
        name, _, number = text.partition("=")
        try:
            shares[name] = float(number)
        except ValueError as error:
            raise DataError(f"--per-100 {text}: no number", "write CLASS=NUMBER") from error
        if not name or not 0 <= shares[name] <= 100:
            raise DataError(f"--per-100 {text}: 0 to 100 are possible", "write CLASS=NUMBER")
    if sum(shares.values()) > 100:
        raise DataError(f"--per-100: {sum(shares.values()):g} of 100 cells", "give 100 or fewer")
    return shares


def cell_counts(shares: Mapping[str, float], known: Sequence[str], whites: int) -> Counter[str]:
    """How many cells of each class make up `whites` cells: the given shares of 100, the rest as in
    normal blood, or evenly of all `known` classes where none is of normal blood; rounded so that
    they add up.

    Raises:
        DataError: a class is not among the known.
    """
    if unknown := set(shares) - set(known):
        names = ", ".join(known) or "none"
        raise DataError(f"no cells of class {', '.join(sorted(unknown))}", f"there are: {names}")
    others = [name for name in known if name not in shares]
    weights = {name: NORMAL_BLOOD[name] for name in others if name in NORMAL_BLOOD}
    weights = weights or dict.fromkeys(others, 1)
    left = 100 - sum(shares.values())
    if left and not weights:
        raise DataError(f"no class for the other {left:g} of 100 cells", "give more of --per-100")
    whole = sum(weights.values())
    parts = {**shares, **{name: left * weight / whole for name, weight in weights.items()}}
    exact = {name: part * whites / 100 for name, part in parts.items()}
    counts = Counter({name: int(count) for name, count in exact.items()})
    for name in sorted(exact, key=lambda name: counts[name] - exact[name]):
        if counts.total() == whites:
            break
        counts[name] += 1
    return counts


def chosen_images(
    folders: Sequence[Path], shares: Mapping[str, float], whites: int, seed: int
) -> dict[Path, tuple[str, int]]:
    """The class of each image that the smear is made of, and how often it lies there: once each
    while there are enough.

    Raises:
        DataError: there is no image, or a class without one.
    """
    by_class: dict[str, list[Path]] = {}
    for folder in folders:
        for path in CropFolder(folder, CROP_PX).paths:
            by_class.setdefault(path.parent.name, []).append(path)
    rng = np.random.default_rng(seed)
    chosen = {}
    for name, count in cell_counts(shares, sorted(by_class), whites).items():
        paths = by_class[name]
        order = rng.permutation(len(paths))
        for place in range(min(count, len(paths))):
            times = len(range(place, count, len(paths)))
            chosen[paths[order[place]]] = name, times
    return chosen


def real_layers(chosen: Mapping[Path, tuple[str, int]], mpp: float) -> tuple[Look, list[Layer]]:
    """A look with the glass of these images, and a layer each time that one lies on the smear: a
    disc of it, as wide as the image, at `mpp`.

    Raises:
        DataError: an image cannot be read.
    """
    px = round(CROP_UM / mpp)
    crops = {path: image_of(path, px) for path in chosen}
    brightest = [np.percentile(crop, GLASS_PERCENTILE, axis=(0, 1)) for crop in crops.values()]
    red, green, blue = (round(float(value)) for value in np.median(brightest, axis=0))
    y, x = np.mgrid[:px, :px] + 0.5 - px / 2
    inside_um = CROP_UM / 2 - np.hypot(x, y) * mpp
    cover = np.clip(inside_um / FEATHER_UM, 0, 1)[..., None].astype(np.float32)
    apart_um = CROP_UM / 2 + RED_RADIUS_UM
    glass = np.array([red, green, blue], np.float32)
    layers = [
        Layer(crops[path].astype(np.float32) / glass, name, cover, apart_um, str(path))
        for path, (name, times) in chosen.items()
        for _ in range(times)
    ]
    return Look((red, green, blue), (1.0, 1.0, 1.0)), layers


def image_of(path: Path, px: int) -> np.ndarray:
    try:
        return read_crop(path, px)
    except ValueError as error:
        raise DataError(f"{path}: {error}", "remove it, or replace it") from error
