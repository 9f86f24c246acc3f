from .pipeline import Lab, Report
from .red_cells import BOXES, LABELS
from .worker import Ending, report_of, work

__all__ = ["BOXES", "Ending", "LABELS", "Lab", "Report", "report_of", "work"]
