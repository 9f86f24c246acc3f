"""No text of page and report is outside the catalogue, and each has a German one."""

import ast
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import stream.review.web
from classify import SHIPPED, read_card
from classify.explain.morphology import phrase
from ingest import SmearMap, SmearZone
from stream.alerts.slide_rules import EXCESS_ADVICE, RANGE_ADVICE
from stream.config import ReviewSettings
from stream.events.failure_codes import FAILURE_TEXTS
from stream.identity import Claim, Identity, Order, is_sufficient, resolve
from stream.review.cell_classes import scheme_of
from stream.review.red_cells import RED_KINDS
from stream.review.texts import Texts, accepted_language

WEB = Path(stream.review.web.__file__).parent
TEMPLATES = sorted((WEB / "templates").glob("*.html"))
SCRIPTS = sorted((WEB / "static").glob("*.js"))
STRING = r'"((?:[^"\\\n]|\\.)*)"'
CALL = re.compile(r"(?<![\w.$])t\(" + STRING)
PLURAL = re.compile(r'(?<![\w.$])plural\([^"`\n]*?' + STRING + r",\s*" + STRING)
CODE = re.compile(r"<code>.*?</code>")
TEMPLATE_CALL = re.compile(r"""(?<![\w.])t\((?:"([^"]*)"|'([^']*)')""")
WORDS = re.compile(r"[A-Za-z]{2,}")
SPOKEN = ("title", "aria-label", "placeholder", "alt")
NAMES = {"cytostream", "Deutsch", "English", "Esc", "UTC"}
VALUE = re.compile(r"\$\{(?:[^{}]|\{[^{}]*\})*\}?")
# what looks like a text in a script and is none: keys, headers, selectors, CSS, classes of CSS
NO_TEXT = re.compile(
    r"Arrow\w+|Home|End|Page\w+|Escape|Enter|GET|POST|Content-Type|Retry-After|Request.*"
    r"|application/json|text/plain|[#.\[:][^ ].*|[a-z-]+( [a-z-]+)*|\d+px system-ui, sans-serif"
    r"|body\[.*|.*\[.*\].*|.*[,>] ?[#.:\w-]+|.*(button|input|select|textarea|form) ?.*"
    r"|\(.*: .*\)|(brightness|contrast|url)\(.*|\W*(px|mm|um|cytostream|or|oder)?\W*(px|mm)?\W*"
    r"|\W*u00b\d.*|\W*u2192|.*u2013 cytostream|[A-Z]|n per100"
)
CHILD = re.compile(r"(?:\}, |(?:title|alt|label\"|placeholder): )" + STRING)


def de():
    return Texts("de")


def in_catalogue(text):
    return any(text in part for part in de().catalogue.values())


class Plain(HTMLParser):
    """What a template says outside its calls of the catalogue."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_data(self, data):
        self.found.append(data)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in SPOKEN and value]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_say_nothing_outside_the_catalogue(path):
    text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", path.read_text(), flags=re.DOTALL)
    text = CODE.sub("", text)
    plain = Plain()
    plain.feed(text)
    said = [word for part in plain.found for word in WORDS.findall(part) if word not in NAMES]
    assert said == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_text_of_a_template_has_a_german_one(path):
    texts = [one or other for one, other in TEMPLATE_CALL.findall(path.read_text())]
    assert [text for text in texts if not in_catalogue(text)] == []


def script_texts(path):
    script = path.read_text()
    texts = CALL.findall(script) + [text for both in PLURAL.findall(script) for text in both]
    return [json.loads(f'"{text}"') for text in texts]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_text_of_a_script_has_a_german_one(path):
    assert [text for text in script_texts(path) if not in_catalogue(text)] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_say_nothing_outside_the_catalogue(path):
    lines = [line for line in path.read_text().splitlines() if not line.startswith("import ")]
    script = re.sub(r"(?<!:)//[^\n\"'`]*$|/\*\*.*?\*/", "", "\n".join(lines), flags=re.M | re.S)
    script = PLURAL.sub("plural(", CALL.sub("t(", script))
    found = re.findall(STRING + r"|`((?:[^`\\]|\\.)*)`", script)
    strings = [VALUE.sub("", text or made).strip() for text, made in found]
    said = [text for text in strings if " " in text or text[:1].isupper()]
    children = [text for text in CHILD.findall(script) if re.search("[A-Za-z]{2}", text)]
    words = de().catalogue["words"]
    assert [text for text in said if not NO_TEXT.fullmatch(text) and text not in words] == []
    assert children == []


REFUSALS = {"HTTPException", "DoorError", "DeskError", "ReasonError", "BusyError", "SignInError"}
NO_SENTENCE = {"absent", "wrong", "conflict", "locked", "early", "{}: {}"}  # kinds; a sum of two


def said_of(node):
    """The texts that an expression may be, with {} for each value; none of a name."""
    if isinstance(node, ast.IfExp):
        return [*said_of(node.body), *said_of(node.orelse)]
    if isinstance(node, ast.JoinedStr):
        return ["".join(p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)]
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return [node.value] if is_text else []


def refusals():
    files = [*WEB.rglob("*.py"), *(WEB.parent / name for name in ("decisions.py", "images"))]
    for path in (
        each for file in files for each in (file.rglob("*.py") if file.is_dir() else [file])
    ):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFUSALS:
                yield from (text for part in node.args for text in said_of(part))


def test_every_refusal_of_the_server_is_said_in_german():
    samples = {text.replace("{}", "17 x") for text in refusals() if text not in NO_SENTENCE}
    assert len(samples) > 60
    german = de()
    assert sorted(said for said in samples if german.sentence(said) == said) == []


def test_what_is_said_of_every_failure_is_german():
    german = de()
    said = [text for fixed in FAILURE_TEXTS.values() for text in (fixed.what, fixed.hint)]
    assert [text for text in said if german.sentence(text) == text] == []


@pytest.mark.parametrize("zone", SmearZone)
def test_why_a_slide_is_not_fit_is_german(zone):
    ground = np.full((20, 20), zone, np.uint8)
    pale = SmearMap(ground, np.zeros((20, 20)), 10.0, 0.01)
    assert pale.problems()
    assert [text for text in pale.problems() if de().sentence(text) == text] == []


@pytest.mark.parametrize(
    ("on_slide", "orders", "said"),
    [
        (
            {"barcode": "C1", "accession": "S2"},
            [{"accession": "S1", "barcode": "C1"}, {"accession": "S2"}],
            "Auftragsnummer und Barcode gehören zu verschiedenen Anforderungen",
        ),
        (
            {"accession": "S1"},
            [{"accession": "S1", "order": "O1"}, {"accession": "S1", "order": "O2"}],
            "2 Anforderungen passen",
        ),
        (
            {"accession": "S1", "patient_name": "Ito, Anna"},
            [{"accession": "S1", "patient_name": "Oja, Ben"}],
            "Patientenname widersprüchlich: Ito, Anna laut Etikett, Oja, Ben laut Arbeitsliste",
        ),
    ],
)
def test_what_keeps_an_identity_from_being_settled_is_german(on_slide, orders, said):
    known = [Order(Identity(**order)) for order in orders]
    found = resolve([Claim("slide", Identity(**on_slide))], known)
    assert [de().sentence(problem) for problem in found.problems] == [said]
    assert de().sentence(is_sufficient(found, "none")) == f"die Zuordnung ist nicht geklärt: {said}"


def test_a_german_text_names_the_same_values():
    for part in de().catalogue.values():
        for text, german in part.items():
            assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", german)), text


def test_every_class_has_a_german_name():
    scheme = scheme_of([*read_card(SHIPPED).classes, "neutrophil", "ig"], ReviewSettings())
    titles = [c.title for c in scheme.classes] + [total.of.title for total in scheme.totals]
    titles += [title for title, _ in RED_KINDS.values()]
    assert [title for title in titles if not in_catalogue(title)] == []
    assert de()("Band neutrophil") == "Stabkerniger Neutrophiler"
    assert de()("Schistocytes") == "Fragmentozyten" and de()("Not a cell") == "Kein Zellbild"


SENTENCES = {
    "9 of 120 white cells (7.5 %) are called blast, where 0.1 are expected: so many or more are on "
    "1 in 1,000,000,000 or fewer normal slides": "9 von 120 Leukozyten (7,5 %) als Blasten "
    "zugeordnet, erwartet 0,1: so viele oder mehr auf höchstens 1 von 1.000.000.000 normalen "
    "Präparaten",
    "blast, probability 0.93": "Blast, Wahrscheinlichkeit 0,93",
    "excess band-neutrophil": "Häufung: stabkernige Neutrophile",
    "Band neutrophil before, renamed by blast": "vorher Stabkerniger Neutrophiler, umgeordnet von "
    "blast",
    "barcode is C1 by slide and name and intake, C2 by name and person": "Barcode widersprüchlich: "
    "C1 laut Etikett, Dateiname und Annahme, C2 laut Dateiname und Person",
    "High: Band neutrophil 12.5 % (0 to 8), Immature granulocytes, all 11.0 % (0 to 1).": "Erhöht: "
    "Stabkerniger Neutrophiler 12,5 % (0 bis 8), Unreife Granulozyten, gesamt 11,0 % (0 bis 1).",
    "3 of 40 cells were verified by ada, done.": "3 von 40 Zellen wurden geprüft von ada, done.",
    "Amended by open: done.": "Berichtigt von open: done.",
    "Blast: 2 before, 1 now.": "Blast: vorher 2, jetzt 1.",
    "2.0 erythroblast+blast per 100 white cells, more than 1": "2,0 Erythroblasten+Blasten pro 100 "
    "Leukozyten, mehr als 1",
    "pink granules, segmented nucleus: speak for segmented neutrophil; against eosinophil: small "
    "granules": "rosa Granula, segmentierter Kern – passt zu: Segmentkerniger Neutrophiler; feine "
    "Granula – passt nicht zu: Eosinophiler Granulozyt",
    "23.1 % schistocytes (128 of 554 red cells), 1 % or more: think of a thrombotic "
    "microangiopathy": "23,1 % Fragmentozyten (128 von 554 Erythrozyten), 1 % oder mehr: an eine "
    "thrombotische Mikroangiopathie denken",
    "alert: nearest to basophil (p 0.94), which explains it as well as it explains normal cells of "
    "it; then promyelocyte (p 0.04); 0.78 in 1,000 normal cells are as anomalous": "Warnhinweis: "
    "am nächsten: Basophiler Granulozyt (p 0,94), passt so gut wie zu normalen Zellen dieser "
    "Klasse; dann Promyelozyt (p 0,04); 0,78 von 1.000 normalen Zellen sind ebenso auffällig",
    "a sentence that nobody knows": "a sentence that nobody knows",
}


@pytest.mark.parametrize("said", SENTENCES)
def test_sentences_that_were_made_in_english_are_said_in_german(said):
    assert de().sentence(said) == SENTENCES[said]
    assert Texts("en").sentence(said) == said.replace("band-n", "band n")


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("then band-neutrophil (p 0.10)", "then band neutrophil (p 0.10)"),
        ("3 burr-cells; anti-coagulated", "3 burr cells; anti-coagulated"),
    ],
)
def test_names_of_classes_are_written_as_words(said, plain):
    assert Texts("en").sentence(said) == plain


def test_a_single_red_cell_has_a_german_title():
    one = {title.removesuffix("s") for title, _ in RED_KINDS.values() if not title.endswith("osis")}
    assert one - set(de().catalogue["words"]) == set()


def test_a_class_is_called_by_its_title():
    assert de().class_title("band-neutrophil") == "Stabkerniger Neutrophiler"
    assert Texts("en").class_title("band-neutrophil") == "Band neutrophil"


def test_a_date_is_written_as_in_its_language():
    assert de().day("1981-12-01") == "01.12.1981" and Texts("en").day("1981-12-01") == "1981-12-01"
    assert de().day("1981") == "1981" and de().day("Oja, Ben") == "Oja, Ben"


def test_every_phrase_of_morphology_is_german():
    attributes = read_card(SHIPPED).attributes.items()
    phrases = [phrase(name, value) for name, values in attributes for value in values]
    german = de()
    assert [said for said in phrases if german.sentence(said) == said] == []


@pytest.mark.parametrize("said", [EXCESS_ADVICE, RANGE_ADVICE])
def test_advice_is_german(said):
    assert de().sentence(said) != said


def test_numbers_follow_the_language():
    assert de().number(1234.56, 1) == "1234,6" and Texts("en").number(1234.56, 1) == "1234.6"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr, en;q=0.2, de;q=0.7", "de"),
        ("en-GB", "en"),
        ("fr", None),
        ("", None),
        ("de;q=x, en", "en"),
        ("de;q=0", None),
    ],
)
def test_the_browser_asks_for_a_language(header, language):
    assert accepted_language(header) == language
