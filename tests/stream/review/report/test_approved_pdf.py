"""Where each text, line and picture of the printed report lies: a page that is cut off, or whose
columns run into each other, is no report.
"""

import io

import numpy as np
from PIL import Image
from pypdf import PdfReader

from tests.approved import approved
from tests.stores import Filled


def layout(pdf):
    for number, page in enumerate(PdfReader(io.BytesIO(pdf)).pages, 1):
        yield f"page {number}: {page.mediabox.width:.0f} x {page.mediabox.height:.0f}"
        yield from drawn_on(page)


def drawn_on(page):
    """Each text with its place in mm, font, size and colour; each box, line and picture."""
    lines, colour, at = [], [], []

    def drawn(operator, words, matrix, _):
        if operator in (b"rg", b"g"):
            colour[:] = [f"{float(word):.2f}" for word in words]
        elif operator == b"m":
            at[:] = words
        elif operator == b"Do":
            place, size = mm(matrix[4], matrix[5]), mm(matrix[0], matrix[3])
            lines.append(f"picture at {place}, size {size}")
        elif operator == b"re":
            lines.append(f"box {mm(*words)} in {' '.join(colour)}")
        elif operator == b"l":
            lines.append(f"line {mm(*at, *words)}")

    def text(said, _, matrix, font, size):
        if said.strip():
            name = font["/BaseFont"].rpartition("+")[2] if font else ""
            place = mm(matrix[4], matrix[5])
            lines.append(f"{place}  {name} {size:g} in {' '.join(colour)}: {said.strip()}")

    page.extract_text(visitor_text=text, visitor_operand_before=drawn)
    return lines


def mm(*points):
    return " ".join(f"{float(point) / 72 * 25.4:.1f}" for point in points)


def test_where_everything_lies_on_paper(open_lab, tmp_path, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ada")
    Image.fromarray(np.full((20, 60, 3), 80, np.uint8)).save(tmp_path / "logo.png")
    made = Filled(tmp_path / "store")
    made.add(8, odd=7)
    made.add_reds({"normal": 12, "schistocyte": 1, "macrocyte": 7})
    head = {"laboratory": "Laboratory", "address": ("Street 1", "12345 Town")}
    head |= {"report_foot": "telephone 1", "logo": str(tmp_path / "logo.png")}
    lab = open_lab(made=made.done(), **head)
    lab.one.post(f"{lab.slide}/comments", {"text": "a remark", "saw": 0})
    pdf = lab.one.get(f"{lab.slide}/report.pdf").content
    approved(__file__, "layout", "\n".join(layout(pdf)))
