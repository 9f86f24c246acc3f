from .audit_check import check_store
from .audit_trail import REVIEWS_FILE, Trail
from .custody import custody_folder
from .slides import SlideLibrary
from .worklist import WorklistView

__all__ = ["WorklistView", "SlideLibrary", "REVIEWS_FILE", "Trail", "check_store", "custody_folder"]
