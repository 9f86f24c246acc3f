from .atlas import Atlas
from .crops import Crops
from .explanations import JudgedCell, ReasonError, Reasons
from .outlines import Red, Ring, Shapes
from .slide_check import CheckedSlide, FileStanding, SlideCheck
from .slide_tiles import Viewer

__all__ = [
    "Atlas",
    "CheckedSlide",
    "Crops",
    "FileStanding",
    "JudgedCell",
    "ReasonError",
    "Reasons",
    "Red",
    "Ring",
    "Shapes",
    "SlideCheck",
    "Viewer",
]
