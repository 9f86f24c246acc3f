from .errors import CytostreamError, SlideError, StoreError
from .failure import Failure
from .slide import Level, Slide
from .smear import Smear
from .tiles import Tile, TileSpec, plan_tiles, step_px0

__all__ = [
    "CytostreamError", "Failure", "Level", "Slide", "SlideError", "Smear", "StoreError", "Tile", "TileSpec",
    "plan_tiles", "step_px0",
]
