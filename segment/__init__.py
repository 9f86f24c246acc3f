from .cells import Cell, cell_id, find_cells
from .crops import CROP_PX, CROP_UM
from .stain import Stain, fit_stain

__all__ = ["CROP_PX", "CROP_UM", "Cell", "Stain", "cell_id", "find_cells", "fit_stain"]
