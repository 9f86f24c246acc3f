from .cluster import Workers, open_workers
from .errors import CytostreamError, SlideError, StoreError
from .failure import Failure
from .reader import READ_MPP, openslide_version, step_px0
from .slide import Level, Slide, open_slide
from .smear import Smear, stain_samples, survey
from .store import SlideStore
from .tiles import Tile, TileSpec, plan_tiles, read_tile
from .view import VIEW_PX, beside, view_levels, view_tile
from .watch import Arrived, Found, Habits, Watcher, slides_in

__all__ = [
    "READ_MPP", "VIEW_PX", "Arrived", "CytostreamError", "Failure", "Found", "Habits", "Level", "Slide", "SlideError",
    "SlideStore", "Smear", "StoreError", "Tile", "TileSpec", "Watcher", "Workers", "beside", "open_slide", "open_workers",
    "openslide_version", "plan_tiles", "read_tile", "slides_in", "stain_samples", "step_px0", "survey", "view_levels",
    "view_tile",
]
