from .folder import FolderIntake
from .http import Served, intake_router, intake_token, open_intake

__all__ = [
    "FolderIntake",
    "Served",
    "intake_router",
    "intake_token",
    "open_intake",
]
