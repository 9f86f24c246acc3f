from .crops import Crops
from .explanations import ReasonError, Reasons
from .outlines import Red, Shapes
from .slide_tiles import Viewer, exists

__all__ = ["Crops", "ReasonError", "Reasons", "Red", "Shapes", "Viewer", "exists"]
