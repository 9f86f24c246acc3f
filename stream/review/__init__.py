from .alert_list import AlertStanding, list_alerts
from .audit_check import check_store
from .audit_trail import REVIEWS_FILE, Trail
from .custody import custody_folder
from .signed_counts import signed_slides
from .slides import SlideLibrary
from .worklist import WorklistView

__all__ = [
    "AlertStanding",
    "REVIEWS_FILE",
    "SlideLibrary",
    "Trail",
    "WorklistView",
    "check_store",
    "custody_folder",
    "list_alerts",
    "signed_slides",
]
