from .deep_zoom import VIEW_PX, beside, view_levels, view_tile
from .errors import CytostreamError, SlideError, StoreError
from .failure import Failure
from .folder_watch import Arrived, Found, Habits, Watcher, fits, markers, slides_in
from .readers import READ_MPP, openslide_version, step_px0
from .slide import Level, Slide, open_slide
from .smear_map import (
    Ground,
    SmearMap,
    battlement,
    look_closer,
    sample_fields,
    thumbnail,
    whole_field,
)
from .survey import Smear, Survey, stain_samples, survey_slide
from .tiles import Tile, TileSpec, plan_tiles, read_tile
from .workers import Scheduler, Workers, open_workers

__all__ = [
    "Arrived",
    "CytostreamError",
    "Failure",
    "Found",
    "Ground",
    "Habits",
    "Level",
    "READ_MPP",
    "Scheduler",
    "Slide",
    "SlideError",
    "Smear",
    "SmearMap",
    "StoreError",
    "Survey",
    "Tile",
    "TileSpec",
    "VIEW_PX",
    "Watcher",
    "Workers",
    "battlement",
    "beside",
    "fits",
    "look_closer",
    "markers",
    "open_slide",
    "open_workers",
    "openslide_version",
    "plan_tiles",
    "read_tile",
    "sample_fields",
    "slides_in",
    "stain_samples",
    "step_px0",
    "survey_slide",
    "thumbnail",
    "view_levels",
    "view_tile",
    "whole_field",
]
