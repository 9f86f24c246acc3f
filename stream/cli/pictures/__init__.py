from .explanation_sheet import sheet_of
from .smear_map import draw

__all__ = ["draw", "sheet_of"]
