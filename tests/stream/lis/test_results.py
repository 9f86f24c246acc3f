"""Results as the laboratory's system receives and reads them, with the package `hl7`."""

import hl7
import pytest
from hl7apy.parser import parse_message
from typer.testing import CliRunner

from stream.cli.app import app
from stream.config import Config, LisSettings
from stream.events import REVIEW, SLIDE
from stream.identity import Claim, Identity, Order
from stream.lis import ResultReports
from stream.review import SlideLibrary
from stream.review.decisions import DecisionService
from stream.sinks import EventRefusedError
from tests.stores import STAMP, filled
from tests.stream.lis.lis_server import LaboratorySystem

ANNA = Identity("S26-00117", "C-77", "", "O-1", "P|1^0", "Ito & Söhne, Anna", "1970-01-31")


@pytest.fixture
def lab(tmp_path):
    made = filled(tmp_path / "store", cells=30, odd=0)
    made.add_reds({"spherocyte": 6, "normal": 10})
    made.done()
    with made.outbox.transaction() as tx:
        tx.put_order(Order(ANNA))
        coded = [Claim("slide", Identity(barcode="C-77"))]
        tx.set_claims(made.slide.slide_id, "slide", "", coded)
    with SlideLibrary(tmp_path / "store", Config(), tmp_path / "custody") as library:
        yield library, DecisionService(library, STAMP), made.slide.slide_id
    made.close()


def messages(library, **settings):
    """The messages of all events of both outboxes, in order."""
    make = ResultReports(library, LisSettings(**settings)).as_message
    made = []
    for outbox, kind in ((library.outbox, SLIDE), (library.trail.outbox, REVIEW)):
        made += [make(record, f"id{record.seq}") for record in outbox.events(types=(kind,))]
    return [message.decode() for message in made if message]


@pytest.mark.parametrize("form", ["OUL_R22", "ORU_R01"])
def test_a_signature_is_a_final_result(lab, form):
    library, desk, slide_id = lab
    desk.sign(slide_id, "dr&chen", "no | blasts ^ seen", 0)
    (text,) = messages(library, message=form, facility="Haem|Lab")
    assert parse_message(text).validate()  # the structure of v2.5.1
    read = hl7.parse(text)
    assert str(read.segment("MSH")[9]) == form.replace("_", "^") + f"^{form}"
    assert read.unescape(str(read.segment("PID")[3])) == "P|1^0"
    assert read.unescape(str(read.segment("PID")[5])) == "Ito & Söhne^Anna"
    assert str(read.segment("PID")[7]) == "19700131"
    obr = read.segment("OBR")
    assert (str(obr[2]), str(obr[3]), str(obr[25])) == ("O-1", "S26-00117", "F")
    assert str(obr[4]).startswith("24318-8^") and read.unescape(str(obr[32])) == "dr&chen"
    assert read.unescape(str(read.segment("NTE")[3])) == "no | blasts ^ seen"
    assert str(read.segment("SPM")[2]) == "C-77"


def test_its_numbers_are_those_of_the_count(lab):
    library, desk, slide_id = lab
    desk.sign(slide_id, "chen", None, 0)
    shelf = library.shelf(slide_id)
    counts = shelf.counts(shelf.standing)
    (text,) = messages(library)
    lines = {str(obx[3]).split("^")[-3]: obx for obx in hl7.parse(text).segments("OBX")}
    white = sum(counts[c.name] for c in shelf.scheme.classes if c.white)
    monocytes = lines["monocyte"]
    assert float(str(monocytes[5])) == round(100 * counts["monocyte"] / white, 1)
    assert str(monocytes[3]).startswith("26485-3^") and str(monocytes[6]) == "%^%^UCUM"
    assert str(monocytes[7]) == "2-10" and str(monocytes[11]) == "F"
    assert str(lines["erythroblast"][6]) == "/100{WBCs}^/100{WBCs}^UCUM"
    assert str(lines["spherocyte"][2]) == "ST" and str(lines["spherocyte"][5]) == "3+"


def test_an_amendment_is_a_corrected_result(lab):
    library, desk, slide_id = lab
    desk.sign(slide_id, "chen", None, 0)
    desk.amend(slide_id, "chen", "recount")
    desk.sign(slide_id, "chen", None, library.trail.last(slide_id))
    first, second = (hl7.parse(text) for text in messages(library))
    assert (str(first.segment("OBR")[25]), str(second.segment("OBR")[25])) == ("F", "C")
    assert {str(obx[11]) for obx in second.segments("OBX")} <= {"C", "X"}


def test_a_preliminary_result_only_where_it_is_asked_for_and_nobody_has_signed(lab):
    library, desk, slide_id = lab
    assert messages(library) == []
    early = hl7.parse(messages(library, preliminary=True)[-1])
    assert str(early.segment("OBR")[25]) == "P"
    assert str(early.segment("OBR")[4]).startswith("69738-3^")
    desk.sign(slide_id, "chen", None, 0)
    late = [hl7.parse(text) for text in messages(library, preliminary=True)]
    assert {str(one.segment("OBR")[25]) for one in late} == {"F"}


def test_a_result_of_nobody_is_put_aside(tmp_path):
    made = filled(tmp_path / "store", cells=5, odd=0)
    with SlideLibrary(tmp_path / "store", Config()) as library:
        DecisionService(library, STAMP).sign(made.slide.slide_id, "chen", None, 0)
        with pytest.raises(EventRefusedError, match="cannot be filed"):
            messages(library)
    made.close()


def test_results_are_sent_by_command_each_once(lab, tmp_path):
    library, desk, slide_id = lab
    desk.sign(slide_id, "chen", None, 0)
    with LaboratorySystem() as system:
        config = tmp_path / "lab.toml"
        keys = f'audit_folder = "{tmp_path}/custody"'
        config.write_text(f'[lis]\nresults_to = "{system.address}"\n[review]\n{keys}\n')
        asked = ["lis", "--once", "--store", str(tmp_path / "store"), "--config", str(config)]
        for _ in range(2):
            said = CliRunner().invoke(app, asked)
            assert said.exit_code == 0, said.output
        assert system.received == 1 and len(system.messages) == 1
