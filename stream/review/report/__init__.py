from .dicom import dicom_of
from .document import document_of
from .fhir import fhir_of, panel_of
from .formats import FORMS
from .image_folder import image_folder_of
from .letters import LettersError, check_letters
from .pdf import check_printable, printable_letters
from .red_cells import RedLine, red_lines, red_sentences
from .report import ReportError, SlideReport, report_of

__all__ = [
    "FORMS",
    "LettersError",
    "RedLine",
    "ReportError",
    "SlideReport",
    "check_letters",
    "check_printable",
    "dicom_of",
    "document_of",
    "fhir_of",
    "image_folder_of",
    "panel_of",
    "printable_letters",
    "red_lines",
    "red_sentences",
    "report_of",
]
