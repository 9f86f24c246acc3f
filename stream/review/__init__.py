from .alert_list import AlertStanding, list_alerts
from .audit_check import Audit, check_store
from .audit_trail import REVIEWS_FILE, Trail, TrailEntry
from .custody import custody_folder
from .differential import DifferentialLine
from .review_state import Standing, fold
from .signed_counts import signed_slides
from .slides import FINISHED, SlideLibrary, SlideView
from .store_lessons import reviewed_cells, teach_from_store
from .worklist import WorklistView

__all__ = [
    "AlertStanding",
    "DifferentialLine",
    "Audit",
    "FINISHED",
    "REVIEWS_FILE",
    "SlideLibrary",
    "SlideView",
    "Standing",
    "Trail",
    "TrailEntry",
    "WorklistView",
    "check_store",
    "custody_folder",
    "fold",
    "list_alerts",
    "reviewed_cells",
    "signed_slides",
    "teach_from_store",
]
