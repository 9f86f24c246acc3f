from . import judge_timing, scaling
from .judge_timing import ABROAD, HOME, ODD, Cells, TimedEntry, read_cells
from .paper_procedure import Procedure

__all__ = [
    "ABROAD",
    "Cells",
    "TimedEntry",
    "HOME",
    "ODD",
    "Procedure",
    "judge_timing",
    "read_cells",
    "scaling",
]
