from .reader import READ_MPP, box_mean, openslide_version, read_grid, step_px0, whole_step_px0

__all__ = ["READ_MPP", "box_mean", "openslide_version", "read_grid", "step_px0", "whole_step_px0"]
