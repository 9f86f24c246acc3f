from .folder import FolderIntake
from .http import Served, check_address, intake_router, intake_token, open_intake

__all__ = [
    "FolderIntake",
    "Served",
    "check_address",
    "intake_router",
    "intake_token",
    "open_intake",
]
