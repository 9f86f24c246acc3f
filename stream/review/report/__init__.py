from .formats import FORMS
from .image_folder import folder_of
from .report import ReportError, report_of

__all__ = ["FORMS", "ReportError", "folder_of", "report_of"]
