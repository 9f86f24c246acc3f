from .pipeline import Lab, Report
from .red_cells import BOXES, LABELS, RED_KIND_COLUMN, RedJudge
from .worker import Ending, report_of, work

__all__ = [
    "BOXES",
    "Ending",
    "LABELS",
    "Lab",
    "RED_KIND_COLUMN",
    "RedJudge",
    "Report",
    "report_of",
    "work",
]
