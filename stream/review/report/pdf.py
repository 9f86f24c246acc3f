"""The report on paper: the document that the page shows, in the laboratory's letterhead."""

import io
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from fpdf import FPDF
from fpdf.fonts import FontFace, TTFFont
from PIL import Image

from stream.review.detections import Detection

from .document import ReportDocument, ShownCell, TablePart, document_of
from .letters import check_letters, letters_of
from .report import ReportError, SlideReport

FONT = "Roboto"

_FURTHER = "further"
CELL_MM = 22.0
GAP_MM = 8.0
_COLUMNS = 6
LOGO_MM = 16.0
ROW_MM = 4.1
_SHADE = (236, 239, 241)
_COLUMN_MM = {7: (52, 16, 16, 28, 24, 24, 18), 5: (70, 20, 20, 34, 34), 2: (70, 108)}


def font_folder() -> Path:
    """Where the files of the font lie; its package is not loaded for that.

    Raises:
        ReportError: it is not installed.
    """
    package = find_spec("font_roboto")
    if package is None or not package.submodule_search_locations:
        raise ReportError("the font Roboto is not installed", "pip install font-roboto")
    return Path(package.submodule_search_locations[0]) / "files"


class Sheet(FPDF):
    """A page with the slide's id and the page number at its foot; letters of all European scripts,
    and those of further `fonts`.

    `texts` is all that was set on it.
    """

    def __init__(self, feet: Sequence[str], fonts: Sequence[Path] = (), paper: str = "A4"):
        """`feet` stand at the foot of each page; its number follows the last of them."""
        super().__init__(format=paper)
        self._feet = feet
        self.texts: list[str] = []
        self.add_font(FONT, "", font_folder() / "Roboto-Regular.ttf")
        self.add_font(FONT, "B", font_folder() / "Roboto-Bold.ttf")
        for number, path in enumerate(fonts):
            self.add_font(f"{_FURTHER}{number}", "", path)
        self.set_fallback_fonts([f"{_FURTHER}{n}" for n in range(len(fonts))], exact_match=False)
        self.set_margins(16, 14)
        self.set_auto_page_break(True, 8 + 4 * len(feet))
        self.add_page()

    def normalize_text(self, text: str) -> str:
        """Letters composed with their accents, as the fonts have them."""
        composed = unicodedata.normalize("NFC", super().normalize_text(text))
        self.texts.append(composed)
        return composed

    def footer(self) -> None:
        self.set_y(-7 - 4 * len(self._feet))
        self.set_font(FONT, size=7)
        self.set_text_color(90)
        for line in self._feet[:-1]:
            self.cell(0, 4, line, align="C", new_x="LMARGIN", new_y="NEXT")
        self.cell(0, 4, f"{self._feet[-1]} {self.page_no()} / {{nb}}", align="C")
        self.set_text_color(0)

    def line_of(self, text: str, size: float = 9, style: str = "", height: float = 5) -> None:
        self.set_font(FONT, style, size)
        self.multi_cell(0, height, text, align="L", new_x="LMARGIN", new_y="NEXT")


def pdf_of(report: SlideReport, picture: Callable[[Detection], bytes]) -> bytes:
    """The report as PDF; `picture` gives a cell's image file.

    Raises:
        LettersError: it holds letters that none of the fonts has.
    """
    with _laid_out(report, picture) as sheet:
        return bytes(sheet.output())


def check_printable(report: SlideReport) -> None:
    """That the report can be printed.

    Raises:
        LettersError: it holds letters that none of the fonts has.
    """
    blank = io.BytesIO()
    Image.new("L", (1, 1), 255).save(blank, "PNG")
    with _laid_out(report, lambda _: blank.getvalue()):
        return


def printable_letters(fonts: Sequence[Path]) -> frozenset[int]:
    """The code points that the report's own font and further ones have glyphs for.

    Raises:
        LettersError: one is no font.
    """
    own = font_folder() / "Roboto-Regular.ttf"
    return frozenset().union(*map(letters_of, [own, *fonts]))


@contextmanager
def _laid_out(report: SlideReport, picture: Callable[[Detection], bytes]) -> Iterator[Sheet]:
    document = document_of(report)
    glyphs = printable_letters(report.fonts)
    about = report.name, report.slide_id, document.page
    feet = [line for line in (report.letterhead.foot, "   ".join(about)) if line]
    sheet = Sheet(feet, report.fonts, report.letterhead.paper)
    try:
        sheet.set_title(f"{document.title} {report.name}")
        sheet.set_lang(document.language)
        _letterhead(sheet, report)
        _head(sheet, document)
        for part in document.parts:
            _table(sheet, part)
        _paragraphs(sheet, document.estimates, 8.5)
        _cells(sheet, document.cells_title, document.cells, picture)
        _paragraphs(sheet, (*document.remarks, *document.comments), 8)
        _paragraphs(sheet, document.method, 7)
        _cells(sheet, document.further_title, document.further, picture)
        check_letters([*feet, *sheet.texts], glyphs)
        yield sheet
    finally:
        for font in sheet.fonts.values():
            if isinstance(font, TTFFont):
                font.close()


def _letterhead(sheet: Sheet, report: SlideReport) -> None:
    """The laboratory's name and address, its logo at the right, and a line under them."""
    head = report.letterhead
    top = sheet.get_y()
    if report.laboratory:
        sheet.line_of(report.laboratory, 11, "B")
    for line in head.address:
        sheet.line_of(line, 8, height=3.8)
    if head.logo:
        box = sheet.w - sheet.r_margin - 3 * LOGO_MM, top, 3 * LOGO_MM, LOGO_MM
        sheet.image(head.logo, *box, keep_aspect_ratio=True, alt_text=report.laboratory or "logo")
        sheet.set_y(max(sheet.get_y(), top + LOGO_MM))
    if sheet.get_y() > top:
        sheet.ln(1)
        sheet.line(sheet.l_margin, sheet.get_y(), sheet.w - sheet.r_margin, sheet.get_y())
        sheet.ln(2)


def _head(sheet: Sheet, document: ReportDocument) -> None:
    """Whose slide it is, what was found, in words, and who signed."""
    sheet.line_of(document.title, 15, "B", 8)
    if said := "   ".join(f"{title}: {text}" for title, text in document.specimen):
        sheet.line_of(said, 10, "B")
    sheet.line_of(document.slide)
    sheet.line_of(document.status, 9, "B")
    sheet.ln(1)
    for sentence in document.findings:
        sheet.line_of(sentence, 10, "B")
    if document.conclusion:
        sheet.line_of(document.conclusion, 10)
    sheet.ln(1.5)


def _table(sheet: Sheet, part: TablePart) -> None:
    sheet.line_of(part.title, 9.5, "B", 5)
    sheet.set_font(FONT, size=8)
    columns = len(part.columns)
    with sheet.table(
        col_widths=_COLUMN_MM[columns],
        text_align=("LEFT", *["RIGHT"] * (columns - 2), "LEFT"),
        headings_style=FontFace(emphasis="BOLD", fill_color=_SHADE),
        line_height=ROW_MM,
        borders_layout="HORIZONTAL_LINES",
    ) as table:
        table.row(part.columns)
        for line in part.rows:
            table.row(line.texts, style=FontFace(emphasis="BOLD") if line.flag else None)
    sheet.ln(1)


def _paragraphs(sheet: Sheet, sentences: Sequence[str], size: float) -> None:
    for sentence in sentences:
        sheet.line_of(sentence, size, height=size / 2)
    if sentences:
        sheet.ln(1.5)


def _cells(
    sheet: Sheet, title: str, cells: Sequence[ShownCell], picture: Callable[[Detection], bytes]
) -> None:
    """Pictures in rows; the title stays with the first of them."""
    for first in range(0, len(cells), _COLUMNS):
        if sheet.will_page_break(CELL_MM + 15):
            sheet.add_page()
        if not first:
            sheet.line_of(title, 10, "B", 6)
        top = sheet.get_y()
        for column, one in enumerate(cells[first : first + _COLUMNS]):
            x = sheet.l_margin + column * (CELL_MM + GAP_MM)
            _one_cell(sheet, one, picture(one.notable.cell), x, top)
        sheet.set_y(top + CELL_MM + 10)


def _one_cell(sheet: Sheet, one: ShownCell, image: bytes, x: float, y: float) -> None:
    cell = one.notable.cell
    place = f"{one.title}: {cell.x_px0}, {cell.y_px0}"
    sheet.image(io.BytesIO(image), x, y, CELL_MM, CELL_MM, alt_text=place)
    sheet.set_xy(x, y + CELL_MM + 0.6)
    sheet.set_font(FONT, "B", 6.5)
    sheet.cell(CELL_MM, 3.2, one.title)
    sheet.set_xy(x, y + CELL_MM + 3.8)
    sheet.set_font(FONT, size=5.5)
    sheet.multi_cell(CELL_MM, 2.4, one.why[:110], align="L")
