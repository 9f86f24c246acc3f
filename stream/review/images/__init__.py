from .atlas import CREDIT_FILE, Atlas
from .crops import Crops, encode
from .explanations import JudgedCell, ReasonError, Reasons
from .outlines import Red, Ring, Shapes
from .slide_check import CheckedSlide, FileStanding, SlideCheck
from .slide_tiles import Viewer

__all__ = [
    "CREDIT_FILE",
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
    "encode",
]
