"""Image folders of labelled crops."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field

from .errors import DataError

SUFFIXES = {".webp", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}
OTHER_CLASS = "other"


@dataclass(frozen=True, slots=True)
class LabelledCrops:
    """8-bit crops (n, px, px, 3), their class numbers, the class names, and what was left out and
    why.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    paths: tuple[Path, ...]
    skipped: dict[Path, str] = field(default_factory=dict)
    laboratories: np.ndarray | None = None
    attributes: np.ndarray | None = None

    def picked(self, chosen: np.ndarray) -> "LabelledCrops":
        """The crops of these row numbers, in the same classes."""
        return replace(
            self,
            images=self.images[chosen],
            labels=self.labels[chosen],
            paths=tuple(self.paths[i] for i in chosen),
            skipped={},
            laboratories=None if self.laboratories is None else self.laboratories[chosen],
            attributes=None if self.attributes is None else self.attributes[chosen],
        )


def image_paths(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)


class Source(BaseModel):
    """One folder of crops and how its labels are read: `labels` maps "CLASS" or "CLASS/FILE PREFIX"
    to a class or a parent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    laboratory: str = ""
    labels: dict[str, str] = {}
    held_out: int = Field(
        0, ge=0, description="one in so many is kept to validate and calibrate on; 0: none"
    )

    def paths(self, held_out: bool = False) -> list[Path]:
        """Images to train on, or those that are kept from it."""
        found = image_paths(self.folder)
        if not self.held_out:
            return [] if held_out else found
        return [path for i, path in enumerate(found) if (i % self.held_out == 0) == held_out]

    def label_of(self, path: Path) -> str | None:
        """The label of an image of this folder, or None where the map leaves it out."""
        name = path.relative_to(self.folder).as_posix()
        found = [key for key in self.labels if name.startswith(key)]
        return (
            self.labels[max(found, key=len)]
            if found
            else (None if self.labels else name.split("/")[0])
        )


def read_crop(path: Path, px: int, side_px: float | None = None) -> np.ndarray:
    """One image as 8-bit RGB (px, px, 3): all of it, or the square of `side_px` about its middle,
    its edge repeated where it is smaller.

    Raises:
        ValueError: not an image, or not 8 bits a channel.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"{image.mode} pixels: 8-bit images are wanted")
            rgb = image.convert("RGB")
        if side_px is not None:
            return _central(np.asarray(rgb), px, side_px)
        return np.asarray(
            rgb if rgb.size == (px, px) else rgb.resize((px, px), Image.Resampling.BOX)
        )
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise ValueError(f"unreadable: {error}") from error


def _central(image: np.ndarray, px: int, side_px: float) -> np.ndarray:
    """The square (px, px, 3) of `side_px` about the middle of an image (h, w, 3)."""
    around = max(0, math.ceil((side_px - min(image.shape[:2])) / 2))
    padded = np.pad(image, ((around, around), (around, around), (0, 0)), mode="edge")
    left, top = ((n - side_px) / 2 for n in padded.shape[1::-1])
    box = (left, top, left + side_px, top + side_px)
    return np.asarray(Image.fromarray(padded).resize((px, px), Image.Resampling.BILINEAR, box))


def load_crops(folder: Path, px: int = 128, classes: tuple[str, ...] = ()) -> LabelledCrops:
    """Read `folder/CLASS/*`; unreadable images are counted, not fatal.

    Raises:
        DataError: no folder, fewer than two classes, or a class without a readable image.
    """
    names = (
        classes or tuple(sorted(d.name for d in Path(folder).iterdir() if d.is_dir()))
        if folder.is_dir()
        else ()
    )
    if len(names) < 2:
        raise DataError(
            f"{folder}: two or more class folders are wanted, found {len(names)}",
            "lay it out as FOLDER/CLASS/image",
        )
    images = []
    labels = []
    paths = []
    skipped = {}
    for number, name in enumerate(names):
        for path in image_paths(folder / name):
            try:
                images.append(read_crop(path, px))
            except ValueError as error:
                skipped[path] = str(error)
            else:
                labels.append(number)
                paths.append(path)
    missing = [name for i, name in enumerate(names) if i not in set(labels)]
    if missing and (not classes or not images):
        why = f"; {next(iter(skipped))}: {next(iter(skipped.values()))}" if skipped else ""
        raise DataError(
            f"{folder}: no readable image of {', '.join(missing)}{why}",
            "remove the class folder or add images",
        )
    return LabelledCrops(np.stack(images), np.array(labels), names, tuple(paths), skipped)


def balanced_batches(
    labels: np.ndarray, classes: int, batch: int, seed: int, steps: range, around: int | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(image numbers, class numbers) of each step, every class equally often; class `classes - 1`
    without images is `other`.

    Each step draws from its own seed, so that a resumed run sees what an unbroken one would have
    seen.
    """
    members = [np.flatnonzero(labels == c) for c in range(classes)]
    around = classes - 1 if around is None else around
    everything = np.arange(len(labels))
    for step in steps:
        rng = np.random.default_rng((seed, step))
        y = rng.permutation(np.arange(batch) + rng.integers(classes)) % classes
        pools = [
            members[c] if len(members[c]) and (c < around or rng.random() < 0.5) else everything
            for c in y
        ]
        yield np.array([rng.choice(p) for p in pools]), y


class CropFolder:
    """All images under a folder, read one by one as (path, crop (px, px, 3)); the unreadable are
    counted in `skipped`. With `side_px` a crop is that square about the middle of its image.

    Raises:
        DataError: there is no image.
    """

    def __init__(self, folder: Path, px: int, side_px: float | None = None):
        self.side_px = side_px
        self.px = px
        self.paths = image_paths(folder)
        self.skipped: dict[Path, str] = {}
        if not self.paths:
            raise DataError(
                f"{folder}: no image here", f"images end in {', '.join(sorted(SUFFIXES))}"
            )

    def __iter__(self) -> Iterator[tuple[Path, np.ndarray]]:
        for path in self.paths:
            try:
                yield path, read_crop(path, self.px, self.side_px)
            except ValueError as error:
                self.skipped[path] = str(error)
