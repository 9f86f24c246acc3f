"""A slide as facts: no open handle, so that it travels to workers and into events."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of the pyramid; `downsample` is level-0 px a pixel."""

    width_px: int
    height_px: int
    downsample: float


@dataclass(frozen=True, slots=True)
class Slide:
    """Facts of one whole-slide image or plain field of view.

    `slide_id` is a digest of the file's content: the same slide under another name is the same slide.
    `reader` says who reads it: "openslide" or "image".
    """

    slide_id: str
    path: Path
    width_px0: int
    height_px0: int
    mpp: float
    levels: tuple[Level, ...]
    vendor: str
    scanner: str
    reader: str

    def um_to_px0(self, um: float) -> float:
        return um / self.mpp
