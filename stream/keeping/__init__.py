from .backup import BackupResult, back_up
from .patient import PatientSlide, export_patient, remove_patient, slides_of_patient
from .restore import RestoreResult, check_backup, restore
from .retention import Removal, apply_retention, due_removals

__all__ = [
    "BackupResult",
    "PatientSlide",
    "Removal",
    "RestoreResult",
    "apply_retention",
    "back_up",
    "check_backup",
    "due_removals",
    "export_patient",
    "remove_patient",
    "restore",
    "slides_of_patient",
]
