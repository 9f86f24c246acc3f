"""Whole messages to the laboratory's system, and the answers to what it sends."""

import pytest

from stream.config import Config, LisSettings
from stream.events import REVIEW, SLIDE
from stream.identity import Claim, Identity, Order
from stream.lis import ResultReports
from stream.lis.listener import OrderTaker
from stream.review import SlideLibrary
from stream.review.decisions import DecisionService
from tests.approved import approved
from tests.stores import STAMP, Filled
from tests.stream.lis.test_orders import BAD, OML, ORM, ends

ANNA = Identity("S26-1", "C1", "", "O-1", "P|1^0", "Ito & Sons, Anna", "1970-01-31")


@pytest.fixture
def slide(tmp_path):
    made = Filled(tmp_path / "store")
    made.add(4)
    made.add_reds({"normal": 12, "schistocyte": 1, "macrocyte": 7})
    made.done()
    with made.outbox.transaction() as tx:
        tx.put_order(Order(ANNA))
        coded = [Claim("slide", Identity(barcode="C1"))]
        tx.set_claims(made.slide.slide_id, "slide", "", coded)
    with SlideLibrary(tmp_path / "store", Config(), tmp_path / "custody") as library:
        yield library, made.slide.slide_id
    made.close()


def test_results(slide):
    """Preliminary, final and corrected, in both structures."""
    library, slide_id = slide
    desk = DecisionService(library, STAMP)
    lines = []

    def send(name, settings):
        for outbox, kind in ((library.outbox, SLIDE), (library.trail.outbox, REVIEW)):
            for record in outbox.events(types=(kind,)):
                message = ResultReports(library, settings).as_message(record, f"id{record.seq}")
                if message:
                    lines.extend([f"# {name}", *message.decode().split("\r")])

    own = {"facility": "Haem|Lab", "receiver": "LIS", "receiver_facility": "Ward"}
    send("before the signature", LisSettings(preliminary=True, **own))
    cell = next(iter(library.shelf(slide_id).refresh().cells(library.shelf(slide_id).standing)))
    desk.decide(slide_id, "dr&chen", "reclassify", [cell.cell_id], "blast", 0)
    desk.sign(slide_id, "dr&chen", "no | blasts ^ seen", library.shelf(slide_id).standing.number)
    desk.amend(slide_id, "dr&chen", "once more")
    desk.sign(slide_id, "dr&chen", None, library.shelf(slide_id).standing.number)
    for form in ("OUL_R22", "ORU_R01"):
        send(form, LisSettings(message=form, **own))
    approved(__file__, "results", "\n".join(lines), slide=slide_id)


def test_answers_to_orders(outbox):
    lines = []
    taker = OrderTaker(outbox)
    sent = {"two orders": OML, "an old form": ORM, "an end": ends(OML, "CA", "M4")}
    sent |= {name: text for name, (text, *_) in BAD.items()}
    for name, text in sent.items():
        said = taker.take(text.encode()).decode()
        lines += [f"# {name}", *said.split("\r")]
    lines += ["# the worklist"]
    lines += [f"{order.state} {order.identity.known()}" for order in outbox.orders()]
    lines += [f"{one.control_id}: {one.reason}" for one in outbox.refused_orders()]
    approved(__file__, "answers", "\n".join(lines))
