from .formats import FORMS
from .image_folder import image_folder_of
from .report import ReportError, report_of

__all__ = ["FORMS", "ReportError", "image_folder_of", "report_of"]
