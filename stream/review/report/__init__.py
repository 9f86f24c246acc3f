from .formats import FORMS
from .image_folder import image_folder_of
from .letters import LettersError, check_letters
from .pdf import check_printable, printable_letters
from .report import ReportError, SlideReport, report_of

__all__ = [
    "FORMS",
    "LettersError",
    "ReportError",
    "SlideReport",
    "check_letters",
    "check_printable",
    "image_folder_of",
    "printable_letters",
    "report_of",
]
