from .cells import Cell, cell_id, find_cells
from .stain import Stain, fit_stain

__all__ = ["Cell", "Stain", "cell_id", "find_cells", "fit_stain"]
