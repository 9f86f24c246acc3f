from .black_fill import BLACK
from .reader import READ_MPP, box_mean, openslide_version, read_grid, step_px0, whole_step_px0

__all__ = [
    "BLACK",
    "READ_MPP",
    "box_mean",
    "openslide_version",
    "read_grid",
    "step_px0",
    "whole_step_px0",
]
