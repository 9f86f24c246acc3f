from .audit_check import check_store
from .audit_trail import REVIEWS_FILE, Trail
from .custody import custody_folder
from .slides import Library
from .worklist import Board

__all__ = ["Board", "Library", "REVIEWS_FILE", "Trail", "check_store", "custody_folder"]
