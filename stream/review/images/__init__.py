from .crops import Crops
from .explanations import ReasonError, Reasons
from .outlines import Red, Shapes
from .slide_check import CheckedSlide, SlideCheck
from .slide_tiles import Viewer

__all__ = [
    "CheckedSlide",
    "Crops",
    "ReasonError",
    "Reasons",
    "Red",
    "Shapes",
    "SlideCheck",
    "Viewer",
]
