"""The report in the laboratory's letterhead and in the language that it was signed in: page and
paper say the same.
"""

import io
import re

import pytest
from PIL import Image

from ingest import CytostreamError
from stream.config import ReviewSettings
from stream.review.report.letterhead import letterhead_of
from stream.review.texts import Texts
from stream.review.web.auth import local_name

pypdf = pytest.importorskip("pypdf", reason="the test extra is not installed")
GERMAN = {"headers": {"Accept-Language": "de"}}


def paper_of(lab, **options):
    return pypdf.PdfReader(io.BytesIO(lab.one.get(f"{lab.slide}/report.pdf", **options).content))


def plain(text):
    return re.sub(r"\s+", "", text)


def page_of(lab, **options):
    path = f"/slides/{lab.made.slide.slide_id}/report"
    html = lab.one.get(path, **options).text.partition("<article")[2]
    return re.findall(r">([^<>]+)<", html.partition("</article")[0])


@pytest.fixture
def lab(open_lab, tmp_path):
    logo = tmp_path / "logo.png"
    Image.new("RGB", (60, 20), "navy").save(logo)
    return open_lab(
        laboratory="Labor am See",
        address=["Seeweg 1", "1234 Ort"],
        logo=str(logo),
        report_foot="Leitung: Dr. A. Muster",
        paper="letter",
    )


@pytest.mark.parametrize("options", [{}, GERMAN])
def test_paper_says_what_the_page_says(lab, options):
    pages = paper_of(lab, **options).pages
    paper = plain("".join(page.extract_text() for page in pages))
    texts = [text for text in page_of(lab, **options) if text.strip()]
    missing = [text for text in texts if plain(text).replace("&#39;", "'")[:60] not in paper]
    assert missing == [] and len(texts) > 40


def test_the_letterhead_is_the_laboratorys(lab):
    first = paper_of(lab).pages[0]
    text = first.extract_text()
    assert text.index("Labor am See") < text.index("Seeweg 1") < text.index("Differential count")
    assert "Leitung: Dr. A. Muster" in text
    assert (round(first.mediabox.width), round(first.mediabox.height)) == (612, 792)
    assert len(first.images) >= 1
    head = lab.one.get(f"/slides/{lab.made.slide.slide_id}/report").text
    assert "data:image/png;base64," in head and "1234 Ort" in head


def test_a_logo_that_is_not_there_is_said(tmp_path):
    with pytest.raises(CytostreamError, match="no such logo"):
        letterhead_of(ReviewSettings(logo=str(tmp_path / "logo.png")))


def test_a_signed_report_stays_in_its_language(lab):
    lab.see_all()
    wish = {"saw": lab.number(), "name": local_name()}
    signed = lab.one.post(f"{lab.slide}/signatures", wish, **GERMAN)
    assert signed.status_code == 200
    assert "Endgültig, Version 1. Signiert von" in " ".join(page_of(lab))
    assert "Signiert von" in paper_of(lab).pages[0].extract_text()
    (review,) = [r for r in lab.library.trail.reviews() if r.data.action == "sign"]
    assert review.data.language == "de"


def test_numbers_have_the_decimal_sign_of_the_language(lab):
    german = Texts("de")
    shares = [text for text in page_of(lab, **GERMAN) if re.fullmatch(r"\d+,\d", text)]
    assert shares and german.number(0.5, 1) == "0,5"
    assert not [text for text in page_of(lab, **GERMAN) if re.fullmatch(r"\d+\.\d", text)]
