from .pipeline import RunContext
from .progress import SlideOutcome
from .red_cells import BOXES, RED_CELL_LABELS, RED_KIND_COLUMN, RedJudge
from .worker import GracefulStop, outcome_report, work

__all__ = [
    "BOXES",
    "GracefulStop",
    "RED_CELL_LABELS",
    "RunContext",
    "RED_KIND_COLUMN",
    "RedJudge",
    "SlideOutcome",
    "outcome_report",
    "work",
]
