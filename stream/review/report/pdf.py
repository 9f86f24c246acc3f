"""The report on paper: A4, the count with its ranges, who signed and when, and the cells that
matter.
"""

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
from stream.review.differential import DifferentialLine

from .letters import check_letters, letters_of
from .report import Notable, ReportError, SlideReport

FONT = "Roboto"

_FURTHER = "further"
CELL_MM = 26.0
GAP_MM = 4.0
_COLUMNS = 6
NOTE = "Computed by a research tool, not a medical device. Ranges are those of the configuration."


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

    def __init__(self, foot: str, fonts: Sequence[Path] = ()):
        super().__init__(format="A4")
        self._foot = foot
        self.texts: list[str] = []
        self.add_font(FONT, "", font_folder() / "Roboto-Regular.ttf")
        self.add_font(FONT, "B", font_folder() / "Roboto-Bold.ttf")
        for number, path in enumerate(fonts):
            self.add_font(f"{_FURTHER}{number}", "", path)
        self.set_fallback_fonts([f"{_FURTHER}{n}" for n in range(len(fonts))], exact_match=False)
        self.set_margins(16, 14)
        self.set_auto_page_break(True, 18)
        self.add_page()

    def normalize_text(self, text: str) -> str:
        """Letters composed with their accents, as the fonts have them."""
        composed = unicodedata.normalize("NFC", super().normalize_text(text))
        self.texts.append(composed)
        return composed

    def footer(self) -> None:
        self.set_y(-13)
        self.set_font(FONT, size=7.5)
        self.set_text_color(90)
        self.cell(0, 5, f"{self._foot}    page {self.page_no()} of {{nb}}", align="C")
        self.set_text_color(0)

    def line_of(self, text: str, size: float = 9, style: str = "", height: float = 5) -> None:
        self.set_font(FONT, style, size)
        self.multi_cell(0, height, text, new_x="LMARGIN", new_y="NEXT")


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
    glyphs = printable_letters(report.fonts)
    foot = f"{report.name}   slide {report.slide_id}   version {report.version}   {report.status}"
    sheet = Sheet(foot, report.fonts)
    try:
        sheet.set_title(f"Differential count {report.name}")
        sheet.set_lang("en")
        _head(sheet, report)
        _table(sheet, report)
        _red_cells(sheet, report)
        _words(sheet, report)
        titles = {c.name: c.title for c in report.scheme.classes}
        _cells(sheet, report.notable, picture, titles)
        check_letters([foot, *sheet.texts], glyphs)
        yield sheet
    finally:
        for font in sheet.fonts.values():
            if isinstance(font, TTFFont):
                font.close()


def _head(sheet: Sheet, report: SlideReport) -> None:
    if report.laboratory:
        sheet.line_of(report.laboratory, 10, "B")
    sheet.line_of("Differential count of a blood smear", 16, "B", 9)
    if said := "   ".join(f"{title}: {text}" for title, text in report.specimen_lines):
        sheet.line_of(said, 10, "B")
    sheet.line_of(f"Slide {report.name}")
    if signed := report.signature:
        when = f"{signed.at:%Y-%m-%d %H:%M %Z}"
        sheet.line_of(
            f"{report.status.capitalize()}, version {report.version}. Signed by {signed.by} at "
            f"{when}",
            9,
            "B",
        )
    else:
        sheet.line_of(f"PRELIMINARY, version {report.version}: not signed", 9, "B")
    scanned = f"read {report.scanned:%Y-%m-%d %H:%M %Z}, " if report.scanned else ""
    model = report.facts.get("model_id", "unknown")
    sheet.line_of(
        f"{len(report.cells)} cells, {report.white} of them white; {scanned}model {model}"
    )
    for sentence in report.remarks:
        sheet.line_of(sentence)
    sheet.ln(2)


def _table(sheet: Sheet, report: SlideReport) -> None:
    sheet.set_font(FONT, size=9)
    head = FontFace(emphasis="BOLD", fill_color=(236, 239, 241))
    align = ("LEFT", *["RIGHT"] * 5, "LEFT")
    with sheet.table(
        col_widths=(46, 18, 18, 30, 24, 26, 16),
        text_align=align,
        headings_style=head,
        line_height=5.6,
    ) as table:
        table.row(("Class", "Count", "%", "95 % interval", "per 100 WBC", "Reference", ""))
        for line in report.shown_lines:
            table.row(_texts(line), style=FontFace(emphasis="BOLD") if line.flag else None)
    sheet.ln(2)


def _red_cells(sheet: Sheet, report: SlideReport) -> None:
    """Sentences and the graded table; nothing where no field was measured."""
    sentences = report.red_sentences
    lines = report.red_lines
    if not sentences:
        return
    sheet.line_of("Red cells and platelets", 12, "B", 8)
    for sentence in sentences:
        sheet.line_of(sentence)
    if lines:
        sheet.set_font(FONT, size=9)
        head = FontFace(emphasis="BOLD", fill_color=(236, 239, 241))
        align = ("LEFT", *["RIGHT"] * 3, "LEFT")
        with sheet.table(
            col_widths=(60, 24, 24, 40, 30), text_align=align, headings_style=head, line_height=5.6
        ) as table:
            table.row(("Kind", "Count", "%", "95 % interval", "Grade (ICSH 2015)"))
            for line in lines:
                shares = f"{line.percent:.1f}", f"{line.low:.1f} to {line.high:.1f}"
                style = FontFace(emphasis="BOLD") if line.grade >= 2 else None
                table.row((line.title, str(line.count), *shares, line.grade_text), style=style)
    sheet.ln(2)


def _texts(line: DifferentialLine) -> tuple[str, ...]:
    interval = f"{line.interval[0]:.1f} to {line.interval[1]:.1f}" if line.interval else ""
    share = "" if line.percent is None else f"{line.percent:.1f}"
    per_100 = "" if line.per_100 is None else f"{line.per_100:.1f}"
    reference = "" if line.low is None else f"{line.low:g} to {line.high:g}"
    return line.title, str(line.count), share, interval, per_100, reference, line.flag


def _words(sheet: Sheet, report: SlideReport) -> None:
    if report.signature and report.signature.comment:
        sheet.line_of(f"Conclusion: {report.signature.comment}")
    for comment in report.comments:
        sheet.line_of(f"{comment.by}, {comment.at:%Y-%m-%d %H:%M}: {comment.text}")
    sheet.line_of(NOTE, 7.5)
    sheet.ln(2)


def _cells(
    sheet: Sheet,
    notable: list[Notable],
    picture: Callable[[Detection], bytes],
    titles: dict[str, str],
) -> None:
    if notable:
        sheet.line_of("Cells", 12, "B", 8)
    for first in range(0, len(notable), _COLUMNS):
        row = notable[first : first + _COLUMNS]
        if sheet.will_page_break(CELL_MM + 14):
            sheet.add_page()
        top = sheet.get_y()
        for column, one in enumerate(row):
            _one_cell(
                sheet,
                one,
                picture(one.cell),
                titles[one.label],
                sheet.l_margin + column * (CELL_MM + GAP_MM),
                top,
            )
        sheet.set_y(top + CELL_MM + 13)


def _one_cell(sheet: Sheet, one: Notable, image: bytes, title: str, x: float, y: float) -> None:
    sheet.image(
        io.BytesIO(image),
        x,
        y,
        CELL_MM,
        CELL_MM,
        alt_text=f"{title} at {one.cell.x_px0}, {one.cell.y_px0}",
    )
    sheet.set_xy(x, y + CELL_MM + 0.6)
    sheet.set_font(FONT, "B", 7)
    sheet.cell(CELL_MM, 3.2, title)
    sheet.set_xy(x, y + CELL_MM + 3.8)
    sheet.set_font(FONT, size=5.5)
    sheet.multi_cell(CELL_MM, 2.4, one.why[:110] or f"p {one.cell.sureness:.2f}", align="L")
