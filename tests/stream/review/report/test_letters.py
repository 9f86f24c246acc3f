"""The printed report shows every letter, or is refused before it is signed and names them."""

import io
import json
import unicodedata
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from pypdf import PdfReader
from typer.testing import CliRunner

from ingest import CytostreamError
from stream.cli.app import app as command
from stream.config import Config, ReviewSettings, load_config
from stream.review.report import LettersError, check_letters, printable_letters


@pytest.fixture
def font(tmp_path: Path) -> Path:
    """A font that has the two letters of a name, as squares."""
    pen = TTGlyphPen(None)
    for number, place in enumerate([(0, 0), (0, 700), (700, 700), (700, 0)]):
        (pen.lineTo if number else pen.moveTo)(place)
    pen.closePath()
    names = [".notdef", "first", "second"]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord("李"): "first", ord("雷"): "second"})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (800, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    path = tmp_path / "squares.ttf"
    builder.save(path)
    return path


@pytest.mark.parametrize("text", ["Łukasz №5 – déjà vu", "Привет, Ελλάδα", "Việt", "a\tb\nc", ""])
def test_letters_of_europe_are_there(text):
    for form in ("NFC", "NFD"):
        check_letters([unicodedata.normalize(form, text)], printable_letters([]))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("李 雷 ✓", "李 雷 ✓"),
        ("قسم", "ق س م"),
        ("דם", "ד ם"),
        ("🩸", "🩸"),
        ("रक्त", "र क"),
        ("\x1b", "U+001B"),
    ],
)
def test_others_are_named(text, named):
    with pytest.raises(LettersError) as refused:
        check_letters([text], printable_letters([]))
    assert named in refused.value.what and "review.fonts" in refused.value.hint


def test_a_script_from_right_to_left_is_refused_though_a_font_has_it():
    with pytest.raises(LettersError):
        check_letters(["دم"], frozenset(map(ord, "دم")))


def test_nothing_is_signed_that_cannot_be_printed(lab):
    lab.see_all()
    answer = lab.sign(comment="5 % blasts, 确认 ✓")
    assert answer.status_code == 400 and "确 认 ✓" in answer.json()["detail"]
    assert not lab.library.shelf(lab.made.slide.slide_id).standing.locked
    body = {"text": "检", "saw": lab.number()}
    assert lab.one.post(f"{lab.slide}/comments", body).status_code == 400
    assert lab.sign(comment="5 % blasts").status_code == 200
    assert lab.one.get(f"{lab.slide}/report.pdf").status_code == 200


def test_the_name_of_the_laboratory_counts(open_lab):
    lab = open_lab(laboratory="検査室")
    lab.see_all()
    answer = lab.sign()
    assert answer.status_code == 400 and "検 査 室" in answer.json()["detail"]
    assert lab.one.get(f"{lab.slide}/report.pdf").status_code == 400


def test_a_further_font_prints_them(open_lab, font):
    lab = open_lab(laboratory="李雷", fonts=(str(font),))
    lab.see_all()
    assert lab.sign(comment="雷").status_code == 200
    pdf = lab.one.get(f"{lab.slide}/report.pdf")
    assert pdf.status_code == 200 and b"Squares" in pdf.content
    assert "李雷" in PdfReader(io.BytesIO(pdf.content)).pages[0].extract_text()


def test_the_shell_leaves_that_form_out_and_writes_the_others(lab, tmp_path):
    config = tmp_path / "lab.toml"
    config.write_text('[review]\nlaboratory = "検査室"')
    words = ["export-results", "--store", str(lab.made.store), "--out", str(tmp_path / "out")]
    ended = CliRunner().invoke(
        command, [*words, "--config", str(config), "--form", "pdf", "--form", "csv"]
    )
    assert ended.exit_code == 1 and "検 査 室" in ended.output, ended.output
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".csv"]


def test_a_font_that_is_none_is_refused(tmp_path):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(f"[review]\nfonts = {json.dumps([str(tmp_path / 'absent.ttf')])}")
    with pytest.raises(CytostreamError, match="absent.ttf: no such file"):
        load_config(wrong)
    with pytest.raises(LettersError, match="no font"):
        printable_letters([wrong])
    assert Config(review=ReviewSettings(fonts=(str(wrong),))).review.fonts == (str(wrong),)
